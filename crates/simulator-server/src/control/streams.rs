//! The sessions whose events a connection is sent, each in its order and none before the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{pending, select_all};
use simulator_api::{BacktestResponse, SequencedResponse, SessionEventKind, SessionEventV2, SessionId};

use super::receipts::Sent;
use crate::event_log::{Resumption, Sequence};
use crate::handle::SessionHandle;

/// The sessions of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// Which of them is looked at first next time.
    turn: usize,
}

/// A session whose events are to be sent.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) session: Arc<SessionHandle>,
    pub(super) form: Form,
    /// Where to begin.
    pub(super) from: Resumption,
    /// How far it was sent, for the reading side to see.
    pub(super) progress: Progress,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As messages of their own, with their number beside them.
    Plain,
    /// In an envelope that names the session.
    Envelope,
}

/// The number of the last event that was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

/// An event, and whose it is.
#[derive(Debug)]
pub(super) struct Next {
    stream: usize,
    sequence: Sequence,
    event: SequencedResponse,
}

#[derive(Debug)]
struct Stream {
    session: Arc<SessionHandle>,
    form: Form,
    progress: Progress,
    /// Events up to this one are sent again.
    replayed_to: Sequence,
}

impl Progress {
    pub(super) fn get(&self) -> Sequence {
        Sequence(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, sequence: Sequence) {
        self.0.store(sequence.0, Ordering::Relaxed);
    }
}

impl Streams {
    /// From now on, the events of this session as well.
    pub(super) fn add(&mut self, source: Source) {
        source.progress.set(source.from.after);
        self.streams.push(Stream {
            session: source.session,
            form: source.form,
            progress: source.progress,
            replayed_to: source.from.replayed_to,
        });
    }

    /// The events of this session no more.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.streams.retain(|stream| stream.session.id != id);
    }

    /// What was sent of each session.
    pub(super) fn sent(&self) -> Sent {
        let sent = |stream: &Stream| (Arc::clone(&stream.session.events), stream.progress.get());
        self.streams.iter().map(sent).collect()
    }

    /// Waits for the next event of any session. Dropping the wait loses nothing.
    pub(super) async fn next(&self) -> Next {
        if let Some(next) = self.look() {
            return next;
        }
        let waits = self.streams.iter().enumerate().map(|(stream, state)| {
            let next = state.session.events.next_after(state.progress.get());
            next.map(move |(sequence, event)| Next {
                stream,
                sequence,
                event,
            })
            .boxed()
        });
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            return pending().await;
        }
        select_all(waits).await.0
    }

    /// The next event of the session whose turn it is, or of one after it.
    fn look(&self) -> Option<Next> {
        let count = self.streams.len();
        (0..count)
            .map(|offset| (self.turn + offset) % count)
            .find_map(|stream| {
                let state = &self.streams[stream];
                let (sequence, event) = state.session.events.take_next(state.progress.get())?;
                Some(Next {
                    stream,
                    sequence,
                    event,
                })
            })
    }

    /// Takes note that an event is sent, and returns it as it is written.
    pub(super) fn send(&mut self, next: Next) -> SequencedResponse {
        self.turn = next.stream + 1;
        let stream = &self.streams[next.stream];
        stream.progress.set(next.sequence);
        let event = SequencedResponse {
            replayed: next.event.seq_id.is_some() && next.sequence <= stream.replayed_to,
            ..next.event
        };
        match stream.form {
            Form::Plain => event,
            // A notice is no event of the session, and has no number that an envelope could carry.
            Form::Envelope if event.seq_id.is_none() => event,
            Form::Envelope => in_envelope(stream.session.id, next.sequence, event),
        }
    }
}

/// What says that a session has ended, in the place of its next event.
pub(super) fn ended(id: SessionId, sent: Sequence, last: BacktestResponse) -> SequencedResponse {
    in_envelope(id, Sequence(sent.0 + 1), last.into())
}

/// The number goes into the envelope; the request stands beside it.
fn in_envelope(session_id: SessionId, sequence: Sequence, event: SequencedResponse) -> SequencedResponse {
    let response = match SessionEventKind::try_from(event.response) {
        Ok(kind) => BacktestResponse::SessionEventV2(SessionEventV2 {
            session_id,
            seq_id: sequence.0,
            event: kind,
        }),
        // No session tells it; if one did, its client would see what it is.
        Err(other) => *other,
    };
    SequencedResponse {
        seq_id: None,
        response,
        ..event
    }
}
