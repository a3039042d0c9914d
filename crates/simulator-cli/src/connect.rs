//! The way to recorded history: a server somewhere, or one that is started here for as long as it is needed.

mod authorities;
mod local;
mod reach;

use simulator_client::BacktestClient;
use thiserror::Error;

pub(crate) use self::authorities::AuthoritiesError;
pub(crate) use self::local::{LocalServer, LocalServerError};
pub(crate) use self::reach::{ReachError, is_lost, is_lost_call, reach};
use crate::args::ApiKey;
use crate::exit::Exit;
use crate::place::Place;
use crate::prepare::{PrepareError, Prepared, PreparedArchive};
use crate::progress::Visibility;

/// What this tool calls itself towards a server.
const USER_AGENT: &str = concat!("sim/", env!("CARGO_PKG_VERSION"));

/// A server and the way to it. The same path leads to either kind of server.
#[derive(Debug)]
pub(crate) struct Connection {
    client: BacktestClient,
    local: Option<Local>,
}

/// A server in this process, and the archives that it serves.
#[derive(Debug)]
struct Local {
    server: LocalServer,
    archives: Prepared,
}

/// Why there is no way to recorded history.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Server(#[from] LocalServerError),
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

impl ConnectError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Prepare(error) => error.exit(),
            Self::Server(_) | Self::Authorities(_) => Exit::Failed,
        }
    }
}

impl Connection {
    /// Imports ledger directories and starts a server, if there is none yet. Says nothing about a server elsewhere.
    pub(crate) async fn open(place: Place, visibility: Visibility) -> Result<Self, ConnectError> {
        match place {
            Place::Server { url, api_key, ca_file } => {
                let authorities = authorities::authorities(ca_file.as_deref())?;
                let key = api_key.as_ref().map(ApiKey::reveal).unwrap_or_default();
                let client = BacktestClient::builder()
                    .url(url)
                    .api_key(key)
                    .user_agent(USER_AGENT)
                    .root_certificates(authorities)
                    .build();
                Ok(Self { client, local: None })
            }
            Place::Archives(places) => {
                let archives = Prepared::new(&places, visibility).await?;
                let server = LocalServer::start(&archives.locations()).await?;
                let client = BacktestClient::builder()
                    .url(server.url())
                    .user_agent(USER_AGENT)
                    .build();
                Ok(Self {
                    client,
                    local: Some(Local { server, archives }),
                })
            }
        }
    }

    /// The client of the server.
    pub(crate) fn client(&self) -> &BacktestClient {
        &self.client
    }

    /// The archives that are served here; empty where the server is elsewhere.
    pub(crate) fn archives(&self) -> &[PreparedArchive] {
        self.local.as_ref().map_or(&[], |local| local.archives.archives())
    }

    /// Stops the server, if it was started here.
    pub(crate) async fn close(self) {
        if let Some(Local { server, .. }) = self.local {
            server.stop().await;
        }
    }
}
