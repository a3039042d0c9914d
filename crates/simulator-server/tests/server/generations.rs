//! Whole conversations as the published clients of each generation have them: their headers, their requests with every
//! key that they write, and what they cannot bear, on real sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use tokio_tungstenite::tungstenite::Message;

use crate::conversation::TOKEN;
use crate::data::{Data, cursor, is_end};
use crate::pubsub::TOKEN_PROGRAM;
use crate::support::{Control, Rpc, Running, SampleArchive, shorten};

const VOTES: &str = "Vote111111111111111111111111111111111111111";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
/// The blocks after the first one, and those that come before the connection is cut.
const BLOCKS: usize = 20;
const FIRST_STEP: usize = 5;

/// What distinguishes the clients on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    /// Version 0.8, whose first control message comes with no `User-Agent`.
    Eighth,
    /// Version 0.28.
    TwentyEighth,
}

/// Which of a client's two layers speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Raw,
    Managed,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    generation: Generation,
    layer: Layer,
}

const GENERATIONS: [Generation; 2] = [Generation::Eighth, Generation::TwentyEighth];

impl Client {
    fn headers(self) -> Vec<(&'static str, &'static str)> {
        let agent = match (self.generation, self.layer) {
            (Generation::Eighth, _) => None,
            (Generation::TwentyEighth, Layer::Raw) => Some("nitro-sim-client/0.28.0"),
            (Generation::TwentyEighth, Layer::Managed) => Some("nitro-sim-client/0.28.0 (managed)"),
        };
        let agent = agent.map(|agent| ("user-agent", agent));
        // The key is sent even where there is none.
        [("x-api-key", "")].into_iter().chain(agent).collect()
    }

    fn create(self) -> Value {
        let mut params = json!({"startSlot": 36, "endSlot": 59, "sendSummary": true, "capacityWaitTimeoutSecs": null,
                                "disconnectTimeoutSecs": null, "extraComputeUnits": null});
        match (self.generation, self.layer) {
            (Generation::Eighth, _) => {
                params["signerFilter"] = json!([]);
                params["agents"] = json!([]);
            }
            (Generation::TwentyEighth, Layer::Raw) => params["replayAccountState"] = json!(false),
            (Generation::TwentyEighth, Layer::Managed) => {
                params["replayAccountState"] = json!(false);
                params["disconnectTimeoutSecs"] = json!(360);
            }
        }
        params
    }

    async fn connect(self, server: &Running) -> Control {
        Control::connect_as(server.address, &self.headers()).await.unwrap()
    }

    /// The options of a subscription: only managed clients of the later generation ask for more than a commitment.
    fn options(self, from_slot: Option<u64>) -> Value {
        let mut options = json!({"commitment": "confirmed"});
        if (self.generation, self.layer) == (Generation::TwentyEighth, Layer::Managed) {
            options["compression"] = json!("zstd");
            if let Some(slot) = from_slot {
                options["replayFromSlot"] = json!(slot);
            }
        }
        options
    }
}

/// As both generations write it: every key, always.
async fn go_on(control: &mut Control, blocks: u64) {
    let params = json!({"advanceCount": blocks, "transactions": [], "modifyAccountStates": {}});
    control.send("continue", params).await;
}

fn is_called(event: &Value, method: &str) -> bool {
    event["method"] == method
}

/// Reads as the hand-driven `advance` does: it waits for readiness until it has counted so many slots, and whatever
/// else but a status comes is a failure. Returns the last number, too.
async fn advance(control: &mut Control, blocks: usize) -> Vec<u64> {
    go_on(control, blocks as u64).await;
    let (mut slots, mut is_ready) = (Vec::new(), false);
    while slots.len() < blocks || !is_ready {
        let event = control.next().await;
        match event["method"].as_str().unwrap() {
            "slotNotification" => {
                assert!(!is_ready, "no slot comes after readiness");
                slots.push(event["params"].as_u64().unwrap());
            }
            "readyForContinue" => is_ready = true,
            "status" => {}
            _ => panic!("unexpected {event}"),
        }
    }
    assert!(slots.is_sorted_by(|one, other| one < other));
    slots
}

