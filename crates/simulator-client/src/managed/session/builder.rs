//! How a managed session is started.

use std::sync::Arc;

use simulator_api::CreateBacktestSessionRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;

use super::{Assembly, ManagedBacktestSession};
use crate::ApiKey;
use crate::error::InvalidParams;
use crate::machine::control::AfterCompletion;
use crate::managed::control::ControlStart;
use crate::managed::endpoint::Identity;
use crate::managed::{ConnectionPolicy, ManagedParallelSession, ManagedSessionError};
use crate::transport::{Connector, RootCertificates};

/// Starts a managed session.
#[derive(Debug)]
#[must_use = "nothing happens before `start`"]
pub struct ManagedSessionBuilder {
    url: String,
    request: CreateBacktestSessionRequest,
    identity: Identity,
    policy: ConnectionPolicy,
    connector: Option<Arc<dyn Connector>>,
    cancel: CancellationToken,
}

impl ManagedSessionBuilder {
    pub(in crate::managed) fn new(url: String, request: CreateBacktestSessionRequest) -> Self {
        Self {
            url,
            request,
            identity: Identity::new(ApiKey::default()),
            policy: ConnectionPolicy::default(),
            connector: None,
            cancel: CancellationToken::new(),
        }
    }

    /// The API key. Default none.
    pub fn api_key(mut self, api_key: impl Into<ApiKey>) -> Self {
        self.identity.api_key = api_key.into();
        self
    }

    /// A header of the control channel's upgrade. It cannot replace the API key or the user agent.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.identity.headers.append(name, value);
        self
    }

    /// All headers of the control channel's upgrade, in place of those given before.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.identity.headers = headers;
        self
    }

    /// What the client calls itself. Default `simulator-client/VERSION (managed)`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.identity.user_agent = user_agent.into();
        self
    }

    /// How patient the connections are. Default [`ConnectionPolicy::default`].
    pub fn policy(mut self, policy: ConnectionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a subscription may be silent while a completed session's subscriptions are drained.
    pub fn completion_drain_timeout(mut self, timeout: std::time::Duration) -> Self {
        self.policy.completion_drain_timeout = timeout;
        self
    }

    /// Authorities to trust beside Mozilla's, as [`ConnectionPolicy::root_certificates`]. JSON-RPC over `https` has its
    /// own: [`RpcEndpoint::with_root_certificates`](crate::rpc::RpcEndpoint::with_root_certificates).
    pub fn root_certificates(mut self, roots: RootCertificates) -> Self {
        self.policy.root_certificates = roots;
        self
    }

    /// Ends the session when it is cancelled, also while it is being started.
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// The network. Default TCP and TLS.
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Creates the session and waits until it exists.
    ///
    /// # Errors
    ///
    /// [`Policy`](ManagedSessionError::Policy) and [`Params`](ManagedSessionError::Params) before anything is sent; [`Create`](ManagedSessionError::Create) with
    /// the reason; [`Cancelled`](ManagedSessionError::Cancelled).
    pub async fn start(self) -> Result<ManagedBacktestSession, ManagedSessionError> {
        if self.request.parallel {
            return Err(InvalidParams::Parallel.into());
        }
        self.policy.check()?;
        let cancel = self.cancel.child_token();
        let start_slot = self.request.request.start_slot;
        let (policy, connector) = (self.policy.clone(), self.connector.clone());
        let guard = cancel.clone().drop_guard();
        let mut control = self.into_control_start().spawn(&cancel);
        let info = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ManagedSessionError::Cancelled),
            info = control.wait_for_session() => info?,
        };
        guard.disarm();
        Ok(ManagedBacktestSession::assemble(Assembly {
            info,
            control,
            start_slot,
            policy,
            connector,
            cancel,
        }))
    }

    /// Creates the sessions of a parallel request, whether it says so or not, and waits until they exist.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_parallel(mut self) -> Result<ManagedParallelSession, ManagedSessionError> {
        self.policy.check()?;
        self.request.parallel = true;
        let cancel = self.cancel.child_token();
        ManagedParallelSession::start_with(self.into_control_start(), cancel).await
    }

    fn into_control_start(self) -> ControlStart {
        ControlStart {
            url: self.url,
            identity: self.identity,
            create: self.request,
            policy: self.policy,
            connector: self.connector,
            after_completion: AfterCompletion::Wait,
        }
    }
}
