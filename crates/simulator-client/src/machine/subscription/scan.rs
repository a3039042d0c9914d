//! One pass over JSON text, strict where a notification's own fields are, and quick over everything else.
//!
//! A value that nobody asked for is skipped: its strings have to end and its brackets have to match, no more. Whoever
//! reads it later decodes it with all of JSON's rules. Everything on the way to it is checked as JSON demands.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::ControlFlow;

use super::search::{special_byte, string_end};

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// The result of reading something.
pub(super) type Scanned<T> = Result<T, Unreadable>;

/// A part of a text. Half the size of two lengths, because every notification carries a handful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: NonZeroU32,
}

/// Reads one text from its beginning to its end.
///
/// Every method begins at the first byte of what it reads and ends behind its last one; white space is between them.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A string without its quotes.
struct Quoted {
    start: usize,
    end: usize,
    escaped: bool,
}

/// Containers in a skipped value; with the levels around it no more than other decoders of JSON accept.
const MAX_DEPTH: u32 = 120;

impl Span {
    /// The part of a text, which is the one that was scanned.
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start()..self.end()]
    }

    /// The part of a text from one position to another.
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Scanned<Self> {
        let too_far = Unreadable("it has more than 4 GiB");
        let start = u32::try_from(start).map_err(|_| too_far)?;
        let end = u32::try_from(end).map_err(|_| too_far)?;
        let end = NonZeroU32::new(end).ok_or(Unreadable("a value is expected"))?;
        Ok(Self { start, end })
    }

    /// The position of its first byte.
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    /// The position behind its last byte.
    pub(super) fn end(self) -> usize {
        self.end.get() as usize
    }
}

impl<'a> Scanner<'a> {
    /// Begins with a text.
    pub(super) fn new(text: &'a str) -> Scanned<Self> {
        if u32::try_from(text.len()).is_err() {
            return Err(Unreadable("it has more than 4 GiB"));
        }
        let mut scanner = Self { text, at: 0 };
        scanner.space();
        Ok(scanner)
    }

    /// Begins with a part of a text that was scanned before.
    #[inline]
    pub(super) fn within(text: &'a str, part: Span) -> Self {
        Self {
            text: &text[..part.end()],
            at: part.start(),
        }
    }

