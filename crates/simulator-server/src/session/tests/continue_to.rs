//! `continueTo` at every moment of a session.

use super::*;

fn named_to(name: &str, slot: u64, batch: impl Into<Option<usize>>) -> Order {
    let Order::ContinueTo { target, .. } = to(slot, batch) else {
        unreachable!("a continueTo was asked for")
    };
    let request = RequestId::new(name).ok();
    Order::ContinueTo { request, target }
}

/// Where a session pauses that is told to go to a position, `None` at the end of its range.
fn pause_of(sizes: &[(u64, usize)], end: u64, slot: u64, batch: Option<usize>) -> Option<String> {
    let (block, batches) = sizes.iter().rev().find(|(block, _)| *block <= slot)?;
    match batch {
        _ if slot > end => None,
        Some(batch) if *block == slot && batch < *batches => Some(format!("paused {slot}/{batch}")),
        _ => Some(format!("paused {block}")),
    }
}

#[test]
fn what_a_continue_changes_is_told_under_its_name_although_another_request_moves_the_stop() {
    let mut worker = started();
    worker.session.order(Order::Continue {
        request: RequestId::new("a").ok(),
        blocks: 9,
        changes: Changes {
            accounts: vec![(Pubkey::default(), AccountSharedData::default())],
            transactions: Vec::new(),
        },
    });
    worker.session.order(named_to("b", 11, 1));
    while worker.step() {}
    let told = worker.told_with_statuses();
    assert_eq!(told[0], "a: status appliedAccountModifications");
    assert!(told[1..].iter().all(|event| event.starts_with("b: ")), "{told:?}");
    assert_eq!(told.last().unwrap(), "b: paused 11/1");
}

#[test]
fn the_last_target_counts() {
    let mut worker = started();
    worker.session.order(named_to("a", 14, None));
    assert!(worker.step());
    worker.session.order(named_to("b", 11, 2));
    worker.session.order(named_to("c", 11, 0));
    worker.session.order(named_to("d", 13, None));
    assert_eq!(worker.run(), ["d: slot 11", "d: slot 13", "d: paused 13"]);
}

#[test]
fn a_target_in_the_open_slot_after_its_last_batch_stops_at_its_end() {
    let mut worker = started();
    worker.session.order(blocks(3));
    while worker.session.position() != Some(Position { slot: 11, batch: 3 }) {
        assert!(worker.step());
    }
    worker.session.order(named_to("a", 11, 3));
    assert_eq!(worker.run(), ["a: slot 11", "a: paused 11"]);
    assert_eq!(worker.go(to(11, usize::MAX)), ["paused 11"]);
    assert_eq!(worker.go(to(u64::MAX, usize::MAX)), ["slot 13", "slot 14", "completed"]);
}

#[test]
fn a_request_that_waits_goes_on_after_the_pause() {
    let mut worker = started();
    worker.session.order(named("a", 9));
    worker.session.order(named("b", 1));
    worker.session.order(named_to("c", 11, 1));
    assert_eq!(worker.run(), ["c: paused 11/1", "b: slot 11", "b: ready"]);
}

#[test]
fn a_refused_target_changes_nothing_of_the_run() {
    let mut worker = started();
    worker.session.order(named("a", 2));
    while worker.session.position() != Some(Position { slot: 11, batch: 2 }) {
        assert!(worker.step());
    }
    worker.session.order(named_to("b", 11, 1));
    let told = worker.run();
    assert_eq!(
        told[0],
        "b: invalid: slot 11, batch 1 is behind the session, which is at slot 11, batch 2"
    );
    assert_eq!(told[1..], ["a: slot 11", "a: slot 13", "a: ready"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whenever it comes, with filters or without, a session pauses exactly where the last `continueTo` said, and every
    /// block is told once and in order.
    #[test]
    fn a_pause_is_where_it_was_asked_for(
        sizes in prop::collection::btree_map(0_u64..30, 0_usize..4, 1..9),
        end in 30_u64..33,
        finds in prop::option::of(prop::collection::btree_set((0_u64..30, 0_u32..4), 0..6)),
        orders in prop::collection::vec((0_usize..9, 0_u8..3, 0_u64..36, prop::option::of(0_usize..5)), 0..16),
    ) {
        let sizes: Vec<(u64, usize)> = sizes.into_iter().collect();
        let start = if finds.is_some() { Start::Discovering(Stop::Ready) } else { Start::AfterFirstBlock };
        let mut worker = Worker::new(&sizes, end, start);
        for (slot, batch) in finds.into_iter().flatten() {
            if sizes.iter().any(|(block, batches)| *block == slot && (batch as usize) < *batches) {
                worker.finds.entry(slot).or_default().push(batch);
            }
        }
        let mut told = Vec::new();
        let mut targets = BTreeMap::new();
        for (number, (steps, kind, slot, batch)) in orders.into_iter().enumerate() {
            // As in the worker, no order comes between two slots.
            let mut left = steps;
            while (left > 0 || worker.session.position().is_none()) && worker.step() {
                left = left.saturating_sub(1);
            }
            let name = format!("r{number}");
            worker.session.order(match kind {
                0 => named(&name, slot % 4),
                1 => named(&name, u64::MAX),
                _ => named_to(&name, slot, batch),
            });
            targets.insert(name, (slot, batch));
            told.extend(worker.told());
        }
        // Whatever it waits for now, this is an answer to it; the second one comes after a request that waited.
        told.extend(worker.run());
        told.extend(worker.go(to(end + 1, None)));
        told.extend(worker.go(to(end + 1, None)));
        for event in told.iter().filter(|event| event.contains("paused")) {
            let (name, pause) = event.split_once(": ").unwrap();
            let (slot, batch) = targets[name];
            prop_assert_eq!(Some(pause.to_owned()), pause_of(&sizes, end, slot, batch), "{}", event);
        }
        let slots: Vec<u64> = told
            .iter()
            .filter_map(|event| event.rsplit_once("slot ").filter(|(name, _)| name.is_empty() || name.ends_with(": ")))
            .filter_map(|(_, slot)| slot.parse().ok())
            .collect();
        let expected: Vec<u64> = sizes.iter().map(|(slot, _)| *slot).collect();
        prop_assert_eq!(slots, expected);
        prop_assert_eq!(told.iter().filter(|event| event.ends_with("completed")).count(), 1);
    }
}
