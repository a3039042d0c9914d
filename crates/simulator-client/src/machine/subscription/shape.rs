//! Notifications of one connection differ in little besides their results. Once one of them has been read strictly,
//! what stands around its result is recognised in the next ones by comparing, and the result is not looked at.
//!
//! This is what makes reading as fast as the network library: to walk through 4 KiB of JSON costs twice as much as
//! everything else that is done with it.

use simulator_api::Cursor;

use super::scan::Span;

/// What precedes the result in every notification, save the number of the subscription.
#[derive(Debug)]
pub(super) struct Shape {
    /// Up to the number.
    head: Box<str>,
    /// From the number to the result.
    middle: Box<str>,
    /// All of that for the subscription from which it was learned.
    whole: Box<str>,
    subscription: u64,
    /// Whether a cursor follows the result.
    has_cursor: bool,
}

/// What a notification of a known shape has around its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Around {
    /// The server's number of the subscription.
    pub(super) subscription: u64,
    /// Where it stands in the stream, from a server that says so.
    pub(super) cursor: Option<Cursor>,
    /// The result. It begins and ends as an object does; no more is known of it.
    pub(super) result: Span,
}

impl Shape {
    /// Learns from a notification that was read, of which `number` is the subscription's number. It is `None` if
    /// notifications like it cannot be recognised: when their cursor comes first, for example.
    pub(super) fn learn(text: &str, number: Span, read: Around) -> Option<Self> {
        let middle = text.get(number.end()..read.result.start())?;
        let shape = Self {
            head: text[..number.start()].into(),
            middle: middle.into(),
            whole: text[..read.result.start()].into(),
            subscription: read.subscription,
            has_cursor: read.cursor.is_some(),
        };
        (shape.recognise(text) == Some(read)).then_some(shape)
    }

    /// Reads what stands around the result of a notification of this shape.
    #[inline]
    pub(super) fn recognise(&self, text: &str) -> Option<Around> {
        let (subscription, rest) = match text.strip_prefix(&*self.whole) {
            Some(rest) => (self.subscription, rest),
            None => self.other_subscription(text)?,
        };
        let (result, cursor) = match rest.strip_suffix("}}}").and_then(trailing_cursor) {
            Some((result, cursor)) => (result, Some(cursor)),
            None if self.has_cursor => return None,
            None => (rest.strip_suffix("}}")?, None),
        };
        if !(result.starts_with('{') && result.ends_with('}')) {
            return None;
        }
        let start = text.len() - rest.len();
        Some(Around {
            subscription,
            cursor,
            result: Span::new(start, start + result.len()).ok()?,
        })
    }

    /// The number of another subscription, and what follows.
    fn other_subscription<'a>(&self, text: &'a str) -> Option<(u64, &'a str)> {
        let (subscription, rest) = leading_number(text.strip_prefix(&*self.head)?)?;
        Some((subscription, rest.strip_prefix(&*self.middle)?))
    }
}

/// A number without leading zeros.
#[inline]
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((decimal(number)?, rest))
}

/// Takes a cursor, but for its last brackets, from the end of a text.
#[inline]
fn trailing_cursor(text: &str) -> Option<(&str, Cursor)> {
    let (rest, index) = trailing_number(text)?;
    let (rest, slot) = trailing_number(rest.strip_suffix(r#","index":"#)?)?;
    let rest = rest.strip_suffix(r#","cursor":{"slot":"#)?;
    Some((rest, Cursor { slot, index }))
}

/// A number without leading zeros, from its last digit to its first.
#[inline]
fn trailing_number(text: &str) -> Option<(&str, u64)> {
    let bytes = text.as_bytes();
    let (mut start, mut number, mut place) = (bytes.len(), 0_u64, 1_u64);
    while let Some(digit @ b'0'..=b'9') = start.checked_sub(1).map(|before| bytes[before]) {
        if bytes.len() - start >= MAX_DIGITS {
            return None;
        }
        number += u64::from(digit - b'0') * place;
        place *= 10;
        start -= 1;
    }
    let is_plain = match bytes.len() - start {
        0 => false,
        1 => true,
        _ => bytes[start] != b'0',
    };
    is_plain.then(|| (&text[..start], number))
}

/// As many digits as every number of 64 bits has room for; the next power of ten still is one too.
const MAX_DIGITS: usize = 19;

#[inline]
fn decimal(digits: &str) -> Option<u64> {
    let is_plain = digits.len() == 1 || !digits.starts_with('0');
    is_plain.then(|| digits.parse().ok())?
}
