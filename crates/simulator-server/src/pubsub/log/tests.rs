use simulator_api::Cursor;
use simulator_archive::model::Slot;

use super::super::record::tests::record;
use super::super::slots::{Entry, Silent};
use super::*;
use crate::actions::{Fate, NotRun};

const UNLIMITED: usize = usize::MAX;

fn log(log_bytes: usize) -> Arc<DataLog> {
    Arc::new(DataLog::new(
        DataLimits {
            log_bytes,
            cache_bytes: 0,
            connections: 2,
        },
        &DataPool::new(usize::MAX),
    ))
}

/// Adds a slot with this many transactions.
fn add_slot(log: &DataLog, slot: Slot, transactions: u8) {
    let parent = slot - 1;
    log.open_slot(SlotHead {
        slot,
        parent,
        ..SlotHead::default()
    });
    (0..transactions).for_each(|name| log.add(record(name, &[1], 2, &[])));
}

fn add_closed(log: &DataLog, slot: Slot, transactions: u8) {
    add_slot(log, slot, transactions);
    log.close_slot();
}

/// Reads as far as there is anything, and says where it stands then.
fn read(reader: &Reader, mut position: Position) -> (Vec<String>, Position) {
    let mut seen = Vec::new();
    while let Some(Next::Entry(at, entry)) = reader.peek(position) {
        seen.push(match &entry {
            Entry::Opened(head) => format!("open {}", head.slot),
            Entry::Transaction(record) => format!("{}", record.transaction.index.unwrap()),
            Entry::Action(record) => format!("action {}", record.action),
            Entry::Changes(changes) => format!("{} changes", changes.diffs.len()),
            Entry::Closed(head, done) => {
                let transactions = done.iter().filter_map(Done::transaction).count();
                format!("close {} with {transactions}", head.slot)
            }
        });
        position = at.after(&entry);
    }
    (seen, position)
}

fn at(slot: Slot) -> Position {
    Position { slot, entry: 0 }
}

fn oldest(error: StartError) -> Slot {
    match error {
        StartError::NotRetained { oldest } => oldest.slot,
        StartError::Ended => panic!("{error}"),
    }
}

#[test]
fn reads_across_slots_and_within_the_open_one() {
    let log = log(UNLIMITED);
    let reader = Reader::new(&log).unwrap();
    add_closed(&log, 5, 2);
    add_slot(&log, 7, 0);
    let (seen, position) = read(&reader, Position::default());
    assert_eq!(seen, ["open 5", "0", "1", "close 5 with 2", "open 7"]);
    log.add(record(3, &[1], 2, &[]));
    let (seen, position) = read(&reader, position);
    assert_eq!(seen, ["3"]);
    log.close_slot();
    log.seal();
    let (seen, position) = read(&reader, position);
    assert_eq!((seen, position), (vec!["close 7 with 1".to_owned()], at(8)));
    assert!(matches!(reader.peek(position), Some(Next::End)));
}

fn action(number: usize) -> ActionRecord {
    ActionRecord {
        told_in: 0,
        slot: 0,
        matched: None,
        action: number,
        label: None,
        fate: Fate::NotRun(NotRun::NoBlock),
    }
}

#[test]
fn actions_keep_their_place_among_transactions() {
    let log = log(UNLIMITED);
    let reader = Reader::new(&log).unwrap();
    add_slot(&log, 5, 0);
    log.add_action(action(10));
    log.add_action(action(11));
    log.add(record(0, &[1], 2, &[]));
    log.add_action(action(12));
    let (seen, position) = read(&reader, Position::default());
    assert_eq!(seen, ["open 5", "action 10", "action 11", "0", "action 12"]);
    log.add(record(1, &[1], 2, &[]));
    log.close_slot();
    assert_eq!(read(&reader, position).0, ["1", "close 5 with 2"]);
    assert_eq!(read(&reader, Position::default()).0.len(), 7);
    log.add_action(action(13));
    assert_eq!(read(&reader, Position::default()).0.len(), 7, "the slot is closed");
    let closed_at = Position { slot: 5, entry: 6 };
    assert_eq!(read(&reader, closed_at).0, ["close 5 with 2"]);
}

