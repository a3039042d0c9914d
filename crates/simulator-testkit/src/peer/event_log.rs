//! The events of a session, numbered, and how they are written.

use simulator_api::{BacktestResponse, Capability, RequestId, SequencedResponse};

use super::{Generation, Numbering};

/// Every event of a session so far.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Event {
    request_id: Option<RequestId>,
    response: BacktestResponse,
}

impl EventLog {
    /// Appends an event and gives it back as it is written for the first time.
    pub(super) fn append(
        &mut self,
        generation: &Generation,
        request_id: Option<RequestId>,
        response: BacktestResponse,
    ) -> SequencedResponse {
        self.events.push(Event { request_id, response });
        self.written(generation, self.events.len() - 1)
    }

    /// The events after number `last` as they are written again; `None` is all.
    pub(super) fn replay(&self, generation: &Generation, last: Option<u64>) -> Vec<SequencedResponse> {
        let skip = usize::try_from(last.unwrap_or(0)).unwrap_or(usize::MAX);
        let again = (0..self.events.len()).skip(skip).map(|index| SequencedResponse {
            // The flag came with the other extensions.
            replayed: !generation.capabilities.is_empty(),
            ..self.written(generation, index)
        });
        again.collect()
    }

    /// How many there are, which is the number of the last one.
    pub(super) fn len(&self) -> u64 {
        self.events.len() as u64
    }

    fn written(&self, generation: &Generation, index: usize) -> SequencedResponse {
        let event = self.events[index].clone();
        SequencedResponse {
            seq_id: (generation.numbering == Numbering::Numbered).then_some(index as u64 + 1),
            request_id: event.request_id.filter(|_| generation.speaks(&Capability::RequestId)),
            replayed: false,
            response: event.response,
        }
    }
}
