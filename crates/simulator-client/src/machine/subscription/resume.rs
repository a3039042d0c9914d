//! How far a subscription has got, and what it has seen already.
//!
//! A server that gives each notification a cursor is asked for what follows the last one. Any other is asked for the
//! whole of the last slot again, and what was delivered of it is recognised by its identity.

use std::collections::HashMap;

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
    ends: Vec<usize>,
}

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
    pub(super) fn interrupt(&mut self) {
        if let Self::Within(boundary) = self {
            boundary.repeats = Some(boundary.delivered.count());
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

    /// Takes the next notification. `identify` writes what tells it from all others of its slot.
    #[inline]
    pub(super) fn admit(
        &mut self,
        slot: u64,
        cursor: Option<Cursor>,
        identify: impl FnOnce(&mut Identities),
    ) -> Admission {
        match (self, cursor) {
            (Self::After(last), Some(cursor)) if cursor <= *last => Admission::Duplicate,
            (Self::After(last), Some(cursor)) => {
                *last = cursor;
                Admission::New
            }
            // A server that has learned to give cursors meanwhile still repeats the slot that it was asked for.
            (Self::Within(boundary), cursor) if cursor.is_none() || boundary.repeats(slot) => {
                boundary.admit(slot, identify)
            }
            (position, Some(cursor)) => {
                let admission = position.admission_of_new();
                *position = Self::After(cursor);
                admission
            }
            (position, None) => {
                *position = Self::Within(Boundary::new(slot, identify));
                Admission::New
            }
        }
    }
}

impl Boundary {
    fn new(slot: u64, identify: impl FnOnce(&mut Identities)) -> Self {
        let mut delivered = Identities::default();
        identify(&mut delivered);
        delivered.end();
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
    fn admit(&mut self, slot: u64, identify: impl FnOnce(&mut Identities)) -> Admission {
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
        identify(&mut self.delivered);
        self.delivered.end();
        let Some(repeats) = &mut self.repeats else {
            return new;
        };
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

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn start_of(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn last(&self) -> &[u8] {
        let start = self.start_of(self.ends.len().saturating_sub(1));
        &self.bytes[start..]
    }

    fn remove_last(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// How often each identity occurs.
    fn count(&self) -> HashMap<Box<[u8]>, u32> {
        let mut counts: HashMap<Box<[u8]>, u32> = HashMap::new();
        for (number, &end) in self.ends.iter().enumerate() {
            let identity = &self.bytes[self.start_of(number)..end];
            *counts.entry(identity.into()).or_default() += 1;
        }
        counts
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
