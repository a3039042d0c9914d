//! The way to a server.

use std::sync::Arc;
use std::time::Duration;

use bon::Builder;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::DeserializeOwned;
use simulator_api::usage::UsageReport;
use simulator_api::{AvailableRange, SessionId};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};
use url::Url;

use crate::api_key::{ApiKey, request_headers};
use crate::error::{BacktestClientError, BacktestClientResult, InvalidParams};
use crate::http::{HttpClient, HttpError, answer};
use crate::session::{BacktestSession, CreatedSession, CreatedSessions, LogRaw, Opening};
use crate::transport::{ConnectRequest, Connector, RootCertificates, WebSocketConnector};
use crate::urls::{control_url, http_base};
use crate::{CreateSession, Limits};

/// What this library calls itself.
pub const DEFAULT_USER_AGENT: &str = concat!("simulator-client/", env!("CARGO_PKG_VERSION"));

/// The way to one server. It holds no connection; each session opens its own.
///
/// ```no_run
/// use simulator_client::{BacktestClient, Continue, CreateSession};
///
/// # async fn example() -> Result<(), simulator_client::BacktestClientError> {
/// let client = BacktestClient::builder().url("ws://127.0.0.1:8900/backtest").build();
/// let create = CreateSession::builder().start_slot(402_000_000).slot_count(63).build();
/// let mut session = client.create_session(create).await?;
/// while !session.ensure_ready(None).await?.is_completed() {
///     let next = Continue::builder().advance_count(8).build();
///     session.advance(next, None, |event| println!("{event:?}")).await?;
/// }
/// session.close(None).await
/// # }
/// ```
#[derive(Clone, Debug, Builder)]
pub struct BacktestClient {
    /// The server's control channel. `wss` if there is no scheme; `/backtest` is appended if it is missing.
    #[builder(into)]
    url: String,
    /// The API key. Default none.
    #[builder(into, default)]
    api_key: ApiKey,
    /// Longest time for a connect. Default 10 s.
    connect_timeout: Option<Duration>,
    /// Longest silence while a call waits for a message. Default none.
    request_timeout: Option<Duration>,
    /// The other limits. `connect_timeout` and `request_timeout` win over theirs.
    #[builder(default)]
    limits: Limits,
    /// Whether messages are logged as they travel, at the level `debug` with the target `simulator_client::wire`.
    /// They may hold secrets.
    #[builder(default)]
    log_raw: bool,
    /// Headers for every request, beside the API key and the user agent, which they cannot replace.
    #[builder(default)]
    headers: HeaderMap,
    /// What the client calls itself. Default `simulator-client/VERSION`.
    #[builder(into, default = DEFAULT_USER_AGENT.to_owned())]
    user_agent: String,
    /// Opens connections. Default a WebSocket over TCP or TLS.
    connector: Option<Arc<dyn Connector>>,
    /// Authorities to trust beside Mozilla's, for WebSockets and HTTP, also those of the sessions. Default none. A
    /// `connector` has its own.
    #[builder(default)]
    root_certificates: RootCertificates,
    #[builder(skip = HttpClient::trusting(root_certificates.clone()))]
    http: HttpClient,
}

impl BacktestClient {
    /// Creates a session: connects, asks, and waits until the server has made it. Events that arrive first stay
    /// unread. The session may still be starting; [`ensure_ready`](BacktestSession::ensure_ready) waits for it.
    ///
    /// # Errors
    ///
    /// [`InvalidParams`](BacktestClientError::InvalidParams) before anything is sent; `Connect`, `Timeout` and the
    /// like on the way; [`Remote`](BacktestClientError::Remote) if the server refuses;
    /// [`MissingCapability`](BacktestClientError::MissingCapability) if it does not speak an extension that the
    /// session needs.
    pub async fn create_session(&self, create: CreateSession) -> BacktestClientResult<BacktestSession> {
        if create.parallel {
            return Err(InvalidParams::Parallel.into());
        }
        let request = create.into_request()?;
        self.open().await?.create(request).await
    }

    /// Creates several sessions that share the range, if `create.parallel` says so, and waits until the server has made
    /// all of them. Without it, the answer is the one session.
    ///
    /// The sessions live as long as the handle, and their disconnect timeout longer: keep it.
    ///
    /// ```no_run
    /// use simulator_client::{BacktestClient, CreateSession};
    ///
    /// # async fn example() -> Result<(), simulator_client::BacktestClientError> {
    /// let client = BacktestClient::builder().url("ws://127.0.0.1:8900/backtest").build();
    /// let create = CreateSession::builder().start_slot(402_000_000).slot_count(9_999).parallel(true).build();
    /// let mut created = client.create_sessions(create).await?;
    /// for part in created.sessions() {
    ///     let mut session = client.attach_session(part.session_id, None).await?;
    ///     session.resume_attached_session().await?;
    /// }
    /// created.close(None).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create_session`](Self::create_session). What the server has made by then lives for its disconnect timeout
    /// at most.
    pub async fn create_sessions(&self, create: CreateSession) -> BacktestClientResult<CreatedSessions> {
        self.create_sessions_with_progress(create, |_session| {}).await
    }

