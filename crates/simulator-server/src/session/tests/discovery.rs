//! Conversations of a session with filters, above all those of the stepping helper of the published clients.

use std::collections::VecDeque;

use simulator_api::DiscoveryBatchEvent;

use super::*;

impl Worker {
    /// A session with filters that find these batches.
    fn discovering(blocks: &[(u64, usize)], finds: &[(u64, u32)], stop: Stop) -> Self {
        let end = blocks.last().map_or(0, |(slot, _)| *slot);
        let mut worker = Self::new(blocks, end, Start::Discovering(stop));
        for (slot, batch) in finds {
            worker.finds.entry(*slot).or_default().push(*batch);
        }
        worker
    }

    /// Tells of what came into sight with this slot, as the scout does: its own finds, and the first ones after it.
    pub(super) fn look_ahead(&mut self, slot: u64) {
        let own = self.finds.remove(&slot);
        let in_sight = self.blocks.keys().take(self.sight).copied();
        let next = in_sight.clone().find(|slot| self.finds.contains_key(slot));
        let is_told = next.is_some_and(|next| self.finds[&next].is_empty());
        let next = next.filter(|_| !is_told);
        let found = own.map(|own| (slot, own)).into_iter();
        let next = next.and_then(|next| Some((next, std::mem::take(self.finds.get_mut(&next)?))));
        let found = found
            .chain(next)
            .flat_map(|(slot, batches)| batches.into_iter().map(move |batch| find(slot, batch)));
        self.session.sighted(found.collect());
    }
}

fn find(slot: u64, batch_index: u32) -> DiscoveryBatchEvent {
    DiscoveryBatchEvent {
        slot,
        batch_index,
        matched: Vec::new(),
        transactions: Vec::new(),
        transaction_indices: Vec::new(),
    }
}

fn to_the_end() -> Order {
    blocks(u64::MAX)
}

/// Slots 10, 11 and 13, with finds in the first batch, in the middle of a slot, in two batches of one, and the last.
const BLOCKS: &[(u64, usize)] = &[(10, 2), (11, 4), (13, 2)];
const FINDS: &[(u64, u32)] = &[(10, 0), (11, 1), (11, 2), (13, 1)];

fn started() -> Worker {
    let mut worker = Worker::discovering(BLOCKS, FINDS, Stop::Ready);
    assert_eq!(worker.run(), ["ready", "found 10/0"]);
    assert_eq!(
        worker.take_done(),
        "open 10",
        "so that its first batch can be stopped at"
    );
    worker
}

#[test]
fn stops_at_every_find_and_tells_the_next_after_each_pause() {
    let mut worker = started();
    assert_eq!(worker.go(to(10, 0)), ["paused 10/0", "found 11/1"]);
    assert_eq!(worker.take_done(), "", "nothing of batch 0 is applied");
    assert_eq!(worker.go(to(11, 1)), ["slot 10", "paused 11/1", "found 11/2"]);
    assert_eq!(worker.take_done(), "batch batch close open 11 batch");
    assert_eq!(worker.go(to(11, 2)), ["paused 11/2", "found 13/1"]);
    assert_eq!(worker.go(to(13, 1)), ["slot 11", "paused 13/1", "ready"]);
    assert_eq!(worker.go(to_the_end()), ["slot 13", "completed"]);
}

#[test]
fn holds_a_run_to_the_end_before_an_announced_batch_until_it_is_answered() {
    let mut worker = started();
    assert_eq!(worker.go(to_the_end()), Vec::<String>::new(), "held, and silently");
    assert!(worker.told_with_statuses().is_empty());
    assert_eq!(worker.go(to(10, 0)), ["paused 10/0", "found 11/1"]);
    assert_eq!(worker.go(to_the_end()), ["slot 10"]);
    assert_eq!(worker.take_done(), "batch batch close open 11 batch");
    assert_eq!(worker.go(named("on", u64::MAX)), ["found 11/2"], "held at the next one");
    assert_eq!(worker.go(named("one", 1)), ["one: slot 11", "one: ready", "found 13/1"]);
}