#[test]
fn what_actions_tell_counts_as_the_users() {
    let log = log(2 * action(0).size());
    add_slot(&log, 5, 0);
    log.add_action(action(0));
    assert!(log.takes_more());
    log.add_action(action(1));
    assert!(!log.takes_more());
}

#[test]
fn forgets_the_oldest_that_nobody_reads() {
    let log = log(1);
    let reader = Reader::new(&log).unwrap();
    assert_eq!(reader.start(Start::Oldest, &Topic::Slots).unwrap().position, at(0));
    (5..=7).for_each(|slot| add_closed(&log, slot, 1));
    assert_eq!(read(&reader, at(0)).0.len(), 9);
    reader.hold(Some(at(6)));
    assert_eq!(reader.start(Start::Oldest, &Topic::Slots).unwrap().position, at(6));
    for (start, expected) in [
        (Start::From(5), Err(6)),
        (Start::From(6), Ok(6)),
        (Start::From(99), Ok(99)),
        (Start::After(Cursor { slot: 5, index: 9 }), Err(6)),
        (Start::After(Cursor { slot: 6, index: 9 }), Ok(6)),
        (Start::Now, Ok(7)),
    ] {
        let begin = reader
            .start(start, &Topic::Slots)
            .map(|begin| begin.position.slot)
            .map_err(oldest);
        assert_eq!(begin, expected, "{start:?}");
    }
    reader.hold(None);
    assert_eq!(
        reader.start(Start::Oldest, &Topic::Slots).unwrap().position,
        at(7),
        "the newest stays"
    );
}

#[test]
fn has_room_until_a_reader_is_behind() {
    let log = log(1);
    add_closed(&log, 5, 1);
    assert!(log.has_room(), "nobody reads");
    let reader = Reader::new(&log).unwrap();
    assert!(log.has_room(), "a connection without subscriptions reads nothing");
    let begin = reader.start(Start::Oldest, &Topic::Slots).unwrap();
    assert!(!log.has_room());
    let (_, position) = read(&reader, begin.position);
    reader.hold(Some(position));
    assert!(log.has_room());
    add_slot(&log, 6, 1);
    assert!(!log.has_room());
    drop(reader);
    assert!(log.has_room(), "whoever has gone holds nobody up");
}

#[test]
fn is_drained_when_everyone_is_done_after_the_end() {
    let log = log(UNLIMITED);
    let reader = Reader::new(&log).unwrap();
    add_closed(&log, 5, 1);
    reader.start(Start::Oldest, &Topic::Slots).unwrap();
    assert!(!log.is_drained());
    log.seal();
    assert!(!log.is_drained());
    reader.hold(None);
    assert!(log.is_drained());
    assert!(
        reader.start(Start::Oldest, &Topic::Slots).is_ok(),
        "late, but the session is still there"
    );
    log.end();
    assert_eq!(reader.start(Start::Oldest, &Topic::Slots), Err(StartError::Ended));
    log.seal();
    assert_eq!(
        reader.start(Start::Oldest, &Topic::Slots),
        Err(StartError::Ended),
        "it stays gone"
    );
    assert_eq!(read(&reader, at(0)).0.len(), 3, "who reads it now may read to the end");
}

#[test]
fn has_places_for_so_many_connections() {
    let log = log(UNLIMITED);
    let first = Reader::new(&log).unwrap();
    let _second = Reader::new(&log).unwrap();
    assert!(Reader::new(&log).is_none());
    drop(first);
    assert!(Reader::new(&log).is_some());
}

#[test]
fn begins_now_within_the_open_slot() {
    let log = log(UNLIMITED);
    let reader = Reader::new(&log).unwrap();
    let begin = reader.start(Start::Now, &Topic::Slots).unwrap();
    assert_eq!((begin.position, begin.silent), (at(0), Silent::Before(at(0))));
    add_slot(&log, 5, 2);
    let begin = reader.start(Start::Now, &Topic::Slots).unwrap();
    let now = Position { slot: 5, entry: 3 };
    assert_eq!((begin.position, begin.silent), (at(5), Silent::Before(now)));
}

