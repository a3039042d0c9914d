//! The secret of the control channel.

use std::fmt;

use tokio_tungstenite::tungstenite::http::header::{HeaderName, InvalidHeaderValue, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};

/// An API key. It is sent in a header and never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    pub(crate) fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&self.0)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "ApiKey(none)"
        } else {
            "ApiKey(..)"
        })
    }
}

/// The header that carries the API key.
const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// The headers of every request: the caller's, which cannot replace the user agent and the key.
pub(crate) fn request_headers(mut headers: HeaderMap, user_agent: HeaderValue, api_key: HeaderValue) -> HeaderMap {
    headers.insert(USER_AGENT, user_agent);
    headers.insert(API_KEY_HEADER, api_key);
    headers
}
