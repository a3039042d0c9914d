//! Which sessions a run needs: pure arithmetic on slot ranges.

use std::fmt;
use std::num::NonZeroU64;

use thiserror::Error;

/// Slots from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl SlotRange {
    /// How many slots, with and without a block.
    pub(crate) fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    fn contains(self, slot: u64) -> bool {
        (self.first..=self.last).contains(&slot)
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", self.first, self.last)
    }
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) start: Option<u64>,
    pub(crate) end: End,
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the last slot there is.
    Last,
    /// With this slot.
    Slot(u64),
    /// After so many slots.
    Slots(NonZeroU64),
}

/// The sessions of a run, in slot order, without overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) sessions: Vec<SlotRange>,
    /// Slots between the sessions, which nobody offers.
    pub(crate) gaps: Vec<SlotRange>,
}

/// Why the wanted range cannot be replayed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum PlanError {
    #[error("there is no slot range to replay: the server offers none")]
    Nothing,
    #[error(
        "start slot {slot} is outside of what there is: slots {}; choose --start-slot from it",
        Ranges(offered)
    )]
    Start { slot: u64, offered: Vec<SlotRange> },
    #[error(
        "end slot {slot} is outside of what there is: slots {}; choose --end-slot or --slots from it",
        Ranges(offered)
    )]
    End { slot: u64, offered: Vec<SlotRange> },
    #[error("end slot {end} is before start slot {start}")]
    Backwards { start: u64, end: u64 },
}

impl Plan {
    /// Cuts what was asked for into sessions over what is offered.
    pub(crate) fn new(offered: &[SlotRange], wanted: Wanted) -> Result<Self, PlanError> {
        let offered = sorted(offered);
        let (Some(first), Some(last)) = (offered.first(), offered.iter().map(|range| range.last).max()) else {
            return Err(PlanError::Nothing);
        };
        let start = wanted.start.unwrap_or(first.first);
        let end = match wanted.end {
            End::Last => last,
            End::Slot(slot) => slot,
            End::Slots(count) => start.saturating_add(u64::from(count) - 1),
        };
        if end < start && offered.iter().any(|range| range.contains(start)) {
            return Err(PlanError::Backwards { start, end });
        }
        let known = |slot| offered.iter().any(|range| range.contains(slot));
        if !known(start) {
            return Err(PlanError::Start { slot: start, offered });
        }
        if !known(end) {
            return Err(PlanError::End { slot: end, offered });
        }
        Ok(Self::cut(
            &offered,
            SlotRange {
                first: start,
                last: end,
            },
        ))
    }

    /// Sessions and gaps of a range whose first and last slot are offered.
    fn cut(offered: &[SlotRange], wanted: SlotRange) -> Self {
        let mut plan = Self {
            sessions: Vec::new(),
            gaps: Vec::new(),
        };
        let mut next = wanted.first;
        for range in offered.iter().filter(|range| range.first <= wanted.last) {
            if range.last < next || next > wanted.last {
                continue;
            }
            if range.first > next {
                plan.gaps.push(SlotRange {
                    first: next,
                    last: range.first - 1,
                });
            }
            let session = SlotRange {
                first: range.first.max(next),
                last: range.last.min(wanted.last),
            };
            plan.sessions.push(session);
            next = session.last.saturating_add(1);
        }
        plan
    }

    /// First slot of the first session to last slot of the last one.
    pub(crate) fn span(&self) -> SlotRange {
        let first = self.sessions.first().expect("a plan has at least one session");
        let last = self.sessions.last().expect("a plan has at least one session");
        SlotRange {
            first: first.first,
            last: last.last,
        }
    }

    /// How many slots all sessions have together.
    pub(crate) fn slots(&self) -> u64 {
        self.sessions
            .iter()
            .map(|session| session.len())
            .fold(0, u64::saturating_add)
    }
}

/// By first slot, the longest first where several begin together.
fn sorted(offered: &[SlotRange]) -> Vec<SlotRange> {
    let mut offered = offered.to_vec();
    offered.sort_by_key(|range| (range.first, std::cmp::Reverse(range.last)));
    offered
}

/// `36 to 59, 100 to 120`.
struct Ranges<'a>(&'a [SlotRange]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{range}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> SlotRange {
        SlotRange { first, last }
    }

    fn plan(offered: &[(u64, u64)], start: Option<u64>, end: End) -> Result<Plan, PlanError> {
        let offered: Vec<_> = offered.iter().map(|&(first, last)| range(first, last)).collect();
        Plan::new(&offered, Wanted { start, end })
    }

    fn sessions(offered: &[(u64, u64)], start: Option<u64>, end: End) -> Vec<(u64, u64)> {
        let plan = plan(offered, start, end).expect("a plan");
        plan.sessions
            .iter()
            .map(|session| (session.first, session.last))
            .collect()
    }

    fn slots(count: u64) -> End {
        End::Slots(NonZeroU64::new(count).expect("not zero"))
    }

    #[test]
    fn whole_range_by_default() {
        assert_eq!(sessions(&[(36, 59)], None, End::Last), [(36, 59)]);
    }

    #[test]
    fn part_of_a_range() {
        assert_eq!(sessions(&[(36, 59)], Some(40), End::Slot(41)), [(40, 41)]);
        assert_eq!(sessions(&[(36, 59)], Some(40), slots(1)), [(40, 40)]);
        assert_eq!(sessions(&[(36, 59)], None, slots(24)), [(36, 59)]);
    }

    #[test]
    fn one_session_a_range_in_slot_order_without_overlap() {
        let offered = [(30, 50), (10, 20), (15, 40), (12, 13)];
        assert_eq!(sessions(&offered, None, End::Last), [(10, 20), (21, 40), (41, 50)]);
        assert_eq!(sessions(&offered, Some(16), End::Slot(33)), [(16, 20), (21, 33)]);
    }

    #[test]
    fn gaps_are_named() {
        let plan = plan(&[(10, 20), (31, 40)], None, End::Last).expect("a plan");
        assert_eq!(plan.gaps, [range(21, 30)]);
        assert_eq!((plan.slots(), plan.span()), (21, range(10, 40)));
    }

    #[test]
    fn slots_that_nobody_offers_are_refused() {
        insta::assert_snapshot!(plan(&[(36, 59)], Some(35), End::Last).expect_err("before"), @"start slot 35 is outside of what there is: slots 36 to 59; choose --start-slot from it");
        insta::assert_snapshot!(plan(&[(36, 59), (70, 80)], None, End::Slot(60)).expect_err("after"), @"end slot 60 is outside of what there is: slots 36 to 59, 70 to 80; choose --end-slot or --slots from it");
        insta::assert_snapshot!(plan(&[(36, 59)], None, slots(25)).expect_err("one too many"), @"end slot 60 is outside of what there is: slots 36 to 59; choose --end-slot or --slots from it");
        insta::assert_snapshot!(plan(&[(36, 59)], None, End::Slot(3)).expect_err("before"), @"end slot 3 is before start slot 36");
        insta::assert_snapshot!(plan(&[], None, End::Last).expect_err("nothing"), @"there is no slot range to replay: the server offers none");
    }

    #[test]
    fn the_last_slot_number_does_not_overflow() {
        assert_eq!(sessions(&[(0, u64::MAX)], Some(5), slots(u64::MAX)), [(5, u64::MAX)]);
        assert_eq!(
            plan(&[(0, u64::MAX)], None, End::Last).expect("a plan").slots(),
            u64::MAX
        );
    }
}
