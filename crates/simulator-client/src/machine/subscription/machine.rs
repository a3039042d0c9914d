//! The state of a subscription connection and every transition of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use simulator_api::{Compression, Cursor};

use super::body::{AccountDiffBody, Body, LogsBody, TransactionBody};
use super::envelope::{Envelope, Method};
use super::link::{Carrier, Link, LinkError, uncompressed};
use super::notification::{Delivered, ReadLater};
use super::request::{SubscribeRequest, refusal};
use super::resume::Admission;
use super::scan::{Scanned, Scanner, Span, Unreadable};
use super::shape::{Around, Shape};
use super::state::{Handshake, State};
use super::subscriptions::Subscriptions;
use crate::machine::{Ending, Machine, Message, Standing};
use crate::managed::{ConnectionError, MachineCounts, ManagedFailure, StreamFault, SubscriptionNotification};
use crate::rpc::RpcError;
use crate::transport::SharedText;

/// What a subscription connection is made with.
#[derive(Clone, Debug)]
pub struct SubscriptionConfig {
    /// What is subscribed to.
    pub kind: SubscriptionKind,
    /// The addresses, one subscription each. Not empty.
    pub addresses: Vec<String>,
    /// The first slot whose notifications are wanted; `None` is everything that the server has kept.
    pub from_slot: Option<u64>,
    /// How notifications are to travel.
    pub compression: Option<Compression>,
    /// Longest silence in a handshake.
    pub handshake_response_timeout: Duration,
    /// Longest handshake altogether.
    pub handshake_total_timeout: Duration,
    /// Largest notification once decompressed, in bytes.
    pub max_message_bytes: usize,
}

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionKind {
    /// Transactions that mention an address.
    Transactions,
    /// Changes of the accounts that a program owns.
    ProgramAccountDiffs,
    /// Changes of one account.
    AccountDiffs,
    /// Logs of transactions that mention an address.
    Logs,
}

/// A subscription connection.
///
/// It sends every request at once, takes notifications from the first answer on, and is up when all are answered.
/// After a reconnect each subscription goes on where it stopped, and what was delivered before is dropped. It is over
/// when the server has said of every subscription that it has told everything.
#[derive(Debug)]
pub struct SubscriptionMachine {
    config: SubscriptionConfig,
    subscriptions: Subscriptions,
    state: State,
    transmit: VecDeque<SharedText>,
    events: VecDeque<SubscriptionNotification>,
    counts: MachineCounts,
    /// How notifications look, once one was read.
    shape: Option<Shape>,
    /// Room for a message that is decompressed.
    inflated: Vec<u8>,
}

/// The largest room for a message that is kept for the next one.
const KEPT_OUTPUT: usize = 1 << 20;

const SUBSCRIBE: &str = "subscribe";

impl SubscriptionMachine {
    /// Subscriptions that are opened on the first connection. An address that is named twice is subscribed to once;
    /// without any address everything is told at once.
    pub fn new(config: SubscriptionConfig) -> Self {
        let subscriptions = Subscriptions::new(config.addresses.clone(), config.from_slot);
        let state = if subscriptions.all_complete() {
            State::Over(Ending::Finished)
        } else {
            State::Disconnected
        };
        Self {
            config,
            subscriptions,
            state,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
            counts: MachineCounts::default(),
            shape: None,
            inflated: Vec::new(),
        }
    }

    /// When the handshake is given up, and the limit that is reached then.
    #[inline]
    fn deadline(&self) -> Option<(Instant, Duration)> {
        let State::Subscribing(_, handshake) = &self.state else {
            return None;
        };
        let (response, total) = (
            self.config.handshake_response_timeout,
            self.config.handshake_total_timeout,
        );
        Some(handshake.deadline(response, total))
    }

