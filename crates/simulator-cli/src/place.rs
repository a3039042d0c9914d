//! Where recorded history comes from: archives, or a server.

use thiserror::Error;

use crate::args::ApiKey;

/// Where to look.
#[derive(Debug)]
pub(crate) enum Place {
    /// Archives or ledger directories, served inside this process.
    Archives(Vec<String>),
    /// A server.
    Server { url: String, api_key: Option<ApiKey> },
}

/// Arguments that do not name a place.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PlaceError {
    #[error("say what to replay: --archive PATH_OR_URL or --server WS_URL")]
    Nowhere,
    #[error("{url:?} is not the address of a server: it has to begin with ws:// or wss://")]
    Scheme { url: String },
}

impl Place {
    /// Of what clap lets through at most one is given.
    pub(crate) fn new(
        archives: Vec<String>,
        server: Option<String>,
        api_key: Option<ApiKey>,
    ) -> Result<Self, PlaceError> {
        match server {
            Some(url) if url.starts_with("ws://") || url.starts_with("wss://") => Ok(Self::Server { url, api_key }),
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
        assert!(Place::new(vec![], Some("wss://host".into()), None).is_ok());
        let error = Place::new(vec![], Some("http://host".into()), None).expect_err("http");
        insta::assert_snapshot!(error, @r#""http://host" is not the address of a server: it has to begin with ws:// or wss://"#);
    }
}
