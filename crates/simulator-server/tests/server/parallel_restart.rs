//! Parallel sessions that outlive their server, as one.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use simulator_api::{ActionAnchor, ScheduledAction};
use simulator_server::{ApiKey, ServerConfig};
use tempfile::TempDir;

use crate::actions::payment;
use crate::conversation::RICH;
use crate::parallel::{Neighbours, Parallel, ask, both, is_stop, with};
use crate::restart::crash;
use crate::support::{Control, Running};

const SOMEBODY: &str = "Somebody11111111111111111111111111111111111";

/// A parallel session, and the server that has it by now.
struct Survivor {
    parallel: Parallel,
    server: Running,
    /// What all servers wrote; the last one's is the last.
    states: Vec<TempDir>,
}

fn over(archives: &Neighbours, state: &Path) -> ServerConfig {
    ServerConfig {
        state_dir: Some(state.to_owned()),
        ..archives.config()
    }
}

fn lasting(more: &Value) -> Value {
    with(with(both(), &json!({"disconnectTimeoutSecs": 900})), more)
}

impl Survivor {
    async fn create(archives: &Neighbours, params: Value) -> Self {
        Self::create_called(archives, params, None).await
    }

    async fn create_called(archives: &Neighbours, params: Value, name: Option<&str>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let server = Running::start(over(archives, state.path())).await;
        let parallel = Parallel::create_called(server.connect().await, params, name).await;
        Self {
            parallel,
            server,
            states: vec![state],
        }
    }

    /// The server dies, another one takes over what it left, and the client comes back to that.
    async fn lose(mut self, archives: &Neighbours) -> Self {
        self.start_next(archives).await;
        self.parallel = self.parallel.again(&self.server).await;
        self
    }

    async fn start_next(&mut self, archives: &Neighbours) {
        let state = crash(self.states.last().unwrap().path());
        self.server = Running::start(over(archives, state.path())).await;
        self.states.push(state);
    }

    /// How many entries a folder of the last server's state has.
    fn entries(&self, folder: &str) -> usize {
        let path = self.states.last().unwrap().path().join(folder);
        std::fs::read_dir(path).unwrap().count()
    }
}

fn requests(session: usize) -> [Value; 3] {
    let last = 1005 + 6 * session;
    [
        json!({"advanceCount": 2, "requestId": format!("a{session}")}),
        json!({"slot": last - 1, "batchIndex": 0, "requestId": format!("b{session}")}),
        json!({"advanceCount": 99, "requestId": format!("c{session}")}),
    ]
}

/// Everything that was told of each session.
fn told(parallel: &Parallel) -> Vec<Vec<Value>> {
    let of = |id| {
        let events = parallel.told[id].iter();
        let event = |message: &Value| {
            json!([
                message["requestId"],
                message["params"]["seq_id"],
                message["params"]["event"]
            ])
        };
        events.map(event).collect()
    };
    parallel.ids.iter().map(of).collect()
}

#[tokio::test]
async fn a_parallel_session_whose_server_dies_again_and_again_is_the_same() {
    let archives = Neighbours::import(2).await;
    let server = Running::start(archives.config()).await;
    let mut whole = Parallel::create(server.connect().await, lasting(&json!({}))).await;
    let mut survivor = Survivor::create(&archives, lasting(&json!({}))).await;
    whole.ready().await;
    survivor = survivor.lose(&archives).await;
    survivor.parallel.ready().await;
    let mut heard = 0;
    for step in 0..3 {
        for session in 0..2 {
            ask(&mut whole, session, requests(session)[step].clone()).await;
            ask(&mut survivor.parallel, session, requests(session)[step].clone()).await;
        }
        whole.stops(2).await;
        let mut running = 2;
        while running > 0 {
            let (_, message) = survivor.parallel.next().await;
            running -= usize::from(is_stop(&message));
            heard += 1;
            if heard % 3 == 0 {
                survivor = survivor.lose(&archives).await;
                // It may have been lost, and is not applied twice.
                for session in 0..2 {
                    ask(&mut survivor.parallel, session, requests(session)[step].clone()).await;
                }
            }
        }
    }
    assert!(survivor.states.len() > 8, "{heard}");
    assert_eq!(told(&survivor.parallel), told(&whole));
    whole.close().await;
    server.stopped().await;
    let Survivor {
        parallel,
        server,
        states,
    } = survivor;
    parallel.close().await;
    server.stopped().await;
    for folder in ["sessions", "groups"] {
        let path = states.last().unwrap().path().join(folder);
        assert_eq!(std::fs::read_dir(path).unwrap().count(), 0, "{folder}");
    }
}