/// Creates as every client does: it reads up to `sessionCreated` and keeps what comes before.
async fn created(client: Client, control: &mut Control) -> Rpc {
    let (rpc, before) = control.create(client.create()).await;
    let id = rpc.id();
    let digits = id.strip_prefix("backtest_").unwrap();
    assert!(digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert!(!before.iter().any(|event| is_called(event, "readyForContinue")));
    let first = control.run().await;
    assert_eq!(shorten(&first), ["slotNotification 36", "readyForContinue"]);
    rpc
}

/// The hand-driven layer drops the socket only when the peer has closed it (0.8), or right away (0.28).
async fn close(client: Client, control: &mut Control) {
    control.raw(Message::text(r#"{"method":"closeBacktestSession"}"#)).await;
    let answer = control.next().await;
    assert_eq!(answer, json!({"method": "success"}), "the very next message");
    if client.generation == Generation::Eighth {
        assert_eq!(control.closed().await.map(u16::from), Some(1000));
    }
}

async fn served() -> (SampleArchive, Running) {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.times.subscribe_pause = Duration::from_millis(200);
    config.times.data_grace = Duration::from_millis(50);
    let server = Running::start(config).await;
    (sample, server)
}

#[tokio::test]
async fn a_session_driven_by_hand() {
    let (_sample, server) = served().await;
    for generation in GENERATIONS {
        let client = Client {
            generation,
            layer: Layer::Raw,
        };
        let mut control = client.connect(&server).await;
        let rpc = created(client, &mut control).await;
        control.hears_nothing().await;
        assert_eq!(advance(&mut control, 2).await, [37, 38]);
        control.hears_nothing().await;
        let mut diffs = many_accounts(&rpc).await;
        go_on(&mut control, u64::MAX).await;
        let rest = control.run().await;
        let completed = rest.last().unwrap();
        assert!(is_called(completed, "completed") && completed["params"]["summary"]["correctSimulation"] == 478);
        assert!(!rest.iter().any(|event| is_called(event, "readyForContinue")));
        assert_eq!(
            rest.iter().rfind(|event| is_called(event, "slotNotification")).unwrap()["params"],
            59
        );
        diffs.until_ends(2).await;
        go_on(&mut control, 1).await;
        assert_eq!(control.next().await["params"], "noMoreBlocks");
        close(client, &mut control).await;
    }
}

/// Sends all requests before it reads the answers, as the helper for many accounts does; an answer is the first message
/// with a number in `result`.
async fn many_accounts(rpc: &Rpc) -> Data {
    let mut data = rpc.data().await;
    for (id, address) in [(1, TOKEN), (2, VOTES)] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "accountDiffSubscribe", "params": [address]});
        data.raw(Message::text(request.to_string())).await;
    }
    for id in [1, 2] {
        let answer = data.next().await.message;
        assert!(answer["id"] == id && answer["result"].is_u64(), "{answer}");
    }
    data
}

