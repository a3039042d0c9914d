//! What the messages of a subscription connection lead to, but for the answers to its requests.

use std::mem;

use serde::de::IgnoredAny;
use simulator_api::Cursor;

use super::action::ActionBody;
use super::body::{AccountDiffBody, Body, LogsBody, TransactionBody, identify};
use super::envelope::{Envelope, Method};
use super::link::{Carrier, LinkError};
use super::notification::{Delivered, ReadLater};
use super::resume::{Admission, Identify};
use super::scan::{Scanned, Span, Unreadable};
use super::shape::{Around, Shape};
use super::state::State;
use super::{SubscriptionKind, SubscriptionMachine};
use crate::managed::{ConnectionError, StreamFault, SubscriptionNotification};

/// The largest room for a message that is kept for the next one.
const KEPT_OUTPUT: usize = 1 << 20;

impl SubscriptionMachine {
    #[inline]
    pub(super) fn receive(&mut self, text: &str, carrier: Carrier) {
        match self.config.kind {
            SubscriptionKind::Transactions => self.read::<TransactionBody>(text, carrier),
            SubscriptionKind::ProgramAccountDiffs | SubscriptionKind::AccountDiffs => {
                self.read::<AccountDiffBody>(text, carrier);
            }
            SubscriptionKind::Logs => self.read::<LogsBody>(text, carrier),
            SubscriptionKind::Actions => self.read::<ActionBody>(text, carrier),
        }
    }

    /// A compressed stream shows that it is damaged by what it yields, so that everything it yields is read.
    #[inline]
    fn read<B: Body>(&mut self, text: &str, carrier: Carrier) {
        if B::READ_LATER
            && carrier == Carrier::Plain
            && let Some(around) = self.shape.as_ref().and_then(|shape| shape.recognise(text))
            && self.recognised::<B>(text, around).is_some()
        {
            return;
        }
        match Envelope::<B>::scan(text) {
            Ok(envelope) => self.route(envelope, text, carrier),
            Err(unreadable) => self.unreadable(text, carrier, unreadable),
        }
    }

    /// A notification whose result is not known yet. It is none if the result has to be read after all.
    #[inline]
    fn recognised<B: Body>(&mut self, text: &str, around: Around) -> Option<()> {
        let slot = match around.cursor {
            Some(cursor) => cursor.slot,
            None => B::find_slot(text, around.result)?,
        };
        self.tell::<B>(text, around, slot, ReadLater::unread)
    }

    /// Delivers a notification, unless it was delivered before; `None` if its subscription is not open.
    #[inline]
    fn tell<B: Body>(
        &mut self,
        text: &str,
        around: Around,
        slot: u64,
        body: impl FnOnce() -> ReadLater<B>,
    ) -> Option<()> {
        let subscription = self.subscriptions.open(around.subscription)?;
        let result = || (B::identifying_part(around.result.of(text)), identify::<B> as Identify);
        let admission = subscription.position.admit(slot, around.cursor, result);
        if admission == Admission::NewBehindHole {
            self.events.push_back(hole());
        }
        if admission != Admission::Duplicate {
            self.events.push_back(B::deliver(Delivered {
                text: self.shelf.keep(text),
                target: subscription.target.clone(),
                slot,
                cursor: around.cursor,
                result: around.result,
                body: body(),
            }));
        }
        self.count(admission);
        Some(())
    }

    #[inline]
    fn route<B: Body>(&mut self, envelope: Envelope<B>, text: &str, carrier: Carrier) {
        let number = match (envelope.method, envelope.params.subscription) {
            (None, _) => return self.answer(&envelope, text),
            (Some(Method::Other), _) => return self.fault(text, Unreadable("its method is unknown")),
            (Some(_), None) => return self.fault(text, Unreadable("the subscription is missing")),
            (Some(_), Some(number)) => number,
        };
        let Some(subscription) = self.subscriptions.open(number.value) else {
            return self.unknown(text);
        };
        if envelope.method == Some(Method::Complete) {
            if subscription.position.lacks_repeats() {
                self.events.push_back(hole());
            }
            subscription.complete();
            return self.conclude();
        }
        let cursor = envelope.params.cursor;
        let (result, body, slot) = match readable(envelope.params.result, cursor) {
            Ok(readable) => readable,
            Err(unreadable) => return self.fault(text, unreadable),
        };
        let around = Around {
            subscription: number.value,
            cursor,
            result,
        };
        self.tell(text, around, slot, || ReadLater::read(body));
        if B::READ_LATER && carrier == Carrier::Plain {
            self.shape = Shape::learn(text, number.span, around);
        }
    }

    #[inline]
    fn count(&mut self, admission: Admission) {
        let is_replayed = matches!(admission, Admission::NewAmongRepeats | Admission::Duplicate);
        self.counts.replayed += u64::from(is_replayed);
        self.counts.duplicates += u64::from(admission == Admission::Duplicate);
    }

    /// A message for a subscription that is not open. Its request may be one that is about to be answered.
    #[cold]
    fn unknown(&mut self, text: &str) {
        let limit = self.config.max_message_bytes;
        let handshake = self.state.handshake();
        if !handshake.is_some_and(|handshake| handshake.keep(text, limit)) {
            self.fault(text, Unreadable("its subscription is unknown"));
        }
    }

    /// A text that could not be read. If a compressed stream does not even yield JSON it is damaged.
    #[cold]
    fn unreadable(&mut self, text: &str, carrier: Carrier, unreadable: Unreadable) {
        let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
        if carrier == Carrier::Compressed && !is_json() {
            self.state = State::Broken(ConnectionError::Desynchronised {
                reason: unreadable.0.to_owned(),
            });
        } else {
            self.fault(text, unreadable);
        }
    }

    #[cold]
    pub(super) fn fault(&mut self, text: &str, Unreadable(reason): Unreadable) {
        let raw = text.to_owned();
        let fault = StreamFault::UnreadableNotification { raw, reason };
        self.events.push_back(SubscriptionNotification::Fault(fault));
    }

    /// A message of a compressed stream.
    pub(super) fn inflate(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let Some(link) = self.state.link() else {
            return Ok(());
        };
        let mut output = mem::take(&mut self.inflated);
        let text = link.inflate(bytes, self.config.max_message_bytes, &mut output)?;
        self.receive(text, Carrier::Compressed);
        if output.capacity() <= KEPT_OUTPUT {
            self.inflated = output;
        }
        Ok(())
    }
}

/// The result of a notification and its slot, which the cursor tells too.
#[inline]
fn readable<B: Body>(result: Option<(Span, B)>, cursor: Option<Cursor>) -> Scanned<(Span, B, u64)> {
    let (span, body) = result.ok_or(Unreadable("the result is missing"))?;
    let slot = body.slot()?;
    Ok((span, body, cursor.map_or(slot, |cursor| cursor.slot)))
}

#[cold]
fn hole() -> SubscriptionNotification {
    SubscriptionNotification::Fault(StreamFault::Unnumbered)
}