    /// Makes sure that nothing follows.
    pub(super) fn finish(mut self) -> Scanned<()> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Unreadable("something follows the JSON text"))
        }
    }

    /// Goes past a text if it is what comes next.
    #[inline]
    pub(super) fn skip(&mut self, expected: &str) -> bool {
        let is_next = self.text.as_bytes()[self.at..].starts_with(expected.as_bytes());
        self.at += if is_next { expected.len() } else { 0 };
        is_next
    }

    /// Where the next byte is.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What was read since a position.
    pub(super) fn since(&self, start: usize) -> Scanned<Span> {
        Span::new(start, self.at)
    }

    /// Whether the next value is an object.
    pub(super) fn at_object(&self) -> bool {
        self.peek() == Some(b'{')
    }

    /// An object. `field` is called behind each key and reads its value.
    #[inline]
    pub(super) fn object(&mut self, mut field: impl FnMut(&mut Self, &[u8]) -> Scanned<()>) -> Scanned<()> {
        self.object_until(|scanner, key| field(scanner, key).map(ControlFlow::Continue))
    }

    /// An object, or its beginning: `field` may break off.
    #[inline]
    pub(super) fn object_until(
        &mut self,
        mut field: impl FnMut(&mut Self, &[u8]) -> Scanned<ControlFlow<()>>,
    ) -> Scanned<()> {
        self.expect(b'{', "an object is expected")?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let quoted = self.quoted()?;
            let key = self.unescaped(&quoted)?;
            self.space();
            self.expect(b':', "a key without a value")?;
            self.space();
            if field(self, key.as_bytes())?.is_break() {
                return Ok(());
            }
            self.space();
            match self.next() {
                Some(b',') => self.space(),
                Some(b'}') => return Ok(()),
                _ => return Err(Unreadable("an object that does not end")),
            }
        }
    }

    /// A value that may be `null`.
    #[inline]
    pub(super) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Scanned<T>) -> Scanned<Option<T>> {
        if self.peek() == Some(b'n') {
            self.literal("null")?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// A string that has no escapes, without its quotes: no address, signature or method has any.
    #[inline]
    pub(super) fn plain(&mut self) -> Scanned<Span> {
        let quoted = self.quoted()?;
        if quoted.escaped {
            return Err(Unreadable("an escape where none belongs"));
        }
        Span::new(quoted.start, quoted.end)
    }

    /// An integer without a sign.
    #[inline]
    pub(super) fn unsigned(&mut self) -> Scanned<u64> {
        let start = self.at;
        let mut value: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                .ok_or(Unreadable("an integer that is too large"))?;
            self.at += 1;
        }
        let leading_zero = self.at - start > 1 && self.byte(start) == Some(b'0');
        if self.at == start || leading_zero {
            return Err(Unreadable("an integer is expected"));
        }
        Ok(value)
    }

    /// An integer with or without a sign.
    pub(super) fn signed(&mut self) -> Scanned<i64> {
        let too_large = Unreadable("an integer that is too large");
        if self.peek() != Some(b'-') {
            return self.unsigned()?.try_into().map_err(|_| too_large);
        }
        self.at += 1;
        match self.unsigned()? {
            0 => Err(Unreadable("an integer is expected")),
            value => 0_i64.checked_sub_unsigned(value).ok_or(too_large),
        }
    }

    /// An integer of 32 bits.
    pub(super) fn index(&mut self) -> Scanned<u32> {
        self.unsigned()?
            .try_into()
            .map_err(|_| Unreadable("an integer that is too large"))
    }

    /// Any value, which is skipped.
    #[inline]
    pub(super) fn value(&mut self) -> Scanned<Span> {
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') => self.container()?,
            Some(b'"') => drop(self.string()?),
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(Unreadable("a value is expected")),
        }
        self.since(start)
    }

    /// A string with its escapes resolved.
    pub(super) fn string(&mut self) -> Scanned<Cow<'a, str>> {
        let quoted = self.quoted()?;
        self.unescaped(&quoted)
    }

    #[inline]
    fn unescaped(&self, quoted: &Quoted) -> Scanned<Cow<'a, str>> {
        if quoted.escaped {
            let with_quotes = &self.text[quoted.start - 1..=quoted.end];
            return resolve_escapes(with_quotes);
        }
        Ok(Cow::Borrowed(&self.text[quoted.start..quoted.end]))
    }

    #[inline]
    fn quoted(&mut self) -> Scanned<Quoted> {
        self.expect(b'"', "a string is expected")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = special_byte(self.text.as_bytes(), self.at);
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                }
                Some(_) => return Err(Unreadable("a control character in a string")),
                None => return Err(Unreadable("a string that does not end")),
            }
        }
        Ok(Quoted {
            start,
            end: self.at - 1,
            escaped,
        })
    }

    /// Skips an array or an object.
    fn container(&mut self) -> Scanned<()> {
        let bytes = self.text.as_bytes();
        // One bit for each container that is open, the innermost one last: whether it is an object.
        let mut open: u128 = 0;
        let mut depth = 0_u32;
        let mut at = self.at;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'"' => at = string_end(bytes, at).ok_or(Unreadable("a string that does not end"))?,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(Unreadable("it is nested too deeply"));
                    }
                    open = open << 1 | u128::from(byte == b'{');
                }
                b'}' | b']' => {
                    if (open & 1 == 1) != (byte == b'}') {
                        return Err(Unreadable("brackets that do not match"));
                    }
                    open >>= 1;
                    depth -= 1;
                    if depth == 0 {
                        self.at = at;
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        Err(Unreadable("brackets that do not match"))
    }

    /// Skips a number in any of JSON's forms.
    fn number(&mut self) -> Scanned<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        if self.digits()? > 1 && zero {
            return Err(Unreadable("a number with leading zeros"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Scanned<usize> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at - start {
            0 => Err(Unreadable("a number without digits")),
            count => Ok(count),
        }
    }

    fn literal(&mut self, literal: &'static str) -> Scanned<()> {
        match self.skip(literal) {
            true => Ok(()),
            false => Err(Unreadable("a value is expected")),
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Scanned<()> {
        if self.next() == Some(byte) {
            Ok(())
        } else {
            Err(Unreadable(otherwise))
        }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
}

#[cold]
fn resolve_escapes(quoted: &str) -> Scanned<Cow<'static, str>> {
    serde_json::from_str::<String>(quoted)
        .map(Cow::Owned)
        .map_err(|_| Unreadable("an escape that JSON does not have"))
}