    /// As [`create_sessions`](Self::create_sessions), and shows each session to `on_session` as soon as it is there.
    /// It can be attached to from then on; its part of the range is only known at the end.
    ///
    /// # Errors
    ///
    /// As [`create_sessions`](Self::create_sessions).
    pub async fn create_sessions_with_progress(
        &self,
        create: CreateSession,
        on_session: impl FnMut(&CreatedSession),
    ) -> BacktestClientResult<CreatedSessions> {
        let request = create.into_request()?;
        self.open().await?.create_several(request, on_session).await
    }

    /// The same as [`create_sessions`](Self::create_sessions): each [session](CreatedSessions::sessions) comes with its
    /// task id.
    ///
    /// # Errors
    ///
    /// As [`create_sessions`](Self::create_sessions).
    pub async fn create_sessions_with_task_ids(&self, create: CreateSession) -> BacktestClientResult<CreatedSessions> {
        self.create_sessions(create).await
    }

    /// Attaches to a session that is alive at the server, on a new connection. Events after `last_sequence` are
    /// delivered again; `None` stands for all that the server has kept. A session that was paused for a hand-off goes
    /// on after [`resume_attached_session`](BacktestSession::resume_attached_session).
    ///
    /// # Errors
    ///
    /// As [`create_session`](Self::create_session). `sessionOwnershipBusy` passes; a session that is not found is
    /// gone.
    pub async fn attach_session(
        &self,
        session_id: SessionId,
        last_sequence: Option<u64>,
    ) -> BacktestClientResult<BacktestSession> {
        self.open().await?.attach(session_id, last_sequence).await
    }

    /// The slot ranges that the server offers.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](BacktestClientError::InvalidUrl) or [`Http`](BacktestClientError::Http).
    pub async fn available_ranges(&self) -> BacktestClientResult<Vec<AvailableRange>> {
        self.get(self.http_url("available-ranges")?).await
    }

    /// What the key has used between two times, to the second. The server chooses a bound that is not given.
    ///
    /// # Errors
    ///
    /// As [`available_ranges`](Self::available_ranges).
    pub async fn usage(
        &self,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> BacktestClientResult<UsageReport> {
        let mut url = self.http_url("usage")?;
        for (name, time) in [("since", since), ("until", until)] {
            if let Some(time) = time {
                url.query_pairs_mut()
                    .append_pair(name, &time.to_rfc3339_opts(SecondsFormat::Secs, true));
            }
        }
        self.get(url).await
    }

    async fn open(&self) -> BacktestClientResult<Opening> {
        let limits = self.limits();
        let control_url = control_url(&self.url)?;
        let request = ConnectRequest {
            url: control_url.clone(),
            headers: self.request_headers()?,
        };
        let connector = self.connector.clone().unwrap_or_else(|| {
            let connector = WebSocketConnector::new(&limits);
            Arc::new(connector.with_root_certificates(self.root_certificates.clone()))
        });
        let duration = limits.connect_timeout;
        let connected = timeout(duration, connector.connect(request)).await;
        let Ok(connected) = connected else {
            return Err(BacktestClientError::Timeout {
                action: "connect",
                duration,
            });
        };
        let transport = connected.map_err(|source| BacktestClientError::Connect {
            url: control_url.to_string(),
            source,
        })?;
        let log_raw = LogRaw::from(self.log_raw);
        Ok(Opening {
            transport,
            connector,
            control_url,
            limits,
            log_raw,
            http: self.http.clone(),
        })
    }

    fn limits(&self) -> Limits {
        let mut limits = self.limits.clone();
        limits.connect_timeout = self.connect_timeout.unwrap_or(limits.connect_timeout);
        limits.request_timeout = self.request_timeout.or(limits.request_timeout);
        limits
    }

    fn request_headers(&self) -> BacktestClientResult<HeaderMap> {
        let user_agent =
            HeaderValue::from_str(&self.user_agent).map_err(BacktestClientError::InvalidUserAgentHeader)?;
        let api_key = self
            .api_key
            .header()
            .map_err(BacktestClientError::InvalidApiKeyHeader)?;
        Ok(request_headers(self.headers.clone(), user_agent, api_key))
    }

    fn http_url(&self, endpoint: &str) -> BacktestClientResult<Url> {
        let mut url = http_base(&control_url(&self.url)?)?;
        let path = format!("{}{endpoint}", url.path());
        url.set_path(&path);
        Ok(url)
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> BacktestClientResult<T> {
        let headers = self.request_headers()?;
        let http_error = |source: HttpError| BacktestClientError::Http {
            url: url.to_string(),
            source,
        };
        let limits = self.limits();
        let request = self.http.get(url.clone()).map_err(http_error)?.headers(headers);
        let answer = answer(request, limits.http_timeout, &limits)
            .await
            .map_err(http_error)?;
        answer.decode().map_err(http_error)
    }
}
