//! One connection of the data channel.

use std::fmt;
use std::io::Write as _;

use serde_json::{Value, json};
use simulator_api::{Cursor, SessionId};
use simulator_client::transport::Frame;

use super::notification::{complete, notification};
use super::session::Session;
use super::subscribe::{RpcRequest, Subscribe};
use super::{DataReplay, Tx};

/// The first subscription id of a connection; not 1, so that it is not mistaken for the id of a request.
const FIRST_SUBSCRIPTION: u64 = 17;

/// A connection of the data channel.
#[derive(Debug)]
pub(super) struct DataConnection {
    pub(super) session: SessionId,
    subscriptions: Vec<Subscription>,
    packer: Packer,
}

#[derive(Debug)]
struct Subscription {
    id: u64,
    about: Subscribe,
    /// How much of the session's history has been looked at.
    told: usize,
    /// Where the next notification stands.
    next: Cursor,
    /// Notifications before this one are left out.
    from: Cursor,
    complete: bool,
}

impl DataConnection {
    pub(super) fn new(session: SessionId) -> Self {
        Self {
            session,
            subscriptions: Vec::new(),
            packer: Packer::default(),
        }
    }

    /// Answers a request. The error says what the client did wrong.
    pub(super) fn request(&mut self, text: &str, session: &Session) -> Result<Frame, (Frame, String)> {
        let request: RpcRequest =
            serde_json::from_str(text).map_err(|error| rejected(0, -32700, &error.to_string()))?;
        let subscribe = request.subscribe();
        let subscribe = subscribe.map_err(|error| rejected(request.id, -32602, &error))?;
        if let Some(refusal) = session.script.refused_subscriptions.get(&subscribe.address.to_string()) {
            return Ok(error_frame(request.id, refusal.code, &refusal.message));
        }
        let id = FIRST_SUBSCRIPTION + self.subscriptions.len() as u64;
        self.subscriptions.push(Subscription::new(id, subscribe, session));
        Ok(text_frame(&json!({"jsonrpc": "2.0", "id": request.id, "result": id})))
    }

    /// Notifications and ends that are due, in slot order over all subscriptions.
    pub(super) fn due(&mut self, session: &Session) -> Vec<Frame> {
        let mut frames = Vec::new();
        let oldest = self.subscriptions.iter().map(|subscription| subscription.told).min();
        for index in oldest.unwrap_or(usize::MAX)..session.history.len() {
            for subscription in &mut self.subscriptions {
                if subscription.told == index {
                    subscription.tell(session, &mut self.packer, &mut frames);
                }
            }
        }
        if session.has_ended() {
            for subscription in &mut self.subscriptions {
                subscription.tell_end(session, &mut self.packer, &mut frames);
            }
        }
        frames
    }
}

impl Subscription {
    fn new(id: u64, about: Subscribe, session: &Session) -> Self {
        let mut told = 0;
        let from = match (&session.generation.data_replay, &about.options) {
            (DataReplay::LiveOnly, _) => {
                told = session.history.len();
                Cursor { slot: 0, index: 0 }
            }
            (DataReplay::History, options) => first_wanted(options.replay_after, options.replay_from_slot),
        };
        Self {
            id,
            about,
            told,
            next: Cursor { slot: 0, index: 0 },
            from,
            complete: false,
        }
    }

    fn tell(&mut self, session: &Session, packer: &mut Packer, frames: &mut Vec<Frame>) {
        let Some((slot, txs)) = session.executed(self.told) else {
            return;
        };
        self.told += 1;
        for tx in txs {
            self.tell_tx(session, slot, tx, packer, frames);
        }
    }

    fn tell_tx(&mut self, session: &Session, slot: u64, tx: &Tx, packer: &mut Packer, frames: &mut Vec<Frame>) {
        let generation = &session.generation;
        let kind = self.about.kind;
        for result in kind.results(generation, &self.about.address, slot, tx) {
            let cursor = self.take_cursor(slot);
            if cursor >= self.from {
                let text = notification(generation, kind.method(), self.id, cursor, &result);
                frames.push(self.pack(session, text, packer));
            }
        }
    }

    fn tell_end(&mut self, session: &Session, packer: &mut Packer, frames: &mut Vec<Frame>) {
        if !self.complete {
            self.complete = true;
            frames.push(self.pack(session, complete(self.id), packer));
        }
    }

    fn take_cursor(&mut self, slot: u64) -> Cursor {
        if self.next.slot != slot {
            self.next = Cursor { slot, index: 0 };
        }
        let cursor = self.next;
        self.next.index += 1;
        cursor
    }

    fn pack(&self, session: &Session, text: String, packer: &mut Packer) -> Frame {
        let packs = session.generation.data_replay == DataReplay::History;
        if packs && self.about.is_compressed() {
            packer.pack(&text)
        } else {
            Frame::Text(text.into())
        }
    }
}

fn first_wanted(after: Option<Cursor>, from_slot: Option<i64>) -> Cursor {
    match after {
        Some(after) => Cursor {
            index: after.index + 1,
            ..after
        },
        None => Cursor {
            slot: from_slot.map_or(0, |slot| u64::try_from(slot).unwrap_or(0)),
            index: 0,
        },
    }
}

fn rejected(id: u64, code: i64, message: &str) -> (Frame, String) {
    (error_frame(id, code, message), message.to_owned())
}

fn error_frame(id: u64, code: i64, message: &str) -> Frame {
    text_frame(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}))
}

fn text_frame(value: &Value) -> Frame {
    Frame::Text(value.to_string().into())
}

/// The zstd stream of a connection: one frame that never ends, flushed after each notification.
#[derive(Default)]
struct Packer(Option<zstd::stream::write::Encoder<'static, Vec<u8>>>);

impl Packer {
    fn pack(&mut self, text: &str) -> Frame {
        let encoder = self
            .0
            .get_or_insert_with(|| zstd::stream::write::Encoder::new(Vec::new(), 3).expect("level 3 exists"));
        encoder.write_all(text.as_bytes()).expect("memory takes everything");
        encoder.flush().expect("memory takes everything");
        Frame::Binary(std::mem::take(encoder.get_mut()).into())
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packer").field(&self.0.is_some()).finish()
    }
}