#[test]
fn a_continue_that_waits_is_the_answer_when_the_run_before_it_is_held() {
    let mut worker = started();
    worker.go(to(10, 0));
    worker.session.order(named("a", u64::MAX));
    worker.session.order(named("b", 1));
    let told = worker.run();
    assert_eq!(
        told,
        ["a: slot 10", "found 11/2", "b: slot 11", "b: ready", "found 13/1"]
    );
}

#[test]
fn a_held_session_executes_what_is_sent_and_applies_the_changes_of_an_answer() {
    let mut worker = started();
    worker.go(to_the_end());
    worker.session.send(SendId(7)).unwrap();
    assert!(worker.run().is_empty());
    assert_eq!(worker.take_done(), "send 7");
    let changes = Changes {
        accounts: vec![(Pubkey::default(), AccountSharedData::default())],
        transactions: Vec::new(),
    };
    let order = |request: &str, changes| Order::Continue {
        request: RequestId::new(request).ok(),
        blocks: u64::MAX,
        changes,
    };
    worker.go(order("a", changes.clone()));
    assert_eq!(worker.take_done(), "apply 1 batch batch close open 11 batch");

    // An order that comes before the changes of the one before it are applied does not push them aside.
    let mut worker = started();
    worker.take_done();
    worker.session.order(order("a", changes));
    worker.session.order(order("b", Changes::default()));
    worker.run();
    assert_eq!(worker.take_done(), "apply 1 batch batch close open 11 batch");
}

#[test]
fn reminds_of_what_it_waits_for() {
    let mut worker = started();
    worker.session.remind();
    assert_eq!(worker.run(), ["ready"]);
    worker.go(to_the_end());
    assert!(worker.session.is_waiting(), "held");
    worker.session.remind();
    assert_eq!(
        worker.run(),
        ["ready"],
        "whoever comes back may have sent an answer that was lost"
    );
    assert_eq!(worker.go(to(10, 0)), ["paused 10/0", "found 11/1"]);
    worker.session.remind();
    assert_eq!(
        worker.run(),
        ["paused 10/0"],
        "the announcement is sent again by number"
    );
    worker.session.order(blocks(1));
    worker.session.remind();
    assert_eq!(worker.run(), ["slot 10", "ready"], "it does not wait while it runs");
}

#[test]
fn a_refused_target_leaves_a_held_run_held() {
    let mut worker = started();
    worker.go(to(11, 1));
    worker.go(to_the_end());
    worker.take_done();
    let told = worker.go(to(11, 0));
    assert!(
        told.len() == 1 && told[0].contains("slot 11, batch 0 is behind"),
        "{told:?}"
    );
    assert_eq!(worker.take_done(), "");
    assert_eq!(worker.go(to(11, 2))[0], "paused 11/2");
}

#[test]
fn a_run_that_stops_announces_what_it_passes_and_the_rest_afterwards() {
    let mut worker = started();
    assert_eq!(worker.go(blocks(1)), ["slot 10", "ready", "found 11/1"]);
    assert_eq!(worker.go(blocks(1)), ["found 11/2", "slot 11", "ready", "found 13/1"]);
    assert_eq!(worker.go(blocks(1)), ["slot 13", "completed"]);

    let mut worker = started();
    assert_eq!(
        worker.go(to(11, 2)),
        ["slot 10", "found 11/1", "paused 11/2", "found 11/2"]
    );
    assert_eq!(worker.go(to(11, 3)), ["paused 11/3", "found 13/1"]);
    assert_eq!(worker.go(to(13, None)), ["slot 11", "slot 13", "paused 13", "ready"]);
}

#[test]
fn a_pause_before_an_announced_batch_says_ready_and_keeps_the_announcement() {
    let mut worker = started();
    worker.go(to(10, 0));
    assert_eq!(worker.go(to(10, None)), ["slot 10", "paused 10", "ready"]);
    assert_eq!(worker.go(to_the_end()), Vec::<String>::new());
    assert_eq!(worker.session.position(), Some(Position { slot: 11, batch: 1 }));
    assert_eq!(worker.go(to(11, 1)), ["paused 11/1", "found 11/2"]);
}

