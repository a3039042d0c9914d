//! A network in memory.

use std::sync::Arc;

use simulator_client::transport::memory::{MemoryConnector, network};

use super::{ServedPeer, connection};

impl ServedPeer {
    /// A network on which nothing but this server is. A path that does not exist is a lost connection there.
    pub fn memory(&self) -> MemoryConnector {
        let (connector, mut listener) = network();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let stop = shared.stop.clone();
            while let Some(Some(accepted)) = stop.run_until_cancelled(listener.accept()).await {
                if let Ok(conn) = connection::open(&shared, accepted.request.url.path()) {
                    let transport = Box::pin(accepted.transport);
                    tokio::spawn(connection::run(Arc::clone(&shared), conn, transport));
                }
            }
        });
        connector
    }
}
