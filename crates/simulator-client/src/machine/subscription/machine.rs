//! The state of a subscription connection and every transition of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use simulator_api::Compression;

use super::SubscriptionConfig;
use super::envelope::Envelope;
use super::link::{Carrier, Link, LinkError, uncompressed};
use super::request::{SubscribeRequest, refusal};
use super::scan::{Span, Unreadable};
use super::shape::Shape;
use super::state::{Handshake, State};
use super::subscriptions::Subscriptions;
use super::text::Shelf;
use crate::machine::{Ending, Machine, Message, Standing};
use crate::managed::{ConnectionError, MachineCounts, ManagedFailure, SubscriptionNotification};
use crate::rpc::RpcError;
use crate::transport::SharedText;

/// A subscription connection.
///
/// It sends every request at once, takes notifications from the first answer on, and is up when all are answered.
/// After a reconnect each subscription goes on where it stopped, and what was delivered before is dropped. It is over
/// when the server has said of every subscription that it has told everything.
#[derive(Debug)]
pub struct SubscriptionMachine {
    pub(super) config: SubscriptionConfig,
    pub(super) subscriptions: Subscriptions,
    pub(super) state: State,
    transmit: VecDeque<SharedText>,
    pub(super) events: VecDeque<SubscriptionNotification>,
    pub(super) counts: MachineCounts,
    /// How notifications look, once one was read.
    pub(super) shape: Option<Shape>,
    /// The texts of notifications that wait to be delivered.
    pub(super) shelf: Shelf,
    /// Room for a message that is decompressed.
    pub(super) inflated: Vec<u8>,
}

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
            shelf: Shelf::default(),
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
        handshake.deadline(response, total)
    }

    /// An answer to a request.
    pub(super) fn answer<B>(&mut self, envelope: &Envelope<B>, text: &str) {
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

    fn fail(&mut self, error: ConnectionError) {
        self.state = State::Over(Ending::Failed(ManagedFailure::Permanent(error)));
    }

    pub(super) fn conclude(&mut self) {
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
        self.subscriptions.interrupt(self.config.kind.identify());
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

    fn handle_listening(&mut self, missed: Duration) {
        if let Some(handshake) = self.state.handshake() {
            handshake.excuse(missed);
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
        self.shelf.write();
        self.events.pop_front()
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline().map(|(deadline, _)| deadline)
    }

    fn takes_requests(&self) -> bool {
        false
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

    #[inline]
    fn is_done_with_connection(&self) -> bool {
        matches!(self.state, State::Broken(_) | State::Over(_))
    }

    fn counts(&self) -> MachineCounts {
        self.counts
    }
}
