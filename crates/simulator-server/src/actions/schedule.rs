//! Which actions run where. No engine, no waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_engine::DecodedBlock;
use solana_pubkey::Pubkey;

use super::{Action, Anchor, Edge};
use crate::discovery::Filters;

/// The actions of a session that are still to come.
#[derive(Debug)]
pub(crate) struct Schedule {
    actions: Arc<[Action]>,
    /// What is due at slots that have not been opened.
    at_slots: BTreeMap<Slot, Vec<Firing>>,
    /// The filters of the actions that wait for a match, and which actions those are.
    filters: Filters,
    waiting: Vec<usize>,
    /// Blocks that have been opened.
    blocks: u64,
}

/// An action at one of its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) action: usize,
    /// Which of its transactions run.
    pub(crate) transactions: Range<usize>,
}

/// What is due in one slot, each part in the order of the create.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Agenda {
    /// For slots before this one that have no block.
    pub(crate) missed: Vec<(Slot, Firing)>,
    /// Before the first batch.
    pub(crate) before: Vec<Firing>,
    /// After the last one.
    pub(crate) after: Vec<Firing>,
    /// Before and after transactions, by their index in the block.
    pub(crate) around: BTreeMap<usize, Around>,
}

/// What is due at one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Around {
    pub(crate) before: Vec<Firing>,
    pub(crate) after: Vec<Firing>,
}

impl Schedule {
    /// The schedule of a session over a range that leaves out the transactions of some signers. Slots of other ranges are
    /// none of its business. `None` if there is nothing to do.
    pub(crate) fn new(
        actions: Arc<[Action]>,
        range: &RangeInclusive<Slot>,
        ignored_signers: BTreeSet<Pubkey>,
    ) -> Option<Self> {
        if actions.is_empty() {
            return None;
        }
        let mut at_slots: BTreeMap<Slot, Vec<Firing>> = BTreeMap::new();
        let (mut filters, mut waiting) = (Vec::new(), Vec::new());
        for (index, action) in actions.iter().enumerate() {
            match &action.anchor {
                Anchor::Slots(_, slots) => {
                    let mine = (0..).zip(slots).filter(|(_, slot)| range.contains(slot));
                    for (transaction, slot) in mine {
                        at_slots.entry(*slot).or_default().push(Firing {
                            action: index,
                            transactions: transaction..transaction + 1,
                        });
                    }
                }
                Anchor::Match(_, filter) => {
                    filters.push(filter.clone());
                    waiting.push(index);
                }
                Anchor::Every(..) => {}
            }
        }
        Some(Self {
            actions,
            at_slots,
            filters: Filters::new(filters, ignored_signers),
            waiting,
            blocks: 0,
        })
    }

    pub(crate) fn actions(&self) -> &Arc<[Action]> {
        &self.actions
    }

    /// What is due in the slot of a block, which is the next one of the session.
    pub(crate) fn open(&mut self, block: &DecodedBlock) -> Agenda {
        let slot = block.block().slot;
        let mut agenda = Agenda {
            missed: self.missed_before(slot),
            around: self.around(block),
            ..Agenda::default()
        };
        let listed = self.at_slots.remove(&slot).unwrap_or_default();
        for firing in listed.into_iter().chain(self.recurring()) {
            match self.edge(&firing) {
                Edge::Before => agenda.before.push(firing),
                Edge::After => agenda.after.push(firing),
            }
        }
        agenda.before.sort_by_key(Firing::order);
        agenda.after.sort_by_key(Firing::order);
        self.blocks += 1;
        agenda
    }

    /// What is due at slots for which no block came, now that none will come any more.
    pub(crate) fn end(&mut self) -> Vec<(Slot, Firing)> {
        one_by_one(std::mem::take(&mut self.at_slots))
    }

    fn missed_before(&mut self, slot: Slot) -> Vec<(Slot, Firing)> {
        let later = self.at_slots.split_off(&slot);
        one_by_one(std::mem::replace(&mut self.at_slots, later))
    }

    fn recurring(&self) -> impl Iterator<Item = Firing> {
        let is_due = |(_, action): &(usize, &Action)| match action.anchor {
            Anchor::Every(_, blocks) => self.blocks.is_multiple_of(blocks.get()),
            _ => false,
        };
        let due = self.actions.iter().enumerate().filter(is_due);
        due.map(|(index, action)| Firing::all_of(index, action))
    }

    fn around(&self, block: &DecodedBlock) -> BTreeMap<usize, Around> {
        let mut around: BTreeMap<usize, Around> = BTreeMap::new();
        if self.waiting.is_empty() {
            return around;
        }
        for (transaction, filter) in self.filters.matches(block) {
            let action = self.waiting[filter];
            let firing = Firing::all_of(action, &self.actions[action]);
            let around = around.entry(transaction).or_default();
            match self.edge(&firing) {
                Edge::Before => around.before.push(firing),
                Edge::After => around.after.push(firing),
            }
        }
        around
    }

