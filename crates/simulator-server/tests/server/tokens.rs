//! Creates that are sent again, because their answer was lost.

use std::time::Duration;

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use simulator_server::{ApiKey, ServerConfig};

use crate::support::{Control, Running, SampleArchive, shorten};

#[tokio::test]
async fn a_repeated_create_returns_the_session_of_the_first() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let server = Running::start(impatient(sample.config())).await;
    let mut first = server.connect().await;
    let (rpc, _) = first.create(params("t")).await;
    // The first connection is half-open: its client does not answer any more.
    let mut second = server.connect().await;
    let (again, _) = second.create(params("t")).await;
    assert_eq!(again.id(), rpc.id());
    let events = second.run().await;
    assert_eq!(shorten(&events), ["slotNotification 36", "readyForContinue"]);
    assert_eq!(events[0]["seqId"], 1, "everything is told again");
    second.send("continue", json!({})).await;
    second.run().await;
    drop(second);

    let mut third = server.connect().await;
    let (again, _) = third.create(params("t")).await;
    assert_eq!(again.id(), rpc.id());
    let replayed = [third.run().await, third.run().await].concat();
    assert!(replayed.iter().all(|event| event["replayed"] == true), "{replayed:?}");
    assert_eq!(replayed[0]["seqId"], 1);
    third.close().await;
    let mut fourth = server.connect().await;
    let (other, _) = fourth.create(params("t")).await;
    assert_ne!(other.id(), rpc.id(), "a closed session does not come back");
    drop((first, fourth));
    server.stopped().await;
}

#[tokio::test]
async fn a_token_stands_for_one_create_of_one_key() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = sample.config();
    config.keys = vec![ApiKey::new("desk", "secret"), ApiKey::new("other", "hidden")];
    let server = Running::start(config).await;
    let connect = async |key| Control::connect(server.address, Some(key)).await.unwrap();
    let mut owner = connect("secret").await;
    let (rpc, _) = owner.create(params("t")).await;
    owner.run().await;
    let mut changed = params("t");
    changed["endSlot"] = json!(40);
    let error = connect("secret").await.create_fails(changed).await;
    assert!(error.contains("stands for another create"), "{error}");
    let (other, _) = connect("hidden").await.create(params("t")).await;
    assert_ne!(other.id(), rpc.id());
    let mut second = connect("secret").await;
    let busy = async {
        second.send("createBacktestSession", params("t")).await;
        loop {
            let answer = second.next().await;
            if answer["method"] != "status" {
                return answer;
            }
        }
    };
    // Reading answers pings.
    let answer = tokio::select! {
        answer = busy => answer,
        event = owner.next() => panic!("unexpected {event}"),
    };
    assert!(
        answer["params"]["sessionOwnershipBusy"]["reason"].is_string(),
        "{answer}"
    );
    drop((owner, second));
    server.stopped().await;
}

#[tokio::test]
async fn a_creation_survives_its_connection_if_it_can_be_asked_for_again() {
    let sample = SampleArchive::import(ScopeChoice::Auto).await;
    let mut config = impatient(sample.config());
    config.limits.sessions = 1;
    let server = Running::start(config).await;
    for is_noticed in [true, false] {
        let mut blocking = server.connect().await;
        let (blocker, _) = blocking
            .create(json!({"startSlot": 36, "endSlot": 36, "capacityWaitTimeoutSecs": 600}))
            .await;
        blocking.run().await;
        drop(waiting(&server, json!({})).await);
        let lost = waiting(&server, params("lost")).await;
        let mut next = waiting(&server, json!({"disconnectTimeoutSecs": 0})).await;
        // Its client may be gone without a word, too.
        let half_open = (!is_noticed).then_some(lost);
        let mut again = waiting(&server, params("lost")).await;
        blocking.close().await;
        blocker.gone().await;
        // Places are given in the order of the first creates.
        assert_eq!(again.next().await["method"], "sessionCreated");
        assert_eq!(shorten(&again.run().await), ["slotNotification 36", "readyForContinue"]);
        again.close().await;
        assert_eq!(next.next().await["method"], "sessionCreated");
        drop((half_open, next));
    }
    server.stopped().await;
}

/// A connection whose create waits for a place.
async fn waiting(server: &Running, extra: Value) -> Control {
    let mut params = json!({"startSlot": 36, "endSlot": 59, "capacityWaitTimeoutSecs": 600});
    params
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let mut control = server.connect().await;
    control.send("createBacktestSession", params).await;
    assert_eq!(control.next().await["method"], "status");
    control
}

fn params(token: &str) -> Value {
    json!({"startSlot": 36, "endSlot": 59, "createToken": token})
}

/// With it, a connection that does not answer at once counts as half-open.
fn impatient(mut config: ServerConfig) -> ServerConfig {
    config.times.probe_limit = Duration::from_millis(5);
    config
}
