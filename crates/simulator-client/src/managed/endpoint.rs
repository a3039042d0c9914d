//! Where a manager connects, and as whom.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::http::header::HeaderValue;
use url::Url;

use super::{ConnectionError, ConnectionPolicy};
use crate::api_key::{ApiKey, request_headers};
use crate::transport::{ConnectRequest, Connector, WebSocketConnector};
use crate::{DEFAULT_USER_AGENT, Limits};

/// Where to connect, and how.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) request: ConnectRequest,
}

/// As whom to connect.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) api_key: ApiKey,
    pub(crate) user_agent: String,
    pub(crate) headers: HeaderMap,
}

impl Identity {
    /// A managed client of this library.
    pub(crate) fn new(api_key: impl Into<ApiKey>) -> Self {
        Self {
            api_key: api_key.into(),
            user_agent: format!("{DEFAULT_USER_AGENT} (managed)"),
            headers: HeaderMap::new(),
        }
    }

    fn headers(&self) -> Result<HeaderMap, ConnectionError> {
        let header = |source| ConnectionError::Header(Arc::new(source));
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(header)?;
        let api_key = self.api_key.header().map_err(header)?;
        Ok(request_headers(self.headers.clone(), user_agent, api_key))
    }
}

impl Endpoint {
    /// A control channel.
    pub(crate) fn control(
        url: Url,
        identity: &Identity,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, ConnectionError> {
        let headers = identity.headers()?;
        Ok(Self {
            connector,
            request: ConnectRequest { url, headers },
        })
    }

    /// A data channel, which needs no key: the session's id, a part of the address, is the secret.
    pub(crate) fn data(url: Url, connector: Arc<dyn Connector>) -> Self {
        let headers = HeaderMap::new();
        Self {
            connector,
            request: ConnectRequest { url, headers },
        }
    }
}

/// The real network, with the policy's limits.
pub(crate) fn default_connector(policy: &ConnectionPolicy) -> Arc<dyn Connector> {
    let limits = Limits {
        message_bytes: policy.max_message_bytes,
        frame_bytes: policy.max_message_bytes,
        ..Limits::default()
    };
    Arc::new(WebSocketConnector::new(&limits).with_root_certificates(policy.root_certificates.clone()))
}
