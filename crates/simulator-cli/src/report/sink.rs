//! Where reports go.

use super::{Facts, SlotRecord};
use crate::output::OutputError;

/// One output of a run. It is given every slot once, in slot order, and then what is known at the end.
pub(crate) trait Sink: Send {
    /// Takes one slot. What is written after it is complete up to this slot.
    fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError>;

    /// Completes the output.
    fn finish(self: Box<Self>, facts: &Facts) -> Result<(), OutputError>;
}

/// All outputs of a run.
#[derive(Default)]
pub(crate) struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    /// Adds an output.
    pub(crate) fn push(&mut self, sink: impl Sink + 'static) {
        self.0.push(Box::new(sink));
    }

    /// Gives a slot to every output.
    pub(crate) fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
        self.0.iter_mut().try_for_each(|sink| sink.slot(record))
    }

    /// Completes every output.
    pub(crate) fn finish(self, facts: &Facts) -> Result<(), OutputError> {
        self.0.into_iter().try_for_each(|sink| sink.finish(facts))
    }
}
