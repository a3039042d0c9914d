//! HTTP calls with a time limit, a size limit and typed failures.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use thiserror::Error;
use url::Url;

use crate::Limits;
use crate::transport::{RootCertificates, is_untrusted};

/// Longest text of an HTTP error body that an error keeps.
const ERROR_BODY_CHARS: usize = 4096;

/// Why an HTTP call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The call did not get a complete answer.
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    /// The server's certificate is not to be trusted: none of the authorities has signed it, it has expired, or it is
    /// another server's. [`RootCertificates`] adds authorities.
    #[error("the server's certificate is not trusted")]
    Certificate(#[source] reqwest::Error),
    /// The call took longer than its limit.
    #[error("no complete answer within {limit:?}")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// The server answered with a status that is not a success.
    #[error("the server answered HTTP status {status}: {body}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The body, shortened.
        body: String,
    },
    /// The answer is longer than the client takes.
    #[error("the answer is longer than the limit of {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what it should be.
    #[error("the answer could not be decoded: {raw}")]
    Decode {
        /// The answer, shortened.
        raw: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl HttpError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Request(error) => !error.is_builder(),
            Self::Timeout { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Certificate(_) | Self::TooLong { .. } | Self::Decode { .. } => false,
        }
    }
}

/// One HTTP client, made at its first use and shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpClient {
    roots: RootCertificates,
    client: Arc<OnceLock<Client>>,
}

/// An answer that arrived completely.
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl HttpClient {
    /// A client that trusts these authorities beside Mozilla's.
    pub(crate) fn trusting(roots: RootCertificates) -> Self {
        Self {
            roots,
            client: Arc::default(),
        }
    }

    /// The authorities that it trusts beside Mozilla's.
    #[cfg(feature = "solana-rpc-client")]
    pub(crate) fn roots(&self) -> &RootCertificates {
        &self.roots
    }

    pub(crate) fn get(&self, url: Url) -> Result<RequestBuilder, HttpError> {
        Ok(self.client()?.get(url))
    }

    pub(crate) fn post(&self, url: Url) -> Result<RequestBuilder, HttpError> {
        Ok(self.client()?.post(url))
    }

    fn client(&self) -> Result<&Client, HttpError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // A proxy is not used, because the WebSocket of the same session does not use one either. A redirect is not
        // followed, because it would carry the API key to a place that the user did not name.
        let builder = Client::builder().no_proxy().redirect(Policy::none());
        let builder = self.roots.add_to(builder).map_err(HttpError::Request)?;
        let client = builder.build().map_err(HttpError::Request)?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Sends a request and reads the whole answer, whatever its status is, within `limit`.
pub(crate) async fn answer(request: RequestBuilder, limit: Duration, limits: &Limits) -> Result<HttpAnswer, HttpError> {
    let exchange = async {
        let response = request.send().await.map_err(|error| match is_untrusted(&error) {
            true => HttpError::Certificate(error),
            false => HttpError::Request(error),
        })?;
        let status = response.status();
        Ok(HttpAnswer {
            status,
            body: body(response, limits.http_body_bytes).await?,
        })
    };
    tokio::time::timeout(limit, exchange)
        .await
        .unwrap_or(Err(HttpError::Timeout { limit }))
}

async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(HttpError::Request)? {
        if chunk.len() > limit - body.len() {
            return Err(HttpError::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl HttpAnswer {
    /// The decoded body of a success.
    pub(crate) fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, HttpError> {
        if !self.status.is_success() {
            return Err(HttpError::Status {
                status: self.status,
                body: self.excerpt(),
            });
        }
        serde_json::from_slice(&self.body).map_err(|source| self.undecodable(source))
    }

    pub(crate) fn undecodable(&self, source: serde_json::Error) -> HttpError {
        HttpError::Decode {
            raw: self.excerpt(),
            source,
        }
    }

    /// The beginning of the body, for people.
    pub(crate) fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body)
            .trim()
            .chars()
            .take(ERROR_BODY_CHARS)
            .collect()
    }
}