#[tokio::test]
async fn a_managed_session_that_loses_its_connections() {
    let (_sample, server) = served().await;
    for generation in GENERATIONS {
        let client = Client {
            generation,
            layer: Layer::Managed,
        };
        let mut control = client.connect(&server).await;
        // The first ping comes with the first message.
        control.raw(Message::Ping(Vec::new().into())).await;
        let rpc = created(client, &mut control).await;
        let mut data = subscribe(client, &rpc, None).await;
        go_on(&mut control, FIRST_STEP as u64).await;
        let step = control.run().await;
        let last_sequence = step.last().unwrap()["seqId"].as_u64();
        let seen = step.iter().filter(|event| is_called(event, "slotNotification")).count();
        assert_eq!(seen, FIRST_STEP);
        let mut told = BTreeSet::new();
        let boundary = hear_some(&mut data, &mut told).await;
        drop((control, data));
        let (mut control, rest) = come_back(client, &server, &rpc, last_sequence).await;
        assert_eq!(
            rest.iter().filter(|event| is_called(event, "slotNotification")).count(),
            BLOCKS - FIRST_STEP
        );
        // The close comes while subscriptions are yet to be read, and one is made again only now.
        control.raw(Message::text(r#"{"method":"closeBacktestSession"}"#)).await;
        control.raw(Message::Close(None)).await;
        let mut data = subscribe(client, &rpc, Some(boundary)).await;
        let heard = data.until_ends(3).await;
        check_told(client, &heard, &mut told);
        assert_eq!(told, expected(&rpc).await, "{client:?}");
    }
}

/// Attaches again, hears nothing before the answers, and runs to the end.
async fn come_back(client: Client, server: &Running, rpc: &Rpc, last: Option<u64>) -> (Control, Vec<Value>) {
    let mut control = client.connect(server).await;
    control.raw(Message::Ping(Vec::new().into())).await;
    let attached = control.attach(&rpc.id(), last).await;
    assert_eq!(
        attached["method"], "sessionAttached",
        "the very next message: {attached}"
    );
    assert_eq!(attached["params"]["session_id"], rpc.id());
    control.resume().await;
    go_on(&mut control, u64::MAX).await;
    let rest = control.run().await;
    assert!(is_called(rest.last().unwrap(), "completed"));
    let first = rest[0]["seqId"].as_u64();
    assert!(first > last, "nothing that it has is sent again");
    (control, rest)
}

/// One program after the other on one socket, each waiting for its answer.
async fn subscribe(client: Client, rpc: &Rpc, from_slot: Option<u64>) -> Data {
    let mut data = rpc.data().await;
    for program in [TOKEN_PROGRAM, VOTES, TOKEN_2022] {
        let params = json!([{"mentions": [program]}, client.options(from_slot)]);
        data.subscribe("transactionSubscribe", params).await;
    }
    data
}

/// A client keeps the highest slot of all that it has heard as the place to resume from.
async fn hear_some(data: &mut Data, told: &mut BTreeSet<(u64, String)>) -> u64 {
    let mut highest = 0;
    for _ in 0..40 {
        let heard = data.next().await.message;
        let (slot, signature) = named(&heard);
        assert!(slot >= highest, "slots never go back on one socket");
        highest = slot;
        told.insert((slot, signature));
    }
    highest
}

fn named(message: &Value) -> (u64, String) {
    let signature = &message["params"]["result"]["transaction"]["signatures"][0];
    (cursor(message).0, signature.as_str().unwrap().to_owned())
}

fn check_told(client: Client, heard: &[crate::data::Heard], told: &mut BTreeSet<(u64, String)>) {
    let is_compressed = client.generation == Generation::TwentyEighth;
    assert!(
        heard.iter().all(|heard| heard.is_compressed == is_compressed),
        "the ends, too"
    );
    let notifications = heard.iter().filter(|heard| !is_end(&heard.message));
    let slots: Vec<_> = notifications.clone().map(|heard| cursor(&heard.message).0).collect();
    assert!(slots.is_sorted(), "slots never go back on one socket");
    told.extend(notifications.map(|heard| named(&heard.message)));
}

/// Every transaction that mentions one of the programs, by one subscription to all of them.
async fn expected(rpc: &Rpc) -> BTreeSet<(u64, String)> {
    let mut data = rpc.data().await;
    let programs = json!([{"mentions": [TOKEN_PROGRAM, VOTES, TOKEN_2022]}]);
    data.subscribe("transactionSubscribe", programs).await;
    data.rest().await.iter().map(named).collect()
}

#[tokio::test]
async fn both_spellings_of_an_attach() {
    let (_sample, server) = served().await;
    let client = Client {
        generation: Generation::TwentyEighth,
        layer: Layer::Raw,
    };
    let mut control = client.connect(&server).await;
    let rpc = created(client, &mut control).await;
    drop(control);
    let id = rpc.id();
    let digits = id.strip_prefix("backtest_").unwrap();
    let hyphens = format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    );
    for params in [
        json!({"session_id": id, "last_sequence": null}),
        json!({"sessionId": hyphens.to_uppercase(), "lastSequence": 1}),
        json!({"session_id": digits}),
    ] {
        let mut control = client.connect(&server).await;
        control.send("attachBacktestSession", params.clone()).await;
        let attached = control.next().await;
        assert_eq!(attached["params"]["session_id"], id, "{params}: {attached}");
        // Dropped before it has resumed: the next one finds the seat vacant, or its holder silent.
    }
}