#[test]
fn a_find_that_comes_into_sight_during_a_run_is_announced_there() {
    let mut worker = Worker::discovering(BLOCKS, &[(13, 1)], Stop::Ready);
    worker.sight = 1;
    assert_eq!(worker.run(), ["ready"], "13 is two blocks away");
    assert_eq!(worker.go(to_the_end()), ["slot 10", "found 13/1", "slot 11"]);
    assert_eq!(worker.go(to(13, 1)), ["paused 13/1", "ready"]);
}

#[test]
fn a_target_behind_beyond_or_inside_of_no_batch() {
    let mut worker = started();
    worker.go(to(11, 2));
    let told = worker.go(to(11, 1));
    assert!(told.len() == 1 && told[0].contains("behind"), "{told:?}");
    assert_eq!(
        worker.go(to(11, 9)),
        ["slot 11", "paused 11", "found 13/1"],
        "there is no batch 9"
    );
    assert_eq!(worker.go(to(14, None)), ["slot 13", "completed"]);
    assert_eq!(worker.go(to(13, 1)), ["error NoMoreBlocks"]);
}

#[test]
fn a_session_that_starts_paused_says_so_first() {
    let mut worker = Worker::discovering(BLOCKS, FINDS, Stop::Paused);
    assert_eq!(worker.run(), ["paused 10/0", "found 10/0"]);
    let mut worker = Worker::discovering(BLOCKS, &[], Stop::Paused);
    assert_eq!(worker.run(), ["paused 10/0", "ready"]);
}

#[test]
fn says_nothing_after_a_close_in_the_middle() {
    let mut worker = started();
    worker.session.order(to_the_end());
    worker.session.close();
    assert!(worker.run().is_empty());
    let mut worker = started();
    worker.session.order(to(11, 1));
    while worker.session.position() != Some(Position { slot: 11, batch: 1 }) {
        assert!(worker.step());
    }
    worker.session.close();
    assert!(worker.run().is_empty());
    assert_eq!(worker.session.next_step(), Step::Over);
}

/// The stepping helper of the published clients, to the letter: it does one thing for each event, whenever it comes.
struct Helper {
    state: Helping,
    /// Announcements that came while it waited for a pause.
    kept: VecDeque<Position>,
    visited: Vec<Position>,
    sent: VecDeque<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Helping {
    EnsuringReady,
    Seeking,
    Pausing,
    Completed,
}

impl Helper {
    fn new(state: Helping) -> Self {
        Self {
            state,
            kept: VecDeque::new(),
            visited: Vec::new(),
            sent: VecDeque::new(),
        }
    }

    fn hear(&mut self, event: &EventKind) {
        match (self.state, event) {
            (Helping::EnsuringReady, EventKind::Ready) => self.seek(),
            (Helping::EnsuringReady, _) => {}
            (_, EventKind::Completed) => self.state = Helping::Completed,
            (Helping::Seeking, EventKind::Discovery(found)) => self.go_to(at(found)),
            (Helping::Seeking, EventKind::Ready) => self.sent.push_back(to_the_end()),
            (Helping::Pausing, EventKind::Discovery(found)) => self.kept.push_back(at(found)),
            (Helping::Pausing, EventKind::Paused(paused)) => {
                let batch = usize::try_from(paused.batch_index.unwrap()).unwrap();
                let slot = paused.slot;
                self.visited.push(Position { slot, batch });
                self.seek();
            }
            (_, EventKind::Slot(_) | EventKind::Status(_) | EventKind::Ready) => {}
            (state, event) => panic!("{event:?} while {state:?}"),
        }
    }

    fn seek(&mut self) {
        self.state = Helping::Seeking;
        if let Some(position) = self.kept.pop_front() {
            self.go_to(position);
        }
    }

