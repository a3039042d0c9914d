//! Where recorded history comes from: archives, or a server.

use std::path::PathBuf;

use thiserror::Error;

use crate::args::{ApiKey, PlaceArgs};

/// Where to look.
#[derive(Debug)]
pub(crate) enum Place {
    /// Archives or ledger directories, served inside this process.
    Archives(Vec<String>),
    /// A server.
    Server {
        url: String,
        api_key: Option<ApiKey>,
        /// Authorities to trust beside Mozilla's.
        ca_file: Option<PathBuf>,
    },
}

/// Arguments that do not name a place.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PlaceError {
    #[error("say what to replay: --archive PATH_OR_URL or --server WS_URL")]
    Nowhere,
    #[error("{url:?} is not the address of a server: it has to begin with ws:// or wss://")]
    Scheme { url: String },
}

impl TryFrom<PlaceArgs> for Place {
    type Error = PlaceError;

    /// Of what clap lets through at most one is given.
    fn try_from(args: PlaceArgs) -> Result<Self, PlaceError> {
        let PlaceArgs {
            archive: archives,
            server,
            api_key,
            ca_file,
        } = args;
        match server {
            Some(url) if url.starts_with("ws://") || url.starts_with("wss://") => {
                Ok(Self::Server { url, api_key, ca_file })
            }
            Some(url) => Err(PlaceError::Scheme { url }),
            None if archives.is_empty() => Err(PlaceError::Nowhere),
            None => Ok(Self::Archives(archives)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_is_a_websocket() {
        let server = |url: &str| {
            Place::try_from(PlaceArgs {
                archive: vec![],
                server: Some(url.to_owned()),
                api_key: None,
                ca_file: None,
            })
        };
        assert!(server("wss://host").is_ok());
        let error = server("http://host").expect_err("http");
        insta::assert_snapshot!(error, @r#""http://host" is not the address of a server: it has to begin with ws:// or wss://"#);
    }
}
