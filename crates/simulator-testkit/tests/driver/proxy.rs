//! Over real sockets, through a proxy that cuts, resets, stalls and splits.
//!
//! Sockets know no paused clock: these tests run on the real one, with a policy so short that they need not wait.

use std::time::Duration;

use simulator_client::managed::{CompressionChoice, ConnectionPolicy, ManagedBacktestSession, ReconnectPolicy};
use simulator_testkit::peer::{Generation, PeerServer};
use simulator_testkit::proxy::{LinkEnd, LinkPlan, Proxy, Way};
use simulator_testkit::seeded::Seeded;
use simulator_testkit::serve::ServedPeer;
use simulator_testkit::wire::Plan;

use tokio::time::timeout;

use super::program::{Seen, create, run, script};

/// Connections that are treated badly in a run of a seed.
const BAD_LINKS: usize = 6;
/// Longer than any run takes.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes within which a bad connection ends: about as many as a whole run takes.
const BYTES: u64 = 12_000;

/// Comes back at once, but has patience with a connection that lives.
fn patient(compression: CompressionChoice) -> ConnectionPolicy {
    ConnectionPolicy {
        compression,
        resend_settle_time: Duration::from_millis(100),
        reconnect: ReconnectPolicy {
            initial_backoff: Duration::from_millis(5),
            max_backoff: Duration::from_millis(20),
            max_attempts: 200,
            ..ReconnectPolicy::default()
        },
        ..ConnectionPolicy::default()
    }
}

/// Gives up a silent connection soon.
fn impatient(compression: CompressionChoice) -> ConnectionPolicy {
    ConnectionPolicy {
        connect_timeout: Duration::from_millis(500),
        handshake_response_timeout: Duration::from_millis(500),
        keepalive_interval: Duration::from_millis(40),
        keepalive_miss_deadline: Duration::from_millis(400),
        ..patient(compression)
    }
}

/// Runs the program through the proxy, and checks what really happened.
async fn play(generation: Generation, plans: Vec<LinkPlan>, policy: ConnectionPolicy) -> (Seen, usize) {
    let peer = ServedPeer::new(PeerServer::new(generation, script()), Plan::none());
    let server = peer.tcp().await.expect("the loopback has free ports");
    let shown = format!("{plans:?}");
    let proxy = Proxy::start(server, plans).await.expect("the loopback has free ports");
    let builder = ManagedBacktestSession::builder(format!("ws://{}", proxy.address()), create());
    let seen = timeout(LONGEST, run(builder.policy(policy))).await;
    let seen = seen.unwrap_or_else(|_| {
        panic!(
            "no end with {shown}; the server: {:#?}",
            peer.with(|server| format!("{server:#?}"))
        )
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:?} with {shown}"));
    let truth = peer.with(|server| server.truth().clone());
    assert_eq!(truth.applied, seen.asked, "{shown}");
    assert_eq!(truth.violations, Vec::<String>::new(), "{shown}");
    (seen, proxy.accepted())
}

async fn treat_badly(generation: Generation, seeds: std::ops::Range<u64>) {
    let (good, connections) = play(generation.clone(), Vec::new(), patient(CompressionChoice::Always)).await;
    assert_eq!(connections, 3);
    let mut lost = 0;
    for seed in seeds {
        let mut numbers = Seeded::new(seed);
        let plans: Vec<_> = (0..BAD_LINKS).map(|_| LinkPlan::random(&mut numbers, BYTES)).collect();
        let compression = match seed % 2 {
            0 => CompressionChoice::Always,
            _ => CompressionChoice::Never,
        };
        let (seen, connections) = play(generation.clone(), plans, impatient(compression)).await;
        assert_eq!(seen, good, "seed {seed}");
        lost += connections - 3;
    }
    assert!(lost > 12, "only {lost} connections were lost");
}

#[tokio::test]
async fn bad_links_to_our_server_change_nothing() {
    treat_badly(Generation::ours(), 0..12).await;
}

#[tokio::test]
async fn bad_links_to_a_published_server_change_nothing() {
    treat_badly(Generation::published_028(), 100..112).await;
}

#[tokio::test]
async fn frames_may_be_split_at_every_byte() {
    let (good, _) = play(Generation::ours(), Vec::new(), patient(CompressionChoice::Always)).await;
    // The upgrade comes in one piece: in many, the WebSocket library takes it for an attack.
    let upgrade = 2000;
    let bytewise = Way {
        pieces: std::iter::once(upgrade)
            .chain(std::iter::repeat_n(1, 100_000))
            .collect(),
        ..Way::default()
    };
    let plan = LinkPlan {
        up: bytewise.clone(),
        down: bytewise,
    };
    let (seen, connections) = play(Generation::ours(), vec![plan; 3], patient(CompressionChoice::Always)).await;
    assert_eq!(seen, good);
    assert_eq!(connections, 3);
}

#[tokio::test]
async fn every_kind_of_end_is_survived_at_the_same_places() {
    let (good, _) = play(Generation::ours(), Vec::new(), patient(CompressionChoice::Never)).await;
    for end in [LinkEnd::Close, LinkEnd::Reset, LinkEnd::Stall] {
        // In the upgrade, in its answer, and in the middle of a message.
        for bytes in [0, 60, 333, 1111] {
            let down = Way {
                end: Some((bytes, end)),
                ..Way::default()
            };
            let plan = LinkPlan {
                down,
                ..LinkPlan::default()
            };
            let (seen, connections) =
                play(Generation::ours(), vec![plan; 3], impatient(CompressionChoice::Never)).await;
            assert_eq!(seen, good, "{end:?} after {bytes} bytes");
            assert!(
                connections >= 6,
                "{end:?} after {bytes} bytes: {connections} connections"
            );
        }
    }
}
