//! Over a network in memory, under a paused clock.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::BacktestError;
use simulator_client::managed::{CompressionChoice, ConnectionPolicy, ManagedBacktestSession};
use simulator_testkit::peer::{Generation, PeerServer};
use simulator_testkit::serve::ServedPeer;
use simulator_testkit::wire::Plan;

use super::program::{Seen, create, run_thinking, script};

async fn play(peer: &ServedPeer) -> Seen {
    play_thinking(peer, Duration::ZERO).await
}

async fn play_thinking(peer: &ServedPeer, thinks: Duration) -> Seen {
    let policy = ConnectionPolicy {
        compression: CompressionChoice::Always,
        ..ConnectionPolicy::default()
    };
    let builder = ManagedBacktestSession::builder("ws://sim.test", create())
        .connector(Arc::new(peer.memory()))
        .policy(policy);
    run_thinking(builder, thinks).await.expect("the session completes")
}

fn serve(generation: &Generation, plan: Plan) -> ServedPeer {
    ServedPeer::new(PeerServer::new(generation.clone(), script()), plan)
}

async fn cut_everywhere(generation: Generation, thinks: Duration) {
    let peer = serve(&generation, Plan::none());
    let uncut = play_thinking(&peer, thinks).await;
    assert_eq!(peer.with(|server| server.truth().applied.clone()), uncut.asked);
    assert_eq!(uncut.notifications.len(), 3);
    let (to_server, to_client) = peer.frames();
    let mut connections = 0;
    for cut in Plan::every_cut(to_server, to_client) {
        let peer = serve(&generation, Plan::cuts([cut]));
        let seen = play_thinking(&peer, thinks).await;
        assert_eq!(seen.control, uncut.control, "{cut:?}");
        assert!(
            seen.notifications == uncut.notifications,
            "{cut:?}: other notifications"
        );
        let truth = peer.with(|server| server.truth().clone());
        assert_eq!(truth.applied, uncut.asked, "{cut:?}");
        assert_eq!(truth.violations, Vec::<String>::new(), "{cut:?}");
        connections += truth.connections;
    }
    // A cut after the last frame of a line costs nothing; every other costs a connection.
    let cuts = Plan::every_cut(to_server, to_client).len();
    assert!(
        connections > 3 * cuts + cuts / 2,
        "{connections} connections in {cuts} runs"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_with_our_server_is_cut_everywhere() {
    cut_everywhere(Generation::ours(), Duration::ZERO).await;
}

/// Whoever thinks for longer than the server waits before it says again that it waits is not told twice.
#[tokio::test(start_paused = true)]
async fn a_session_of_a_slow_thinker_is_cut_everywhere() {
    cut_everywhere(Generation::ours(), Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_with_a_published_server_is_cut_everywhere() {
    cut_everywhere(Generation::published_028(), Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_replays_everything_each_time_is_told_once() {
    let peer = serve(&Generation::ours(), Plan::none());
    let uncut = play(&peer).await;
    let (to_server, to_client) = peer.frames();
    for cut in Plan::every_cut(to_server, to_client).into_iter().step_by(3) {
        let peer = serve(&Generation::ours(), Plan::cuts([cut]));
        peer.with(|server| server.overlap_replays(u64::MAX));
        assert!(play(&peer).await == uncut, "{cut:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_replaced_again_and_again_are_followed() {
    let uncut = play(&serve(&Generation::ours(), Plan::none())).await;
    let peer = serve(&Generation::ours(), Plan::none());
    let busy = BacktestError::SessionOwnershipBusy {
        reason: "taking over".to_owned(),
    };
    let replace = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            peer.with(|server| {
                server.fail_attaches([busy.clone()]);
                server.restart(ServedPeer::now());
            });
        }
        std::future::pending::<Seen>().await
    };
    peer.with(|server| server.restart(ServedPeer::now()));
    let seen = tokio::select! {
        seen = play(&peer) => seen,
        seen = replace => seen,
    };
    assert_eq!(seen, uncut);
}
