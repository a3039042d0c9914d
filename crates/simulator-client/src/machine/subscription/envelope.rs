//! What stands around every message of a data channel.

use simulator_api::Cursor;

use super::body::Body;
use super::scan::{Scanned, Scanner, Span};

/// A message.
#[derive(Debug)]
pub(super) struct Envelope<B> {
    /// The request that it answers.
    pub(super) id: Option<Span>,
    /// What a request that was granted returned.
    pub(super) result: Option<Span>,
    /// Why a request was refused.
    pub(super) error: Option<Span>,
    /// What it tells; nothing if it is an answer.
    pub(super) method: Option<Method>,
    /// What it tells it about.
    pub(super) params: Params<B>,
}

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A notification of the kind that was subscribed to.
    Notification,
    /// That a subscription has told everything.
    Complete,
    /// Something else.
    Other,
}

/// Which subscription a message belongs to, and what it says.
#[derive(Debug)]
pub(super) struct Params<B> {
    /// The server's number of the subscription.
    pub(super) subscription: Option<Number>,
    /// Where it stands in the stream, from a server that says so.
    pub(super) cursor: Option<Cursor>,
    /// What it says.
    pub(super) result: Option<(Span, B)>,
}

/// A number and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) value: u64,
    pub(super) span: Span,
}

impl<B: Body> Envelope<B> {
    /// Reads a message, and all of it.
    pub(super) fn scan(text: &str) -> Scanned<Self> {
        let mut scanner = Scanner::new(text)?;
        let mut envelope = Self {
            id: None,
            result: None,
            error: None,
            method: None,
            params: Params::default(),
        };
        scanner.object(|scanner, key| {
            match key {
                b"method" => envelope.method = Some(method::<B>(scanner.plain()?.of(text))),
                b"params" => envelope.params = Params::scan(scanner)?,
                b"id" => envelope.id = scanner.optional(Scanner::value)?,
                b"result" => envelope.result = Some(scanner.value()?),
                b"error" => envelope.error = scanner.optional(Scanner::value)?,
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        scanner.finish()?;
        Ok(envelope)
    }
}

impl<B: Body> Params<B> {
    #[inline]
    fn scan(scanner: &mut Scanner<'_>) -> Scanned<Self> {
        let mut params = Self::default();
        if !scanner.at_object() {
            scanner.value()?;
            return Ok(params);
        }
        scanner.object(|scanner, key| {
            match key {
                b"subscription" => params.subscription = scanner.optional(number)?,
                b"cursor" => params.cursor = scanner.optional(cursor)?.flatten(),
                b"result" => params.result = result(scanner)?,
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        Ok(params)
    }
}

impl<B> Default for Params<B> {
    fn default() -> Self {
        Self {
            subscription: None,
            cursor: None,
            result: None,
        }
    }
}

fn method<B: Body>(name: &str) -> Method {
    if name == B::METHOD {
        Method::Notification
    } else if name == "subscriptionComplete" {
        Method::Complete
    } else {
        Method::Other
    }
}

fn number(scanner: &mut Scanner<'_>) -> Scanned<Number> {
    let start = scanner.position();
    let value = scanner.unsigned()?;
    let span = scanner.since(start)?;
    Ok(Number { value, span })
}

#[inline]
fn result<B: Body>(scanner: &mut Scanner<'_>) -> Scanned<Option<(Span, B)>> {
    if !scanner.at_object() {
        scanner.value()?;
        return Ok(None);
    }
    let start = scanner.position();
    let body = B::scan(scanner)?;
    Ok(Some((scanner.since(start)?, body)))
}

fn cursor(scanner: &mut Scanner<'_>) -> Scanned<Option<Cursor>> {
    let (mut slot, mut index) = (None, None);
    scanner.object(|scanner, key| {
        match key {
            b"slot" => slot = Some(scanner.unsigned()?),
            b"index" => index = Some(scanner.unsigned()?),
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    Ok(slot.zip(index).map(|(slot, index)| Cursor { slot, index }))
}
