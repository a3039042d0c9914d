//! What a connection does with what its client asks.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;
use simulator_api::{
    AttachBacktestSessionRequest, AttachParallelControlSessionRequestV2, BacktestError, BacktestRequest,
    BacktestResponse, ContinueParams, CreateBacktestSessionRequest, RequestId,
};
use tokio::time::timeout;

use super::Ending;
use super::connection::{Connection, ONE_SESSION, Progress};
use super::creation::with_signs_of_life;
use super::opening::{Opened, Opener};
use super::phase::Phase;
use crate::convert::{continue_order, continue_to_order, session_spec};
use crate::handle::Message;
use crate::lifetime::Wanted;
use crate::session::Order;

impl Connection {
    pub(super) async fn text(&mut self, text: &str) -> Progress {
        self.request_bytes = text.len();
        match BacktestRequest::from_json(text) {
            Ok(request) => self.request(request).await,
            Err(error) if matches!(self.phase, Phase::Several(_)) => self.undecodable_part(text, (&error).into()).await,
            Err(error) => {
                self.settle().await?;
                let error = BacktestError::from(&error);
                let request = match self.phase {
                    Phase::Open(_) => request_id_of(text),
                    _ => None,
                };
                match request {
                    // Whoever names a request waits for an event that names it too.
                    request @ Some(_) => self.tell(Message::Reject { request, error }).await,
                    None => self.reply(BacktestResponse::Error(error)).await,
                }
            }
        }
    }

    async fn request(&mut self, request: BacktestRequest) -> Progress {
        match request {
            BacktestRequest::CloseBacktestSession => return self.close().await,
            BacktestRequest::ResumeAttachedSession => return self.resumed().await,
            request if matches!(self.phase, Phase::Several(_)) => return self.request_of_several(request).await,
            _ => self.settle().await?,
        }
        match request {
            BacktestRequest::CreateBacktestSession(create) => self.create(create).await,
            BacktestRequest::AttachBacktestSession(attach) => self.attach(attach).await,
            BacktestRequest::Continue(params) => self.go_on(params).await,
            BacktestRequest::ContinueTo(params) => self.order(continue_to_order(params)).await,
            BacktestRequest::AttachParallelControlSessionV2(attach) => self.attach_several(attach).await,
            BacktestRequest::Unknown(message) => self.refuse_unknown(&message).await,
            _ => self.refuse("this connection has no parallel session").await,
        }
    }

    /// Ends the session; one that is on its way to this connection as well. While it is another's, that one is being
    /// asked for it: the answer to the close has to wait for what comes of that.
    async fn close(&mut self) -> Progress {
        if let Phase::Opening(opening) = &mut self.phase {
            // Whatever seat this connection gets from now on is over when it leaves it.
            self.driver.close();
            match timeout(self.state.times.probe_limit * 2, opening).await {
                Ok(Err(error)) => {
                    self.phase = Phase::New;
                    self.reply(BacktestResponse::Error(error)).await?;
                }
                Ok(Ok(Opened::Several(several) | Opened::SeveralAttached(several, _))) => several.close_all(),
                Ok(Ok(Opened::Created(..) | Opened::Attached(..))) | Err(_) => {}
            }
        }
        ControlFlow::Break(Ending::Closed)
    }

    async fn create(&mut self, request: Box<CreateBacktestSessionRequest>) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self.refuse(ONE_SESSION).await;
        }
        match session_spec(&request, &self.state.times) {
            Err(error) => self.reply(BacktestResponse::Error(error)).await,
            Ok(spec) => {
                let owner = self.owner.clone();
                let (opener, parallel) = (self.opener(), request.parallel);
                let wanted = Wanted { request, spec, owner };
                let created = async move {
                    if parallel {
                        opener.create_several(wanted).await
                    } else {
                        opener.create(wanted).await
                    }
                };
                let (period, replies) = (self.state.times.status_interval, self.replies.clone());
                self.phase = Phase::Opening(Box::pin(with_signs_of_life(created, period, replies)));
                ControlFlow::Continue(())
            }
        }
    }

    async fn attach(&mut self, attach: AttachBacktestSessionRequest) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self.refuse(ONE_SESSION).await;
        }
        let attached = self.opener().attach(attach, self.owner.clone());
        self.phase = Phase::Opening(Box::pin(attached));
        ControlFlow::Continue(())
    }

    async fn attach_several(&mut self, attach: AttachParallelControlSessionRequestV2) -> Progress {
        if !matches!(self.phase, Phase::New) {
            return self.refuse(ONE_SESSION).await;
        }
        let attached = self.opener().attach_several(attach, self.owner.clone());
        self.phase = Phase::Opening(Box::pin(attached));
        ControlFlow::Continue(())
    }

    fn opener(&self) -> Opener {
        Opener {
            state: Arc::clone(&self.state),
            driver: Arc::clone(&self.driver),
        }
    }

    /// The answer comes before the first event.
    async fn resumed(&mut self) -> Progress {
        if matches!(self.phase, Phase::Several(_)) {
            // Those go on without it.
            return self.reply(BacktestResponse::Success).await;
        }
        if self.phase.session().is_none() {
            return self.refuse("no session was attached").await;
        }
        self.reply(BacktestResponse::Success).await?;
        self.resume().await
    }

    async fn go_on(&mut self, params: ContinueParams) -> Progress {
        let request = params.request_id.clone();
        match continue_order(params) {
            Ok(order) => self.order(order).await,
            Err(error) => self.tell(Message::Reject { request, error }).await,
        }
    }

    async fn order(&mut self, order: Order) -> Progress {
        self.tell(Message::Order(order)).await
    }
}

/// The id of a request that could not be decoded, as far as it can be made out. Nothing else of it is kept: it may be
/// large, and of many parts.
fn request_id_of(text: &str) -> Option<RequestId> {
    let message: Named = serde_json::from_str(text).ok()?;
    RequestId::new(message.params.request_id).ok()
}

/// A request of which nothing but the name is read.
#[derive(Deserialize)]
struct Named {
    params: Name,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    request_id: String,
}