    #[inline]
    fn receive(&mut self, text: &str, carrier: Carrier) {
        match self.config.kind {
            SubscriptionKind::Transactions => self.read::<TransactionBody>(text, carrier),
            SubscriptionKind::ProgramAccountDiffs | SubscriptionKind::AccountDiffs => {
                self.read::<AccountDiffBody>(text, carrier);
            }
            SubscriptionKind::Logs => self.read::<LogsBody>(text, carrier),
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
        let identity = || B::scan_identity(&mut Scanner::within(text, around.result)).ok();
        let (slot, body) = match around.cursor {
            Some(cursor) => (cursor.slot, None),
            None => {
                let body = identity()?;
                (body.slot().ok()?, Some(body))
            }
        };
        let subscription = self.subscriptions.open(around.subscription)?;
        let admission = subscription.position.admit(slot, around.cursor, |identities| {
            if let Some(body) = body.or_else(identity) {
                body.identify(text, identities);
            }
        });
        if admission != Admission::Duplicate {
            self.events.push_back(B::deliver(Delivered {
                text: text.into(),
                target: subscription.target.clone(),
                slot,
                cursor: around.cursor,
                result: around.result,
                body: ReadLater::unread(),
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
            subscription.complete();
            return self.conclude();
        }
        let cursor = envelope.params.cursor;
        let (result, body, slot) = match readable(envelope.params.result, cursor) {
            Ok(readable) => readable,
            Err(unreadable) => return self.fault(text, unreadable),
        };
        let admission = subscription
            .position
            .admit(slot, cursor, |identities| body.identify(text, identities));
        if admission != Admission::Duplicate {
            self.events.push_back(B::deliver(Delivered {
                text: text.into(),
                target: subscription.target.clone(),
                slot,
                cursor,
                result,
                body: ReadLater::read(body),
            }));
        }
        self.count(admission);
        if B::READ_LATER && carrier == Carrier::Plain {
            let subscription = number.value;
            let around = Around {
                subscription,
                cursor,
                result,
            };
            self.shape = Shape::learn(text, number.span, around);
        }
    }

    #[inline]
    fn count(&mut self, admission: Admission) {
        self.counts.replayed += u64::from(admission != Admission::New);
        self.counts.duplicates += u64::from(admission == Admission::Duplicate);
    }

    /// An answer to a request.
    fn answer<B>(&mut self, envelope: &Envelope<B>, text: &str) {
        let number = |span: Option<Span>| span.and_then(|span| span.of(text).parse::<u64>().ok());
        let id = number(envelope.id);
        if let Some(error) = envelope.error {
            return self.refused(id, error, text);
        }
        let Some(id) = id.filter(|id| self.subscriptions.requested(*id).is_some()) else {
            return self.fault(text, Unreadable("it answers nothing that was asked"));
        };
        match number(envelope.result).filter(|number| self.subscriptions.open(*number).is_none()) {
            Some(number) => self.granted(id, number),
            None => self.fail(ConnectionError::UnexpectedAnswer {
                request: SUBSCRIBE,
                answer: text.to_string(),
            }),
        }
    }

    fn granted(&mut self, id: u64, number: u64) {
        if let Some(subscription) = self.subscriptions.requested(id) {
            subscription.granted(number);
        }
        let early = self.state.handshake().map(Handshake::take_early).unwrap_or_default();
        if !self.subscriptions.any_requested() {
            self.state.establish();
        }
        for text in early {
            self.receive(&text, Carrier::Plain);
        }
    }

    /// A server that could not read a request cannot repeat its id: then the first that waits is meant.
    fn refused(&mut self, id: Option<u64>, error: Span, text: &str) {
        let refused = match id {
            Some(id) => self.subscriptions.requested(id).map(|one| one.target.clone()),
            None => self.subscriptions.first_requested().map(|one| one.target.clone()),
        };
        let Some(target) = refused else {
            return self.fault(text, Unreadable("it answers nothing that was asked"));
        };
        let RpcError { code, message, .. } = refusal(error.of(text));
        let target = target.to_string();
        let error = ConnectionError::SubscriptionRefused { target, code, message };
        if error.is_retryable() {
            self.state = State::Broken(error);
        } else {
            self.fail(error);
        }
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
    fn fault(&mut self, text: &str, Unreadable(reason): Unreadable) {
        let raw = text.to_owned();
        let fault = StreamFault::UnreadableNotification { raw, reason };
        self.events.push_back(SubscriptionNotification::Fault(fault));
    }

    /// A message of a compressed stream.
    fn inflate(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
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

    fn fail(&mut self, error: ConnectionError) {
        self.state = State::Over(Ending::Failed(ManagedFailure::Permanent(error)));
    }

    fn conclude(&mut self) {
        if self.subscriptions.all_complete() {
            self.state = State::Over(Ending::Finished);
        }
    }
}

impl Machine for SubscriptionMachine {
    type Request = Infallible;
    type Event = SubscriptionNotification;

    fn handle_connected(&mut self, now: Instant) {
        if let State::Over(_) = self.state {
            return;
        }
        self.state = State::Subscribing(Link::default(), Handshake::new(now));
        self.subscriptions.interrupt();
        let (kind, compression) = (self.config.kind, self.config.compression);
        let requests = self.subscriptions.request().map(|(id, subscription)| {
            let request = SubscribeRequest {
                id,
                kind,
                target: &subscription.target,
                resume: subscription.position.resume(),
                compression,
            };
            request.to_text()
        });
        self.transmit = requests.collect();
    }

    #[inline]
    fn handle_message(&mut self, message: Message, now: Instant) {
        self.handle_sign_of_life(now);
        if self.state.link().is_none() {
            return;
        }
        let received = match (&message, self.config.compression) {
            (Message::Text(text), _) => {
                self.receive(text, Carrier::Plain);
                Ok(())
            }
            (Message::Binary(bytes), Some(Compression::Zstd)) => self.inflate(bytes),
            (Message::Binary(bytes), None) => uncompressed(bytes).map(|text| self.receive(text, Carrier::Plain)),
        };
        match received {
            Ok(()) => {}
            Err(LinkError::Fault(fault)) => self.events.push_back(SubscriptionNotification::Fault(fault)),
            Err(LinkError::Retry(error)) => self.state = State::Broken(error),
            Err(LinkError::Fail(error)) => self.fail(error),
        }
    }

    fn handle_sign_of_life(&mut self, now: Instant) {
        if let Some(handshake) = self.state.handshake() {
            handshake.heard(now);
        }
    }

    fn handle_disconnected(&mut self, _now: Instant) {
        self.transmit.clear();
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Disconnected;
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some((deadline, after)) = self.deadline()
            && deadline <= now
        {
            let request = SUBSCRIBE;
            self.state = State::Broken(ConnectionError::Unanswered { request, after });
        }
    }

    fn handle_request(&mut self, request: Infallible, _now: Instant) {
        match request {}
    }

    /// Nothing has to be said to a server: closing the connection ends its subscriptions.
    fn handle_close(&mut self, _now: Instant) {
        self.transmit.clear();
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(Ending::Finished);
        }
    }

    fn poll_transmit(&mut self) -> Option<SharedText> {
        self.transmit.pop_front()
    }

    #[inline]
    fn poll_event(&mut self) -> Option<SubscriptionNotification> {
        self.events.pop_front()
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline().map(|(deadline, _)| deadline)
    }

    fn accepts_request(&self) -> bool {
        false
    }

    fn needs_connection_to_close(&self) -> bool {
        false
    }

    fn standing(&self) -> Standing {
        self.state.standing()
    }

    fn counts(&self) -> MachineCounts {
        self.counts
    }
}

/// The result of a notification and its slot, which the cursor tells too.
#[inline]
fn readable<B: Body>(result: Option<(Span, B)>, cursor: Option<Cursor>) -> Scanned<(Span, B, u64)> {
    let (span, body) = result.ok_or(Unreadable("the result is missing"))?;
    let slot = body.slot()?;
    Ok((span, body, cursor.map_or(slot, |cursor| cursor.slot)))
}
