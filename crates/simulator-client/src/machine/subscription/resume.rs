//! How far a subscription has got, and what it has seen already.
//!
//! A server that gives each notification a cursor is asked for what follows the last one. Any other is asked for the
//! whole of the last slot again, and what was delivered of it is recognised by its identity.

use std::collections::HashMap;
use std::mem;

use simulator_api::Cursor;

/// How far one subscription has got.
#[derive(Debug)]
pub(super) enum Position {
    /// Nothing was delivered yet; the first slot that is wanted, if the caller named one.
    Start(Option<u64>),
    /// The last notification was this one.
    After(Cursor),
    /// The last notification had no cursor and was of this slot.
    Within(Boundary),
}

/// The slot of the last notification, with everything that was delivered of it.
#[derive(Debug)]
pub(super) struct Boundary {
    slot: u64,
    delivered: Identities,
    /// Since the connection was lost: what will come again, and how often. Until a later slot begins.
    repeats: Option<HashMap<Box<[u8]>, u32>>,
}

/// Where the stream is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// At its beginning.
    Beginning,
    /// With everything of this slot.
    From(u64),
    /// Behind this notification.
    After(Cursor),
}

/// What is to become of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is new.
    New,
    /// It is new, although it is of a part of the stream that is sent again.
    NewAmongRepeats,
    /// It is new, and the server has not repeated what it was asked to repeat: what lies between may be missing.
    NewBehindHole,
    /// It was delivered before.
    Duplicate,
}

/// What identifies notifications, one after the other in one place.
#[derive(Debug, Default)]
pub(super) struct Identities {
    bytes: Vec<u8>,
    ends: Vec<End>,
}

/// Where the identity of a notification ends.
#[derive(Clone, Copy, Debug)]
struct End {
    at: usize,
    /// Whether the result stands there, because nobody has needed to know yet what in it identifies it.
    is_result: bool,
}

/// Writes what tells a notification from all others of its slot, given its result or enough of its beginning.
pub(super) type Identify = fn(&str, &mut Identities);

/// Results up to this many bytes are remembered as they are: to copy them is quicker than to look into them.
const MAX_RESULT: usize = 1024;

impl Position {
    /// Where to go on.
    pub(super) fn resume(&self) -> Resume {
        match self {
            Self::Start(None) => Resume::Beginning,
            Self::Start(Some(slot)) => Resume::From(*slot),
            Self::After(cursor) => Resume::After(*cursor),
            Self::Within(boundary) => Resume::From(boundary.slot),
        }
    }

    /// The connection is lost: from here on what was delivered will come again.
    pub(super) fn interrupt(&mut self, identify: Identify) {
        if let Self::Within(boundary) = self {
            boundary.repeats = Some(boundary.delivered.count(identify));
        }
    }

    /// Whether the server still owes repeats. One that does not keep notifications does not repeat them either, and
    /// what it told nobody while the connection was lost is missing.
    pub(super) fn lacks_repeats(&self) -> bool {
        match self {
            Self::Within(boundary) => boundary.lacks_repeats(),
            Self::Start(_) | Self::After(_) => false,
        }
    }

    fn admission_of_new(&self) -> Admission {
        match self.lacks_repeats() {
            true => Admission::NewBehindHole,
            false => Admission::New,
        }
    }

    /// Takes the next notification. `result` gives as much of its result as identifies it, and what does that.
    #[inline]
    pub(super) fn admit<'a>(
        &mut self,
        slot: u64,
        cursor: Option<Cursor>,
        result: impl FnOnce() -> (&'a str, Identify),
    ) -> Admission {
        match (self, cursor) {
            (Self::After(last), Some(cursor)) if cursor <= *last => Admission::Duplicate,
            (Self::After(last), Some(cursor)) => {
                *last = cursor;
                Admission::New
            }
            // A server that has learned to give cursors meanwhile still repeats the slot that it was asked for.
            (Self::Within(boundary), cursor) if cursor.is_none() || boundary.repeats(slot) => {
                boundary.admit(slot, result)
            }
            (position, Some(cursor)) => {
                let admission = position.admission_of_new();
                *position = Self::After(cursor);
                admission
            }
            (position, None) => {
                *position = Self::Within(Boundary::new(slot, result));
                Admission::New
            }
        }
    }
}