    fn go_to(&mut self, position: Position) {
        self.state = Helping::Pausing;
        self.sent.push_back(to(position.slot, position.batch));
    }
}

fn at(found: &DiscoveryBatchEvent) -> Position {
    Position {
        slot: found.slot,
        batch: usize::try_from(found.batch_index).unwrap(),
    }
}

/// Lets a helper and a session talk, with messages that are under way for as long as the choices say.
fn talk(worker: &mut Worker, helper: &mut Helper, choices: &[u8]) {
    let mut choices = choices.iter().copied().cycle();
    let mut under_way = VecDeque::new();
    while helper.state != Helping::Completed {
        let first = choices.next().unwrap_or_default();
        let has_moved = (first..first + 3).any(|choice| match choice % 3 {
            0 => worker.step(),
            1 => helper
                .sent
                .pop_front()
                .map(|order| worker.session.order(order))
                .is_some(),
            _ => under_way.pop_front().map(|event| helper.hear(&event)).is_some(),
        });
        let told: Vec<EventKind> = std::iter::from_fn(|| worker.session.next_event())
            .map(|event| event.kind)
            .collect();
        assert!(has_moved || !told.is_empty(), "both wait; {:?}", helper.visited);
        under_way.extend(told);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// However long messages are under way, the helper stops at every find, once and in order, and comes to the end.
    #[test]
    fn the_stepping_helper_visits_every_find(
        plan in prop::collection::btree_map(0_u64..60, prop::collection::vec(any::<bool>(), 0..5), 1..12),
        sight in 0_usize..14,
        ensures_ready in any::<bool>(),
        choices in prop::collection::vec(0_u8..3, 1..60),
    ) {
        let sizes: Vec<(u64, usize)> = plan.iter().map(|(slot, batches)| (*slot, batches.len())).collect();
        let finds: Vec<(u64, u32)> = plan
            .iter()
            .flat_map(|(slot, batches)| (0..).zip(batches).filter(|(_, hit)| **hit).map(|(batch, _)| (*slot, batch)))
            .collect();
        let mut worker = Worker::discovering(&sizes, &finds, Stop::Ready);
        worker.sight = sight;
        // Whoever throws the first ready away needs something else to act on.
        let is_in_sight = finds.first().is_some_and(|(first, _)| {
            sizes.iter().position(|(slot, _)| slot == first).is_some_and(|blocks| blocks <= sight)
        });
        let start = if ensures_ready && is_in_sight { Helping::EnsuringReady } else { Helping::Seeking };
        let mut helper = Helper::new(start);
        talk(&mut worker, &mut helper, &choices);
        let visited: Vec<(u64, usize)> = helper.visited.iter().map(|here| (here.slot, here.batch)).collect();
        let expected: Vec<(u64, usize)> = finds.iter().map(|(slot, batch)| (*slot, usize::try_from(*batch).unwrap())).collect();
        prop_assert_eq!(visited, expected);
    }

    /// Whatever is asked, every find is announced once and in order, and every pause is followed by one announcement or
    /// one ready.
    #[test]
    fn every_find_is_announced_once_and_every_pause_is_followed_by_one_word(
        plan in prop::collection::btree_map(0_u64..40, prop::collection::vec(any::<bool>(), 0..4), 1..10),
        sight in 0_usize..12,
        orders in prop::collection::vec((any::<bool>(), 0_u64..45, prop::option::of(0_usize..5)), 0..12),
    ) {
        let sizes: Vec<(u64, usize)> = plan.iter().map(|(slot, batches)| (*slot, batches.len())).collect();
        let finds: Vec<(u64, u32)> = plan
            .iter()
            .flat_map(|(slot, batches)| (0..).zip(batches).filter(|(_, hit)| **hit).map(|(batch, _)| (*slot, batch)))
            .collect();
        let mut worker = Worker::discovering(&sizes, &finds, Stop::Ready);
        worker.sight = sight;
        let mut told = worker.run();
        prop_assert_eq!(&told[0], "ready");
        for (is_to, number, batch) in orders {
            let order = if is_to { to(number, batch) } else { blocks(number % 4) };
            worker.session.order(order);
            let answer = worker.run();
            if let Some(paused) = answer.iter().position(|event| event.starts_with("paused")) {
                prop_assert_eq!(answer.len(), paused + 2, "{:?}", answer);
            }
            told.extend(answer);
        }
        // One answer for each find, and one to go on.
        for _ in 0..=finds.len() {
            told.extend(worker.go(to_the_end()));
        }
        let announced: Vec<&String> = told.iter().filter(|event| event.starts_with("found")).collect();
        let expected: Vec<String> = finds.iter().map(|(slot, batch)| format!("found {slot}/{batch}")).collect();
        prop_assert_eq!(announced, expected.iter().collect::<Vec<_>>());
    }
}
