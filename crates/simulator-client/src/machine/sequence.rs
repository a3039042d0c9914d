//! Sequence numbers of a session's events.

/// How far a session's events have been received. It never moves backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCursor {
    last: Option<u64>,
}

/// How an event stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one, or the first of all.
    Next,
    /// It was received before.
    Duplicate,
    /// At least one before it is missing.
    Gap {
        /// The number that should have come.
        expected: u64,
    },
}

impl SequenceCursor {
    /// A cursor behind the event with the number `last`.
    pub fn after(last: Option<u64>) -> Self {
        Self { last }
    }

    /// The highest number received.
    pub fn last(self) -> Option<u64> {
        self.last
    }

    /// Takes the number of the next event. A gap moves the cursor too, so that it is reported once.
    pub fn observe(&mut self, number: u64) -> Arrival {
        let arrival = match self.last {
            Some(last) if number <= last => return Arrival::Duplicate,
            Some(last) if number > last + 1 => Arrival::Gap { expected: last + 1 },
            _ => Arrival::Next,
        };
        self.last = Some(number);
        arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gap_between_two_numbers_is_a_gap() {
        let mut cursor = SequenceCursor::default();
        assert_eq!(cursor.observe(7), Arrival::Next);
        assert_eq!(cursor.observe(8), Arrival::Next);
        assert_eq!(cursor.observe(8), Arrival::Duplicate);
        assert_eq!(cursor.observe(3), Arrival::Duplicate);
        assert_eq!(cursor.observe(11), Arrival::Gap { expected: 9 });
        assert_eq!(cursor.observe(12), Arrival::Next);
        assert_eq!(cursor.last(), Some(12));
    }

    #[test]
    fn an_attached_session_misses_what_lies_between() {
        assert_eq!(SequenceCursor::after(Some(4)).observe(6), Arrival::Gap { expected: 5 });
        assert_eq!(
            SequenceCursor::after(Some(u64::MAX)).observe(u64::MAX),
            Arrival::Duplicate
        );
    }
}
