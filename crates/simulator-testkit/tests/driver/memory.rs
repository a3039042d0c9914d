//! Over a network in memory, under a paused clock.

use std::sync::Arc;
use std::time::Duration;

use simulator_api::BacktestError;
use simulator_client::managed::{CompressionChoice, ConnectionPolicy, ManagedBacktestSession};
use simulator_testkit::peer::{Generation, PeerServer};
use simulator_testkit::serve::ServedPeer;
use simulator_testkit::wire::Plan;

use super::program::{Seen, create, run, script};

async fn play(peer: &ServedPeer) -> Seen {
    let policy = ConnectionPolicy {
        compression: CompressionChoice::Always,
        ..ConnectionPolicy::default()
    };
    let builder = ManagedBacktestSession::builder("ws://sim.test", create())
        .connector(Arc::new(peer.memory()))
        .policy(policy);
    run(builder).await.expect("the session completes")
}

fn serve(generation: &Generation, plan: Plan) -> ServedPeer {
    ServedPeer::new(PeerServer::new(generation.clone(), script()), plan)
}

async fn cut_everywhere(generation: Generation) {
    let peer = serve(&generation, Plan::none());
    let uncut = play(&peer).await;
    assert_eq!(peer.with(|server| server.truth().applied.clone()), uncut.asked);
    assert_eq!(uncut.notifications.len(), 3);
    let (to_server, to_client) = peer.frames();
    let mut connections = 0;
    for cut in Plan::every_cut(to_server, to_client) {
        let peer = serve(&generation, Plan::cuts([cut]));
        let seen = play(&peer).await;
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
    cut_everywhere(Generation::ours()).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_with_a_published_server_is_cut_everywhere() {
    cut_everywhere(Generation::published_028()).await;
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
