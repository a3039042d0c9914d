//! A parallel session whose server is killed or stopped at every command.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator_testkit::ledger::{LedgerOptions, generate};

use crate::restart::{Fate, Phoenix, Raw};
use crate::support::{Workspace, text};

/// Blocks of each of two archives, the second of which begins where the first ends.
const BLOCKS: u64 = 6;

const ARGS: [&str; 6] = ["--archive", "one", "--archive", "two", "--state-dir", "state"];

/// What the client of a parallel session knows.
struct Client {
    raw: Raw,
    id: String,
    /// In slot order.
    parts: Vec<String>,
    /// The events of each, without `replayed`.
    told: BTreeMap<String, Vec<Value>>,
}

fn neighbours() -> Workspace {
    let workspace = Workspace::new();
    for (number, archive) in (0..).zip(["one", "two"]) {
        let ledger = workspace.path(&format!("ledger-{archive}"));
        let options = LedgerOptions {
            start_slot: 1000 + number * BLOCKS,
            slots: BLOCKS,
            ..LedgerOptions::default()
        };
        generate(&ledger, &options).expect("a ledger can be made");
        let import = ["archive", "import", "--ledger", text(&ledger), "--out", archive];
        workspace.sim(&import).succeeded();
    }
    workspace
}

impl Client {
    async fn create(phoenix: &Phoenix) -> Self {
        let mut raw = Raw::connect(&phoenix.address).await;
        let params =
            json!({"startSlot": 1000, "endSlot": 999 + 2 * BLOCKS, "parallel": true, "disconnectTimeoutSecs": 900});
        raw.send(&json!({"method": "createBacktestSession", "params": params}))
            .await;
        let mut early = Vec::new();
        let created = loop {
            let message = raw.next().await.expect("an answer");
            match message["method"].as_str().expect("a name") {
                "sessionsCreatedV2" => break message["params"].clone(),
                "sessionEventV2" => early.push(message),
                "status" | "sessionCreated" => {}
                _ => panic!("unexpected {message}"),
            }
        };
        let parts: Vec<String> = serde_json::from_value(created["session_ids"].clone()).expect("ids");
        assert_eq!(parts.len(), 2);
        let mut client = Self {
            raw,
            id: created["control_session_id"].as_str().expect("an id").to_owned(),
            told: parts.iter().map(|id| (id.clone(), Vec::new())).collect(),
            parts,
        };
        for message in early {
            client.note(message);
        }
        client
    }

    /// Takes the sessions over, which may still be on their way.
    async fn attach(&mut self, phoenix: &Phoenix) {
        self.raw = Raw::connect(&phoenix.address).await;
        let last = |events: &Vec<Value>| events.last().map_or(0, number);
        let last: BTreeMap<_, _> = self.told.iter().map(|(id, events)| (id, last(events))).collect();
        let params = json!({"control_session_id": self.id, "last_sequences": last});
        loop {
            let attach = json!({"method": "attachParallelControlSessionV2", "params": params});
            self.raw.send(&attach).await;
            let answer = self.raw.next().await.expect("an answer");
            if answer["method"] == "parallelSessionAttachedV2" {
                assert_eq!(answer["params"]["session_ids"], json!(self.parts));
                return;
            }
            assert!(answer["params"]["sessionOwnershipBusy"].is_object(), "{answer}");
        }
    }

    /// Notes an event; no other may be missing before it. Returns whether it ends a run.
    fn note(&mut self, mut message: Value) -> bool {
        assert_eq!(message["method"], "sessionEventV2", "{message}");
        message.as_object_mut().expect("an object").remove("replayed");
        let id = message["params"]["session_id"].as_str().expect("an id").to_owned();
        let events = self.told.get_mut(&id).expect("one of ours");
        assert_eq!(number(&message), events.last().map_or(0, number) + 1, "{message}");
        let is_end = is_end(&message);
        events.push(message);
        is_end
    }

    /// Reads until so many runs have ended, or so many events; returns how many runs are left.
    async fn read(&mut self, mut runs: usize, most: usize) -> usize {
        for _ in 0..most {
            if runs == 0 {
                break;
            }
            let message = self.raw.next().await.expect("an event");
            runs -= usize::from(self.note(message));
        }
        runs
    }

    async fn ask(&mut self, step: usize) {
        let advance = [2, 1, 99][step];
        for (index, id) in self.parts.clone().into_iter().enumerate() {
            let request = json!({"advanceCount": advance, "requestId": format!("{step}-{index}")});
            let params = json!({"sessionId": id, "request": request});
            self.raw
                .send(&json!({"method": "continueSessionV1", "params": params}))
                .await;
        }
    }

    /// What each session was told, whatever its id.
    fn stories(&self) -> Vec<Vec<Value>> {
        let story = |id| {
            let events = self.told[id].iter();
            let event = |message: &Value| json!([number(message), message["requestId"], message["params"]["event"]]);
            events.map(event).collect()
        };
        self.parts.iter().map(story).collect()
    }
}

fn number(message: &Value) -> u64 {
    message["params"]["seq_id"]
        .as_u64()
        .unwrap_or_else(|| panic!("{message}"))
}

fn is_end(message: &Value) -> bool {
    let method = message["params"]["event"]["method"].as_str();
    !matches!(method, Some("slotNotification" | "status"))
}

/// Plays a script over both sessions. At each request, after some of its events, something happens to the server.
async fn play(phoenix: &mut Phoenix, fate: Fate, after: usize) -> Vec<Vec<Value>> {
    let mut client = Client::create(phoenix).await;
    let begun = client.told.values().flatten().filter(|message| is_end(message)).count();
    client.read(2 - begun, usize::MAX).await;
    for step in 0..3 {
        client.ask(step).await;
        let mut runs = client.read(2, after).await;
        if fate != Fate::Lives {
            phoenix.meets(fate);
            client.attach(phoenix).await;
            // They may have been lost, and are not applied twice.
            client.ask(step).await;
        }
        runs = client.read(runs, usize::MAX).await;
        assert_eq!(runs, 0);
    }
    let stories = client.stories();
    client.raw.send(&json!({"method": "closeBacktestSession"})).await;
    while client.raw.next().await.is_some() {}
    stories
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parallel_session_survives_that_its_server_is_killed_or_stopped_at_every_command() {
    let mut phoenix = Phoenix::over(neighbours(), &ARGS);
    let whole = play(&mut phoenix, Fate::Lives, 0).await;
    for story in &whole {
        assert_eq!(story.last().expect("events")[2]["method"], "completed");
    }
    for (fate, after) in [
        (Fate::IsKilled, 0),
        (Fate::IsKilled, 3),
        (Fate::IsKilled, usize::MAX),
        (Fate::IsStopped, 1),
    ] {
        assert_eq!(play(&mut phoenix, fate, after).await, whole, "{fate:?} after {after}");
    }
    phoenix.meets(Fate::IsStopped);
    assert_eq!(
        (phoenix.kept("sessions"), phoenix.kept("groups")),
        (0, 0),
        "all were closed"
    );
}
