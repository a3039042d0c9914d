//! `sim serve`.

use std::io;
use std::net::SocketAddr;

use simulator_server::{ApiKey, BindError, Server, ServerConfig};
use thiserror::Error;

use crate::args::{NamedKey, NamedKeyError, ServeArgs};
use crate::exit::Exit;
use crate::output::OutputError;
use crate::prepare::{PrepareError, Prepared, archive_exit};
use crate::progress::Visibility;
use crate::signals;
use crate::stdout::print;

/// Why a server could not be started, or stopped by itself.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error("say what to serve: --archive PATH_OR_URL")]
    Nothing,
    #[error(
        "{listen} can be reached from other machines, and without --api-key NAME=KEY anybody there could use the server; give a key, or listen on 127.0.0.1"
    )]
    Open { listen: SocketAddr },
    #[error(transparent)]
    Key(#[from] NamedKeyError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Serve(#[from] simulator_server::ServeError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl ServeError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Nothing | Self::Open { .. } | Self::Key(_) => Exit::Usage,
            Self::Prepare(error) => error.exit(),
            Self::Bind(BindError::Archive(error)) => archive_exit(error),
            Self::Output(error) => error.exit(),
            Self::Bind(_) | Self::Serve(_) | Self::Signals(_) => Exit::Failed,
        }
    }
}

/// Serves until a signal asks it to stop, which is how a server is expected to end.
pub(crate) async fn serve(args: ServeArgs, visibility: Visibility) -> Result<Exit, ServeError> {
    let ServeArgs {
        archive: places,
        listen,
        api_key,
    } = args;
    if places.is_empty() {
        return Err(ServeError::Nothing);
    }
    let keys = api_key.iter().map(NamedKey::parse);
    let keys = keys.map(|named| named.map(|NamedKey { name, key }| ApiKey::new(name, key.reveal())));
    let config = ServerConfig {
        listen,
        keys: keys.collect::<Result<_, NamedKeyError>>()?,
        ..ServerConfig::local(Vec::new())
    };
    if config.is_open_to_others() {
        return Err(ServeError::Open { listen });
    }
    let stop = signals::stop_requested().map_err(ServeError::Signals)?;
    let prepared = tokio::select! {
        prepared = Prepared::new(&places, visibility) => prepared?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    let server = Server::bind(ServerConfig {
        archives: prepared.locations().to_vec(),
        ..config
    })
    .await?;
    let address = server.local_addr();
    print(|stdout| writeln!(stdout, "listening on http://{address}"))?;
    server.run(stop.cancelled_owned()).await?;
    Ok(Exit::Done)
}
