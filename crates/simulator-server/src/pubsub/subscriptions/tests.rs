use serde_json::Value;

use super::super::log::{DataLog, Reader};
use super::super::pool::DataPool;
use super::super::record::tests::{key, record};
use super::super::slot::SlotHead;
use super::super::slots::{DataLimits, Next, Start};
use super::super::topic::{Arrival, Which};
use super::*;

/// A connection without a socket.
struct Client {
    log: Arc<DataLog>,
    reader: Reader,
    subscriptions: Subscriptions,
}

impl Client {
    fn new() -> Self {
        let log = Arc::new(DataLog::new(
            DataLimits {
                log_bytes: usize::MAX,
                cache_bytes: 1000,
                connections: 9,
            },
            &DataPool::new(usize::MAX),
        ));
        Self::of(&log)
    }

    fn of(log: &Arc<DataLog>) -> Self {
        Self {
            log: Arc::clone(log),
            reader: Reader::new(log).unwrap(),
            subscriptions: Subscriptions::default(),
        }
    }

    fn subscribe(&mut self, kind: Kind, topic: Topic, start: Start) -> u64 {
        let begin = self.reader.start(start, &topic).unwrap();
        let subject = Subject {
            kind,
            topic,
            compression: None,
        };
        self.subscriptions.add(subject, begin)
    }

    /// All that can be told, in short: subscription, slot and index; the subscription alone at its end.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(position) = self.subscriptions.position()
            && let Some(next) = self.reader.peek(position)
        {
            match next {
                Next::Entry(at, entry) => {
                    for id in self.subscriptions.behind(at) {
                        told.extend(self.subscriptions.take(id, at, &entry));
                    }
                }
                Next::End => told.extend(self.subscriptions.finish()),
            }
        }
        let cache = &self.log.cache;
        told.iter().map(|told| short(&told.write(cache).text)).collect()
    }
}

fn short(text: &str) -> String {
    let message: Value = serde_json::from_str(text).unwrap();
    let params = &message["params"];
    match message["method"].as_str().unwrap() {
        "subscriptionComplete" => format!("{} ends", params["subscription"]),
        _ => format!(
            "{}: {} {}",
            params["subscription"], params["cursor"]["slot"], params["cursor"]["index"]
        ),
    }
}

/// A slot whose transactions have these names; each has an account of its own name, which it changes, and account 100.
fn slot(log: &DataLog, slot: Slot, names: &[u8]) {
    log.open_slot(SlotHead {
        slot,
        ..SlotHead::default()
    });
    for name in names {
        log.add(record(
            *name,
            &[*name, 100],
            0,
            &[(*name, 1, 9), (100, u64::from(*name), 9)],
        ));
    }
}

fn transactions(name: u8) -> Topic {
    Topic::Transactions(Which::Mentioning(vec![key(name)]), UiTransactionEncoding::Json)
}

fn diffs(name: u8) -> Topic {
    Topic::Diffs(Whose::Account(key(name)))
}

#[test]
fn counts_what_a_stream_is_told_and_never_goes_back() {
    let mut client = Client::new();
    slot(&client.log, 5, &[1, 2]);
    client.log.close_slot();
    slot(&client.log, 6, &[2, 3, 2]);
    client.subscribe(Kind::Transaction, transactions(2), Start::Oldest);
    client.subscribe(Kind::AccountDiff, diffs(100), Start::Oldest);
    assert_eq!(
        client.told(),
        [
            "2: 5 0", "1: 5 0", "2: 5 1", "1: 6 0", "2: 6 0", "2: 6 1", "1: 6 1", "2: 6 2"
        ]
    );
    client.log.add(record(2, &[2], 0, &[]));
    assert_eq!(client.told(), ["1: 6 2"]);
    client.log.seal();
    assert_eq!(client.told(), ["1 ends", "2 ends"]);
    assert_eq!(client.told(), [""; 0], "nothing comes after the end");
}

#[test]
fn resumes_with_the_same_numbers() {
    let mut client = Client::new();
    slot(&client.log, 5, &[1, 2, 3]);
    client.log.close_slot();
    slot(&client.log, 6, &[4]);
    let all = || diffs(100);
    client.subscribe(Kind::AccountDiff, all(), Start::Oldest);
    assert_eq!(client.told(), ["1: 5 0", "1: 5 1", "1: 5 2", "1: 6 0"]);
    let mut other = Client::of(&client.log);
    let cursor = |slot, index| Start::After(Cursor { slot, index });
    for (start, expected) in [
        (Start::From(6), vec!["6 0"]),
        (Start::From(5), vec!["5 0", "5 1", "5 2", "6 0"]),
        (cursor(5, 0), vec!["5 1", "5 2", "6 0"]),
        (cursor(5, 2), vec!["6 0"]),
        (cursor(6, 0), vec![]),
        (cursor(0, 7), vec!["5 0", "5 1", "5 2", "6 0"]),
        (Start::Now, vec![]),
    ] {
        let id = other.subscribe(Kind::AccountDiff, all(), start);
        let expected: Vec<_> = expected.iter().map(|cursor| format!("{id}: {cursor}")).collect();
        assert_eq!(other.told(), expected, "{start:?}");
        assert!(!other.subscriptions.remove(Kind::Logs, id));
        assert!(other.subscriptions.remove(Kind::AccountDiff, id));
    }
}

#[test]
fn counts_what_came_before_a_late_subscription() {
    let mut client = Client::new();
    slot(&client.log, 5, &[1, 2]);
    let id = client.subscribe(Kind::Logs, Topic::Logs(Which::All), Start::Now);
    assert_eq!(client.told(), [""; 0]);
    client.log.add(record(3, &[3], 0, &[]));
    assert_eq!(client.told(), [format!("{id}: 5 2")]);
}

#[test]
fn tells_of_a_signature_once() {
    let mut client = Client::new();
    slot(&client.log, 5, &[1, 2, 2]);
    let signature = Topic::Signature([2; 64].into(), Arrival::Untold);
    client.subscribe(Kind::Signature, signature, Start::Oldest);
    assert_eq!(client.told(), ["1: 5 0", "1 ends"]);
    assert_eq!(client.subscriptions.len(), 0);
    let signature = Topic::Signature([2; 64].into(), Arrival::Told);
    client.subscribe(Kind::Signature, signature, Start::Oldest);
    assert_eq!(client.told(), ["2: 5 0", "2: 5 1", "2 ends"]);
}
