//! `sim serve`.

mod key_file;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use simulator_server::{ApiKey, BindError, Limits, Server, ServerConfig, TlsFiles};
use thiserror::Error;

use self::key_file::KeyFileError;
use crate::args::{NamedKey, NamedKeyError, ServeArgs};
use crate::exit::Exit;
use crate::output::OutputError;
use crate::prepare::{PrepareError, Prepared, archive_exit};
use crate::progress::Visibility;
use crate::signals;
use crate::stdout::print;

/// Connections that there is room for, for each session: its control channel, PubSub, JSON-RPC, and one that comes back.
const CONNECTIONS_OF_SESSION: usize = 4;

/// Why a server could not be started, or stopped by itself.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error("say what to serve: --archive PATH_OR_URL")]
    Nothing,
    #[error(
        "{listen} can be reached from other machines, and without --api-key NAME=KEY or --key-file FILE anybody there could use the server; give a key, or listen on 127.0.0.1"
    )]
    Open { listen: SocketAddr },
    #[error(transparent)]
    Key(#[from] NamedKeyError),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
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
            Self::Nothing | Self::Open { .. } | Self::Key(_) | Self::KeyFile(_) => Exit::Usage,
            Self::Prepare(error) => error.exit(),
            Self::Bind(BindError::Archive(error)) => archive_exit(error),
            Self::Output(error) => error.exit(),
            Self::Bind(_) | Self::Serve(_) | Self::Signals(_) => Exit::Failed,
        }
    }
}

/// Serves until a signal asks it to stop, which is how a server is expected to end.
pub(crate) async fn serve(args: ServeArgs, visibility: Visibility) -> Result<Exit, ServeError> {
    if args.archive.is_empty() {
        return Err(ServeError::Nothing);
    }
    let config = config(&args)?;
    let listen = config.listen;
    if config.is_open_to_others() {
        return Err(ServeError::Open { listen });
    }
    let stop = signals::stop_requested().map_err(ServeError::Signals)?;
    let prepared = tokio::select! {
        prepared = Prepared::new(&args.archive, visibility) => prepared?,
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    let server = Server::bind(ServerConfig {
        archives: prepared.locations().to_vec(),
        ..config
    })
    .await?;
    let (address, scheme) = (server.local_addr(), if server.is_tls() { "https" } else { "http" });
    print(|stdout| writeln!(stdout, "listening on {scheme}://{address}"))?;
    server.run(stop.cancelled_owned()).await?;
    Ok(Exit::Done)
}

/// What the arguments say about everything but the archives.
fn config(args: &ServeArgs) -> Result<ServerConfig, ServeError> {
    let named = args.api_key.iter().map(NamedKey::parse);
    let named = named.map(|named| named.map(|NamedKey { name, key }| ApiKey::new(name, key.reveal())));
    let mut keys = named.collect::<Result<Vec<_>, NamedKeyError>>()?;
    if let Some(file) = &args.key_file {
        keys.extend(key_file::read(file)?);
    }
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    Ok(ServerConfig {
        listen: args.listen,
        keys,
        tls: tls.map(|(certificates, key)| TlsFiles { certificates, key }),
        state_dir: args.state_dir.clone(),
        limits: limits(args),
        ..ServerConfig::local(Vec::new())
    })
}

fn limits(args: &ServeArgs) -> Limits {
    let mib = |count: NonZeroUsize| count.get().saturating_mul(1 << 20);
    let (sessions, defaults) = (args.max_sessions.get(), Limits::default());
    let enough = defaults
        .connections
        .max(sessions.saturating_mul(CONNECTIONS_OF_SESSION));
    let connections = args.max_connections.map_or(enough, NonZeroUsize::get);
    let all_data_bytes = mib(args.data_memory);
    Limits {
        sessions,
        connections,
        key_sessions: args.max_key_sessions.map_or(sessions, NonZeroUsize::get),
        key_connections: args
            .max_key_connections
            .map_or(connections.div_ceil(2), NonZeroUsize::get),
        message_bytes: mib(args.max_message),
        all_data_bytes,
        data_bytes: defaults.data_bytes.min(all_data_bytes),
        data_cache_bytes: defaults.data_cache_bytes.min(all_data_bytes),
        ..defaults
    }
}
