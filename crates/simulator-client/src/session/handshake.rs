//! How a session is opened: created, attached to, resumed.

use std::sync::Arc;

use simulator_api::{
    AttachBacktestSessionRequest, BacktestRequest, BacktestResponse, Capability, CreateBacktestSessionRequest,
    SessionId, SessionOpened,
};
use url::Url;

use super::created::{CreatedSession, CreatedSessions, complete, in_order};
use super::link::Link;
use super::{BacktestSession, LogRaw, OpenedSession};
use crate::Limits;
use crate::create_session::required_capabilities;
use crate::error::{BacktestClientError, BacktestClientResult};
use crate::http::HttpClient;
use crate::ids::unique_name;
use crate::machine::{Conversation, Phase, Wait};
use crate::rpc::RpcEndpoint;
use crate::transport::{BoxTransport, Connector};
use crate::urls::resolve_rpc_endpoint;

/// An open connection on which no session has been opened yet.
pub(crate) struct Opening {
    pub(crate) transport: BoxTransport,
    /// What it was opened with.
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) control_url: Url,
    pub(crate) limits: Limits,
    pub(crate) log_raw: LogRaw,
    pub(crate) http: HttpClient,
}

impl Opening {
    /// Creates a session.
    pub(crate) async fn create(self, request: CreateBacktestSessionRequest) -> BacktestClientResult<BacktestSession> {
        let required = required_capabilities(&request.request);
        let conversation = Conversation::creating(self.limits.unread_events, unique_name());
        let mut session = self.open(conversation, &request.into(), &Wait::SessionCreated).await?;
        if let Some(capability) = missing(required, session.capabilities()) {
            log_failed_close(session.close(None).await);
            return Err(BacktestClientError::MissingCapability { capability });
        }
        Ok(session)
    }

    /// Creates several sessions, or one. Each is shown to `on_session` when it comes up.
    pub(crate) async fn create_several(
        self,
        request: CreateBacktestSessionRequest,
        mut on_session: impl FnMut(&CreatedSession),
    ) -> BacktestClientResult<CreatedSessions> {
        let required = required_capabilities(&request.request);
        let (unread, id_prefix) = (self.limits.unread_events, unique_name());
        let conversation = if request.parallel {
            Conversation::creating_several(unread, id_prefix)
        } else {
            Conversation::creating(unread, id_prefix)
        };
        let is_parallel = request.parallel;
        let mut link = Link::new(self.transport, conversation, self.limits, self.log_raw);
        link.send(&request.into(), None).await?;
        let mut announced = Vec::new();
        let mut created = loop {
            match link.wait(&Wait::SessionsCreated, "create sessions", None).await? {
                BacktestResponse::SessionCreated(opened) => {
                    let session = CreatedSession::announced(&self.control_url, opened)?;
                    on_session(&session);
                    announced.push(session);
                    if !is_parallel {
                        break CreatedSessions::new(link, announced, None);
                    }
                }
                BacktestResponse::SessionsCreated(all) => {
                    break CreatedSessions::new(link, in_order(announced, &all.session_ids), None);
                }
                BacktestResponse::SessionsCreatedV2(all) => {
                    break CreatedSessions::new(link, complete(announced, &all), Some(all));
                }
                other => return Err(unexpected("create sessions", other)),
            }
        };
        if let Some(capability) = missing(required, created.capabilities()) {
            log_failed_close(created.close(None).await);
            return Err(BacktestClientError::MissingCapability { capability });
        }
        Ok(created)
    }

    /// Attaches to a session behind the event `last_sequence`.
    pub(crate) async fn attach(
        self,
        session_id: SessionId,
        last_sequence: Option<u64>,
    ) -> BacktestClientResult<BacktestSession> {
        let conversation = Conversation::attaching(last_sequence, self.limits.unread_events, unique_name());
        let request = BacktestRequest::AttachBacktestSession(AttachBacktestSessionRequest {
            session_id,
            last_sequence,
        });
        self.open(conversation, &request, &Wait::SessionAttached).await
    }

    async fn open(
        self,
        conversation: Conversation,
        request: &BacktestRequest,
        wait: &Wait,
    ) -> BacktestClientResult<BacktestSession> {
        let Self {
            transport,
            connector,
            control_url,
            limits,
            log_raw,
            http,
        } = self;
        let mut link = Link::new(transport, conversation, limits.clone(), log_raw);
        let context = "open a session";
        link.send(request, None).await?;
        let opened = match link.wait(wait, context, None).await? {
            BacktestResponse::SessionCreated(opened) | BacktestResponse::SessionAttached(opened) => opened,
            other => return Err(unexpected(context, other)),
        };
        let opened = OpenedSession::new(&control_url, opened, connector, limits, http)?;
        Ok(BacktestSession { link, opened })
    }
}

impl OpenedSession {
    fn new(
        control_url: &Url,
        opened: SessionOpened,
        connector: Arc<dyn Connector>,
        limits: Limits,
        http: HttpClient,
    ) -> BacktestClientResult<Self> {
        let url = resolve_rpc_endpoint(control_url, &opened.rpc_endpoint)?;
        Ok(Self {
            session_id: opened.session_id,
            #[cfg(feature = "solana-rpc-client")]
            solana_rpc: super::solana_rpc::SolanaRpc::new(&url, &limits, http.roots())?,
            rpc: RpcEndpoint::shared(url, limits, http),
            task_id: opened.task_id,
            session_name: opened.session_name,
            connector,
        })
    }
}

impl BacktestSession {
    /// Lets a session that was attached to go on, and waits for the server's confirmation. Events that arrive first
    /// stay unread. A session whose end is replayed instead counts as resumed.
    ///
    /// # Errors
    ///
    /// [`Remote`](BacktestClientError::Remote) if the server refuses; an error of the session itself, replayed, is an
    /// event and not a refusal. Otherwise as [`next_event`](Self::next_event).
    pub async fn resume_attached_session(&mut self) -> BacktestClientResult<()> {
        self.link.send(&BacktestRequest::ResumeAttachedSession, None).await?;
        match self.link.wait(&Wait::Resumed, "resume the session", None).await {
            Ok(_success) => Ok(()),
            Err(BacktestClientError::Closed { .. }) if self.link.conversation.phase() == &Phase::Completed => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the server announced `capability`.
    pub fn has_capability(&self, capability: &Capability) -> bool {
        self.capabilities().contains(capability)
    }
}

fn unexpected(context: &'static str, response: BacktestResponse) -> BacktestClientError {
    BacktestClientError::UnexpectedResponse {
        context,
        response: Box::new(response),
    }
}

/// The first extension that is required and was not announced.
fn missing(required: Vec<Capability>, announced: &[Capability]) -> Option<Capability> {
    required.into_iter().find(|wanted| !announced.contains(wanted))
}

/// What is closed is of no use, so that it could not be closed changes nothing for the caller.
fn log_failed_close(closed: BacktestClientResult<()>) {
    if let Err(error) = closed {
        tracing::debug!(%error, "what was not usable could not be closed");
    }
}
