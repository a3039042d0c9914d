//! The outputs of a run, as its options ask for them.

use super::options::{Form, ReplayOptions};
use crate::output::{OutputError, OutputKind};
use crate::report::{DocumentSink, Facts, FirstDivergences, LinesSink, ParquetSink, Sinks, print_table};
use crate::stdout::print;

/// Where everything goes.
pub(super) struct Outputs {
    pub(super) sinks: Sinks,
    pub(super) closing: Closing,
}

/// What is printed after the outputs are complete.
pub(super) enum Closing {
    /// The table, with these divergences.
    Table(FirstDivergences),
    /// Nothing: the JSON object is one of the outputs.
    Nothing,
}

impl Outputs {
    /// Begins every output. The one on standard output comes last, so that files are complete when it appears.
    pub(super) fn create(options: &ReplayOptions) -> Result<Self, OutputError> {
        let mut sinks = Sinks::default();
        match &options.output {
            Some(OutputKind::Json(path)) => sinks.push(DocumentSink::file(path)?),
            Some(OutputKind::JsonLines(path)) => sinks.push(LinesSink::create(path)?),
            Some(OutputKind::Parquet(path)) => sinks.push(ParquetSink::create(path)?),
            None => {}
        }
        let closing = match options.form {
            Form::Table => {
                let first = FirstDivergences::default();
                sinks.push(first.clone());
                Closing::Table(first)
            }
            Form::Json(transactions) => {
                sinks.push(DocumentSink::stdout(transactions)?);
                Closing::Nothing
            }
        };
        Ok(Self { sinks, closing })
    }
}

impl Closing {
    /// Prints what is left to be printed.
    pub(super) fn print(&self, facts: &Facts) -> Result<(), OutputError> {
        match self {
            Self::Table(first) => print(|stdout| print_table(stdout, facts, first)),
            Self::Nothing => Ok(()),
        }
    }
}