    fn edge(&self, firing: &Firing) -> Edge {
        match self.actions[firing.action].anchor {
            Anchor::Slots(edge, _) | Anchor::Every(edge, _) | Anchor::Match(edge, _) => edge,
        }
    }
}

impl Firing {
    fn all_of(index: usize, action: &Action) -> Self {
        Self {
            action: index,
            transactions: 0..action.transactions.len(),
        }
    }

    fn order(&self) -> (usize, usize) {
        (self.action, self.transactions.start)
    }
}

fn one_by_one(at_slots: BTreeMap<Slot, Vec<Firing>>) -> Vec<(Slot, Firing)> {
    let each = |(slot, firings): (Slot, Vec<Firing>)| firings.into_iter().map(move |firing| (slot, firing));
    at_slots.into_iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use simulator_api::DiscoveryFilter;
    use solana_transaction::versioned::VersionedTransaction;

    use super::*;
    use crate::actions::Kind;
    use crate::discovery::tests::{block_of_calls, key};

    fn action(anchor: Anchor, transactions: usize) -> Action {
        Action {
            anchor,
            kind: Kind::Simulate,
            transactions: vec![VersionedTransaction::default(); transactions],
            overrides: Vec::new(),
            shown: Vec::new(),
            label: None,
        }
    }

    fn schedule(anchors: Vec<Anchor>) -> Schedule {
        let of = |anchor| match anchor {
            Anchor::Slots(_, ref slots) => action(anchor.clone(), slots.len()),
            anchor => action(anchor, 2),
        };
        let actions = anchors.into_iter().map(of).collect();
        Schedule::new(actions, &(10..=20), BTreeSet::new()).unwrap()
    }

    fn at(slot: Slot) -> DecodedBlock {
        block_of_calls(slot, &[])
    }

    fn shown(firings: &[Firing]) -> Vec<(usize, Range<usize>)> {
        let show = |firing: &Firing| (firing.action, firing.transactions.clone());
        firings.iter().map(show).collect()
    }

    #[test]
    fn runs_each_transaction_at_its_slot_and_says_which_slots_had_no_block() {
        let mut schedule = schedule(vec![
            Anchor::Slots(Edge::After, vec![12, 10, 12, 13]),
            Anchor::Slots(Edge::Before, vec![12, 9, 17]),
        ]);
        let first = schedule.open(&at(10));
        assert_eq!(shown(&first.after), [(0, 1..2)]);
        assert!(
            first.before.is_empty() && first.missed.is_empty(),
            "slot 9 is another range's"
        );
        let second = schedule.open(&at(12));
        assert_eq!(shown(&second.after), [(0, 0..1), (0, 2..3)]);
        assert_eq!(shown(&second.before), [(1, 0..1)]);
        let missed = schedule.open(&at(15)).missed;
        assert_eq!((missed.len(), missed[0].0), (1, 13));
        let rest = schedule.end();
        assert_eq!((rest[0].0, shown(&[rest[0].1.clone()])), (17, vec![(1, 2..3)]));
        assert!(schedule.end().is_empty(), "nothing is told twice");
    }

    #[test]
    fn counts_blocks_and_not_slots_and_keeps_the_order_of_the_create() {
        let two = NonZeroU64::new(2).unwrap();
        let mut schedule = schedule(vec![
            Anchor::Every(Edge::Before, NonZeroU64::MIN),
            Anchor::Slots(Edge::Before, vec![13]),
            Anchor::Every(Edge::Before, two),
            Anchor::Every(Edge::After, two),
        ]);
        let mut actions_before = |slot| {
            let agenda = schedule.open(&at(slot));
            let of = |firings: &[Firing]| firings.iter().map(|firing| firing.action).collect::<Vec<_>>();
            (of(&agenda.before), of(&agenda.after))
        };
        assert_eq!(actions_before(10), (vec![0, 2], vec![3]));
        assert_eq!(actions_before(11), (vec![0], vec![]));
        assert_eq!(actions_before(13), (vec![0, 1, 2], vec![3]));
    }

    #[test]
    fn finds_the_transactions_that_filters_look_for() {
        let filter = |program| DiscoveryFilter::ProgramExecuted(key(program));
        let schedule = schedule(vec![
            Anchor::Match(Edge::After, filter(100)),
            Anchor::Match(Edge::Before, filter(101)),
            Anchor::Match(Edge::Before, filter(100)),
        ]);
        let block = block_of_calls(10, &[(1, 100), (2, 50), (3, 101)]);
        let around = schedule.around(&block);
        assert_eq!(around.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(shown(&around[&0].before), [(2, 0..2)]);
        assert_eq!(shown(&around[&0].after), [(0, 0..2)]);
        assert_eq!(
            (shown(&around[&2].before), around[&2].after.len()),
            (vec![(1, 0..2)], 0)
        );
    }
}