#[tokio::test]
async fn wakes_reader_and_writer() {
    let log = log(1);
    let reader = Reader::new(&log).unwrap();
    reader.hold(Some(at(0)));
    let waiting = tokio::spawn(async move {
        let next = reader.next(at(0)).await;
        (reader, next)
    });
    tokio::task::yield_now().await;
    add_closed(&log, 5, 1);
    let (reader, next) = waiting.await.unwrap();
    assert!(matches!(
        next,
        Next::Entry(Position { slot: 5, entry: 0 }, Entry::Opened(_))
    ));
    let room = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.room().await }
    });
    tokio::task::yield_now().await;
    assert!(!room.is_finished());
    reader.hold(Some(at(6)));
    room.await.unwrap();
    log.seal();
    let drained = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.drained().await }
    });
    tokio::task::yield_now().await;
    assert!(!drained.is_finished());
    drop(reader);
    drained.await.unwrap();
}

/// Two closed slots, of which a reader that is lost then has been sent the first.
fn lost_behind_the_first() -> (Arc<DataLog>, Reader) {
    let log = log(1);
    let lost = Reader::new(&log).unwrap();
    lost.start(Start::Oldest, &Topic::Slots).unwrap();
    (5..=6).for_each(|slot| add_closed(&log, slot, 1));
    lost.hold(Some(at(6)));
    lost.lose();
    (log, lost)
}

#[test]
fn what_a_lost_reader_has_not_been_sent_is_kept_until_it_is_given_up() {
    let (log, lost) = lost_behind_the_first();
    add_closed(&log, 7, 1);
    assert!(!log.has_room(), "the replay waits for it");
    let back = Reader::new(&log).unwrap();
    assert!(back.start(Start::From(6), &Topic::Slots).is_ok());
    drop(back);
    drop(lost);
    assert!(log.has_room());
    let late = Reader::new(&log).unwrap();
    assert_eq!(late.start(Start::From(6), &Topic::Slots).map_err(oldest).err(), Some(7));
}

#[test]
fn a_reader_that_comes_back_takes_the_place_of_the_lost_one() {
    let (log, lost) = lost_behind_the_first();
    let later = Reader::new(&log).unwrap();
    later.start(Start::Now, &Topic::Slots).unwrap();
    later.hold(Some(at(8)));
    assert!(!log.has_room(), "another reader is elsewhere");
    drop(later);
    let back = Reader::new(&log).unwrap();
    back.start(Start::After(Cursor { slot: 6, index: 0 }), &Topic::Slots)
        .unwrap();
    back.hold(Some(at(8)));
    assert!(log.has_room());
    drop(lost);
    assert!(log.has_room());
}

#[test]
fn lost_readers_take_no_place_but_are_bounded() {
    let log = log(1);
    let lost: Vec<_> = (0..5)
        .map(|_| {
            let reader = Reader::new(&log).expect("a place is free");
            reader.lose();
            reader
        })
        .collect();
    assert!(Reader::new(&log).is_some());
    drop(lost);
}

#[test]
fn gives_way_to_other_sessions_but_keeps_what_is_read() {
    let pool = DataPool::new(100_000);
    let limits = DataLimits {
        log_bytes: 100_000,
        cache_bytes: 0,
        connections: 2,
    };
    let logs = [(); 2].map(|()| Arc::new(DataLog::new(limits, &pool)));
    let reader = Reader::new(&logs[0]).unwrap();
    reader.start(Start::Oldest, &Topic::Slots).unwrap();
    let fill = |log: &DataLog| {
        let mut slot = 1;
        while log.has_room() && slot < 10_000 {
            add_closed(log, slot, 1);
            slot += 1;
        }
    };
    fill(&logs[0]);
    assert!(pool.used() > 100_000, "it took all there is");
    (1..1000).for_each(|slot| add_closed(&logs[1], slot, 1));
    let held = |log: &DataLog| log.slots.lock().bytes();
    assert!(
        held(&logs[1]) <= 60_000,
        "it has to do with its share, and what it adds"
    );
    assert!(held(&logs[0]) > 100_000, "somebody reads it");
    drop(reader);
    logs[0].trim();
    assert!(pool.used() <= 100_000, "{}", pool.used());
    assert!(logs[1].has_room());
}