impl Boundary {
    fn new<'a>(slot: u64, result: impl FnOnce() -> (&'a str, Identify)) -> Self {
        let (result, identify) = result();
        let mut delivered = Identities::default();
        delivered.remember(result, identify);
        Self {
            slot,
            delivered,
            repeats: None,
        }
    }

    /// Whether a notification of this slot may be one that was delivered before.
    fn repeats(&self, slot: u64) -> bool {
        self.repeats.is_some() && slot <= self.slot
    }

    fn lacks_repeats(&self) -> bool {
        self.repeats.as_ref().is_some_and(|repeats| !repeats.is_empty())
    }

    #[inline]
    fn admit<'a>(&mut self, slot: u64, result: impl FnOnce() -> (&'a str, Identify)) -> Admission {
        let mut new = Admission::New;
        if slot > self.slot {
            if self.lacks_repeats() {
                new = Admission::NewBehindHole;
            }
            self.slot = slot;
            self.delivered.clear();
            self.repeats = None;
        } else if slot < self.slot {
            // Streams are in the order of slots: what is older was delivered before the boundary was.
            let admission = self.repeats.as_ref().map(|_| Admission::Duplicate);
            return admission.unwrap_or(Admission::New);
        }
        let (result, identify) = result();
        let Some(repeats) = &mut self.repeats else {
            self.delivered.remember(result, identify);
            return new;
        };
        self.delivered.identify(result, identify);
        if take(repeats, self.delivered.last()) {
            self.delivered.remove_last();
            return Admission::Duplicate;
        }
        Admission::NewAmongRepeats
    }
}

impl Identities {
    /// Adds a part of the next identity. A missing part differs from an empty one.
    #[inline]
    pub(super) fn part(&mut self, part: Option<&str>) {
        let length = part.map_or(u32::MAX, |part| u32::try_from(part.len()).unwrap_or(u32::MAX - 1));
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(part.unwrap_or_default().as_bytes());
    }

    /// Adds a number to the next identity.
    #[inline]
    pub(super) fn number(&mut self, number: Option<u32>) {
        let number = number.map_or(u64::MAX, u64::from);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// Adds a notification, in the form that is quickest to write.
    #[inline]
    fn remember(&mut self, result: &str, identify: Identify) {
        if result.len() > MAX_RESULT {
            return self.identify(result, identify);
        }
        self.bytes.extend_from_slice(result.as_bytes());
        self.end(true);
    }

    /// Adds a notification's identity.
    fn identify(&mut self, result: &str, identify: Identify) {
        identify(result, self);
        self.end(false);
    }

    #[inline]
    fn end(&mut self, is_result: bool) {
        let at = self.bytes.len();
        self.ends.push(End { at, is_result });
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn start_of(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before].at)
    }

    fn last(&self) -> &[u8] {
        let start = self.start_of(self.ends.len().saturating_sub(1));
        &self.bytes[start..]
    }

    fn remove_last(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().map_or(0, |end| end.at));
    }

    /// How often each identity occurs.
    fn count(&mut self, identify: Identify) -> HashMap<Box<[u8]>, u32> {
        self.resolve(identify);
        let mut counts: HashMap<Box<[u8]>, u32> = HashMap::new();
        for (number, end) in self.ends.iter().enumerate() {
            let identity = &self.bytes[self.start_of(number)..end.at];
            *counts.entry(identity.into()).or_default() += 1;
        }
        counts
    }

    /// Replaces results by what identifies them.
    fn resolve(&mut self, identify: Identify) {
        let Self { bytes, ends } = mem::take(self);
        let mut start = 0;
        for End { at, is_result } in ends {
            let entry = &bytes[start..at];
            match str::from_utf8(entry) {
                Ok(result) if is_result => identify(result, self),
                _ => self.bytes.extend_from_slice(entry),
            }
            self.end(false);
            start = at;
        }
    }
}

/// Takes one of an identity away, if there is one.
fn take(counts: &mut HashMap<Box<[u8]>, u32>, identity: &[u8]) -> bool {
    let Some(count) = counts.get_mut(identity) else {
        return false;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(identity);
    }
    true
}
