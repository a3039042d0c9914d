//! One JSON-RPC address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::RpcCallError;
use super::envelope::{self, Call};
use crate::Limits;
use crate::http::{HttpClient, HttpError, answer};
use crate::transport::RootCertificates;
use crate::urls::UrlError;

/// The JSON-RPC address of a session, or of any Solana node. Clones share connections and the numbering of calls.
///
/// ```no_run
/// # async fn example() -> Result<(), simulator_client::rpc::RpcCallError> {
/// use simulator_client::rpc::RpcEndpoint;
///
/// let rpc = RpcEndpoint::new("http://127.0.0.1:8900/backtest/backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011")?;
/// let version: serde_json::Value = rpc.call("getVersion", &[(); 0]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RpcEndpoint {
    url: Url,
    limits: Limits,
    http: HttpClient,
    next_id: Arc<AtomicU64>,
}

impl RpcEndpoint {
    /// An endpoint with the default limits.
    ///
    /// # Errors
    ///
    /// [`RpcCallError::Url`] if `url` is not an `http` or `https` address.
    pub fn new(url: &str) -> Result<Self, RpcCallError> {
        Self::with_limits(url, Limits::default())
    }

    /// An endpoint with limits of its own: `http_timeout` for one call and `http_body_bytes` for its answer.
    ///
    /// # Errors
    ///
    /// As [`RpcEndpoint::new`].
    pub fn with_limits(url: &str, limits: Limits) -> Result<Self, RpcCallError> {
        let parsed = Url::parse(url).map_err(|source| UrlError::Parse {
            url: url.to_owned(),
            source,
        })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(UrlError::InvalidScheme { url: url.to_owned() }.into());
        }
        Ok(Self::shared(parsed, limits, HttpClient::default()))
    }

    /// The same, over connections of its own that trust these authorities beside Mozilla's.
    #[must_use]
    pub fn with_root_certificates(self, roots: RootCertificates) -> Self {
        Self {
            http: HttpClient::trusting(roots),
            ..self
        }
    }

    /// An endpoint that shares the connections of `http`.
    pub(crate) fn shared(url: Url, limits: Limits, http: HttpClient) -> Self {
        Self {
            url,
            limits,
            http,
            next_id: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Calls a method and decodes its result. `params` is an array, or an object with names.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`] if the call could not be made, was refused, or has a result that is not an `R`.
    pub async fn call<P, R>(&self, method: &str, params: &P) -> Result<R, RpcCallError>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.call_within(method, params, self.limits.http_timeout).await
    }

    /// As [`RpcEndpoint::call`], for a method that the server answers late: the limit is `patience` more than usual.
    ///
    /// # Errors
    ///
    /// As [`RpcEndpoint::call`].
    pub async fn call_patiently<P, R>(&self, method: &str, params: &P, patience: Duration) -> Result<R, RpcCallError>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.call_within(method, params, self.limits.http_timeout.saturating_add(patience))
            .await
    }

    async fn call_within<P, R>(&self, method: &str, params: &P, limit: Duration) -> Result<R, RpcCallError>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = encode(method, id, params)?;
        let http = self.exchange(body, limit).await.map_err(|source| RpcCallError::Http {
            method: method.into(),
            source,
        });
        let result = envelope::result(method, id, &http?)?;
        serde_json::from_str(result.get()).map_err(|source| RpcCallError::Result {
            method: method.into(),
            source,
        })
    }

    async fn exchange(&self, body: Vec<u8>, limit: Duration) -> Result<crate::http::HttpAnswer, HttpError> {
        let request = self
            .http
            .post(self.url.clone())?
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        answer(request, limit, &self.limits).await
    }
}

fn encode<P: Serialize + ?Sized>(method: &str, id: u64, params: &P) -> Result<Vec<u8>, RpcCallError> {
    let encode_error = |source| RpcCallError::Encode {
        method: method.into(),
        source,
    };
    let params = serde_json::value::to_raw_value(params).map_err(encode_error)?;
    serde_json::to_vec(&Call {
        jsonrpc: "2.0",
        id,
        method,
        params,
    })
    .map_err(encode_error)
}
