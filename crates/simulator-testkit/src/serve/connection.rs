//! One connection of a served peer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use simulator_client::transport::{BoxTransport, Frame};
use tokio::time::timeout;

use super::{Passage, ServedPeer, Shared};
use crate::peer::{ConnId, Refused};

/// How long a client may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(1);

/// Opens a connection, if there is something at that path.
pub(super) fn open(shared: &Shared, path: &str) -> Result<ConnId, Refused> {
    shared.with(|state| state.server.connect(path, ServedPeer::now()))
}

/// Moves frames both ways until the connection ends.
pub(super) async fn run(shared: Arc<Shared>, conn: ConnId, mut transport: BoxTransport) {
    let stop = shared.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = exchange(&shared, conn, &mut transport) => {}
    }
    drop(transport);
    shared.with(|state| state.server.disconnect(conn, ServedPeer::now()));
}

async fn exchange(shared: &Shared, conn: ConnId, transport: &mut BoxTransport) {
    let mut changed = shared.changed.subscribe();
    loop {
        changed.mark_unchanged();
        while let Some((frame, passage)) = shared.look(|state| state.next_outgoing(conn)) {
            let closes = matches!(frame, Frame::Close(_));
            if passage == Passage::Lost || transport.send(frame).await.is_err() || passage == Passage::Last {
                return;
            }
            if closes {
                return drain(transport).await;
            }
        }
        tokio::select! {
            frame = transport.next() => {
                let Some(Ok(frame)) = frame else { return };
                if shared.with(|state| state.take_incoming(conn, frame)) != Passage::Through {
                    return;
                }
            }
            _ = changed.changed() => {}
        }
    }
}

/// Reads until the client has closed too.
async fn drain(transport: &mut BoxTransport) {
    let all = async { while let Some(Ok(_)) = transport.next().await {} };
    // A client that does not close is left.
    let _ = timeout(CLOSING, all).await;
}