#[tokio::test]
async fn what_was_closed_stays_closed_and_the_others_go_on_as_one() {
    let archives = Neighbours::import(2).await;
    let mut survivor = Survivor::create(&archives, lasting(&json!({}))).await;
    survivor.parallel.ready().await;
    let closed = survivor.parallel.ids.remove(0);
    survivor.parallel.told.remove(&closed);
    let close = json!({"sessionId": closed});
    survivor.parallel.control.send("closeSessionV1", close).await;
    while survivor.parallel.control.next().await["params"]["session_id"] != closed {}
    while survivor.entries("sessions") > 1 {
        tokio::task::yield_now().await;
    }
    survivor = survivor.lose(&archives).await;
    survivor.parallel.go_on(0, json!({"advanceCount": 99})).await;
    survivor.parallel.stops(1).await;
    assert_eq!(survivor.parallel.story(0).last().unwrap(), "completed {}");
    survivor.parallel.close().await;
}

#[tokio::test]
async fn a_repeated_create_finds_all_of_them_after_a_restart() {
    let archives = Neighbours::import(2).await;
    // Each session has only some of the slots.
    let at = ActionAnchor::after_slots(&[1002, 1008]);
    let actions = [ScheduledAction::simulate(
        at,
        &[payment(RICH, SOMEBODY, 1), payment(RICH, SOMEBODY, 2)],
    )];
    let actions = ScheduledAction::pack_all(&actions);
    let params = lasting(&json!({"createToken": "t", "name": "nightly", "actions": actions}));
    let mut survivor = Survivor::create_called(&archives, params.clone(), Some("nightly")).await;
    let (id, ids) = (survivor.parallel.id.clone(), survivor.parallel.ids.clone());
    survivor.parallel.ready().await;
    survivor.start_next(&archives).await;
    let mut other = survivor.server.connect().await;
    let taken = with(params.clone(), &json!({"createToken": null}));
    other.send("createBacktestSession", taken).await;
    let refused = loop {
        let message = other.next().await;
        if message["method"] == "error" {
            break message;
        }
    };
    assert!(refused["params"]["sessionNameTaken"].is_object(), "{refused}");
    let mut again = Parallel::create_called(survivor.server.connect().await, params, Some("nightly")).await;
    assert_eq!((&again.id, &again.ids), (&id, &ids));
    again.ready().await;
    for session in 0..2 {
        again.go_on(session, json!({"advanceCount": 99})).await;
    }
    again.stops(2).await;
    again.close().await;
}

#[tokio::test]
async fn a_parallel_session_to_which_nobody_can_come_back_is_not_restored() {
    let archives = Neighbours::import(2).await;
    let params = with(both(), &json!({"disconnectTimeoutSecs": 0}));
    let mut survivor = Survivor::create(&archives, params).await;
    survivor.parallel.ready().await;
    // The connection is there until the server dies.
    survivor.start_next(&archives).await;
    survivor.parallel.control = survivor.server.connect().await;
    let answer = survivor.parallel.attach().await;
    assert!(answer["params"]["sessionNotFound"].is_object(), "{answer}");
    assert_eq!((survivor.entries("sessions"), survivor.entries("groups")), (0, 0));
}

#[tokio::test]
async fn another_server_over_the_directory_takes_all_of_them_over_at_once() {
    let archives = Neighbours::import(2).await;
    let state = tempfile::tempdir().unwrap();
    let mut config = over(&archives, state.path());
    config.keys = vec![ApiKey::new("desk", "secret"), ApiKey::new("other", "hidden")];
    config.times.adoption = Duration::from_millis(10);
    let (first, second) = (Running::start(config.clone()).await, Running::start(config).await);
    let control = Control::connect(first.address, Some("secret")).await.unwrap();
    let mut parallel = Parallel::create(control, lasting(&json!({}))).await;
    parallel.ready().await;
    let connect = async |key| Control::connect(second.address, Some(key)).await.unwrap();
    let first_control = std::mem::replace(&mut parallel.control, connect("hidden").await);
    let answer = parallel.attach().await;
    assert!(answer["params"]["sessionNotFound"].is_object(), "{answer}");
    parallel.control = connect("secret").await;
    let answer = parallel.attach().await;
    assert!(answer["params"]["sessionOwnershipBusy"].is_object(), "{answer}");
    drop(first_control);
    first.stopped().await;
    // The second one finds them by itself.
    while parallel.attach().await["method"] != "parallelSessionAttachedV2" {}
    for session in 0..2 {
        parallel.go_on(session, json!({"advanceCount": 99})).await;
    }
    parallel.stops(2).await;
    parallel.close().await;
    second.stopped().await;
}
