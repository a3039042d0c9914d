//! What waits to be written, and what waits to be read by the caller.

use std::collections::VecDeque;
use std::sync::Arc;

use simulator_api::{BacktestRequest, BacktestResponse, DecodeError, UnknownMessage};

use serde::Deserialize;

use super::ControlOutput;
use crate::machine::Arrival;
use crate::managed::{ControlEvent, SessionInfo, StreamFault};
use crate::transport::SharedText;

/// The two queues of a conversation. What one message leads to is at most three entries.
#[derive(Debug)]
pub(super) struct Output<E> {
    transmits: VecDeque<SharedText>,
    events: VecDeque<E>,
}

impl<E> Default for Output<E> {
    fn default() -> Self {
        Self {
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }
}

impl<E> Output<E> {
    pub(super) fn send(&mut self, request: &BacktestRequest) {
        self.transmits.push_back(encode(request));
    }

    pub(super) fn next_transmit(&mut self) -> Option<SharedText> {
        self.transmits.pop_front()
    }

    /// What was not transmitted never will be: the connection is gone.
    pub(super) fn forget_transmits(&mut self) {
        self.transmits.clear();
    }

    pub(super) fn push(&mut self, event: E) {
        self.events.push_back(event);
    }

    pub(super) fn next_event(&mut self) -> Option<E> {
        self.events.pop_front()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.transmits.len() + self.events.len()
    }
}

impl Output<ControlOutput> {
    pub(super) fn open(&mut self, info: SessionInfo) {
        self.push(ControlOutput::Opened(info));
    }

    pub(super) fn tell(&mut self, event: ControlEvent) {
        self.push(ControlOutput::Event(event));
    }

    pub(super) fn report(&mut self, fault: StreamFault) {
        self.tell(ControlEvent::Fault(fault));
    }

    pub(super) fn report_gap(&mut self, arrival: Arrival, number: Option<u64>) {
        if let (Arrival::Gap { expected }, Some(received)) = (arrival, number) {
            self.report(StreamFault::Gap { expected, received });
        }
    }
}

/// The text of a request.
pub(super) fn encode(request: &BacktestRequest) -> SharedText {
    let text = serde_json::to_string(request).expect("requests are maps with text keys, of texts and numbers");
    text.into()
}

/// The fault that a message is that cannot be decoded.
pub(super) fn undecodable(text: &str, source: DecodeError) -> StreamFault {
    StreamFault::Undecodable {
        raw: text.to_owned(),
        source: Arc::new(source),
    }
}

/// The number of a message that cannot be decoded otherwise, so that it is told once and does not look like a gap.
pub(super) fn number_of(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        #[serde(rename = "seqId")]
        seq_id: u64,
    }
    serde_json::from_str(text).ok().map(|Numbered { seq_id }| seq_id)
}

/// A session event as callers see it. What is no event of a single session was not asked for, and is shown as it came;
/// a `success` that answers nothing tells nothing.
pub(super) fn visible(event: &BacktestResponse, text: &str) -> Option<ControlEvent> {
    Some(match event {
        BacktestResponse::ReadyForContinue => ControlEvent::ReadyForContinue,
        BacktestResponse::SlotNotification(slot) => ControlEvent::Slot(*slot),
        BacktestResponse::Paused(position) => ControlEvent::Paused(*position),
        BacktestResponse::DiscoveryBatch(batch) => ControlEvent::DiscoveryBatch(batch.clone()),
        BacktestResponse::Status { status } => ControlEvent::Status(status.clone()),
        BacktestResponse::Completed { summary, agent_stats } => ControlEvent::Completed {
            summary: summary.clone(),
            agent_stats: agent_stats.clone(),
        },
        BacktestResponse::Error(error) => ControlEvent::Error(error.clone()),
        BacktestResponse::Unknown(message) => ControlEvent::Unknown(message.clone()),
        BacktestResponse::Success => return None,
        BacktestResponse::SessionCreated(_)
        | BacktestResponse::SessionAttached(_)
        | BacktestResponse::SessionsCreated(_)
        | BacktestResponse::SessionsCreatedV2(_)
        | BacktestResponse::ParallelSessionAttachedV2(_)
        | BacktestResponse::SessionEventV1(_)
        | BacktestResponse::SessionEventV2(_) => match UnknownMessage::from_json(text) {
            Ok(message) => ControlEvent::Unknown(message),
            Err(source) => ControlEvent::Fault(undecodable(text, source)),
        },
    })
}
