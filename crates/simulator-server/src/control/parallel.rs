//! What a connection does that drives the sessions of a parallel session together.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Deserialize;
use simulator_api::{
    BacktestError, BacktestRequest, BacktestResponse, BacktestStatus, ParallelSessionAttachedV2, RequestId, SessionId,
};
use tokio::time::Instant;

use super::connection::{CAPABILITIES, Connection, ONE_SESSION, Progress, describe};
use super::phase::Phase;
use super::several::{Happened, Returned, Several, Stage};
use super::writer::Outgoing;
use crate::convert::{continue_order, continue_to_order};
use crate::handle::Message;
use crate::lifetime::Made;

impl Connection {
    /// Sessions are being made. Those that an earlier connection with the same create has made, and that others drive
    /// by now, are there.
    pub(super) async fn making(&mut self, several: Several) -> Progress {
        let elsewhere = several.elsewhere();
        self.phase = Phase::Several(Box::new(several));
        for session in elsewhere {
            self.reply(BacktestResponse::SessionCreated(describe(&session))).await?;
        }
        ControlFlow::Continue(())
    }

    /// The answer to an attach, and what its client has missed.
    pub(super) async fn several_attached(
        &mut self,
        mut several: Several,
        cursors: &BTreeMap<SessionId, u64>,
    ) -> Progress {
        let sources = several.resume(|id| cursors.get(&id).copied());
        several.group.keep();
        let session_ids = several.ids();
        let attached = BacktestResponse::ParallelSessionAttachedV2(ParallelSessionAttachedV2 {
            control_session_id: several.group.id,
            task_ids: session_ids.iter().map(|_| None).collect(),
            session_ids,
            capabilities: CAPABILITIES.to_vec(),
        });
        self.phase = Phase::Several(Box::new(several));
        self.reply(attached).await?;
        for source in sources {
            self.send(Outgoing::Events(source)).await?;
        }
        ControlFlow::Continue(())
    }

    /// Does what there is to do without being asked.
    pub(super) async fn happened(&mut self, happened: Happened) -> Progress {
        let Some(several) = self.several() else {
            return ControlFlow::Continue(());
        };
        match happened {
            Happened::Made(index, made) => self.made(index, made).await,
            Happened::Taken(index) => match several.taken(index) {
                Some(session) => {
                    self.receipts.forget(&session.events);
                    self.send(Outgoing::Silence(session.id)).await
                }
                None => ControlFlow::Continue(()),
            },
            Happened::Free(index) => match several.take_back(index) {
                Returned::Here(source) => self.send(Outgoing::Events(source)).await,
                Returned::Gone => ControlFlow::Continue(()),
            },
            Happened::Ended(index) => match several.ended(index) {
                Some((id, progress)) => {
                    let session_id = id.to_string();
                    let gone = BacktestError::SessionNotFound { session_id }.into();
                    self.send(Outgoing::Ended(id, progress, gone)).await
                }
                None => ControlFlow::Continue(()),
            },
            Happened::Settled(Ok(())) => self.created().await,
            Happened::Settled(Err(error)) => self.not_made(error).await,
            Happened::Time => self.time().await,
        }
    }

    /// A session is told of as soon as it is there; if one cannot be made, there are none.
    async fn made(&mut self, index: usize, made: Made) -> Progress {
        let session = match made {
            Ok(session) => session,
            Err(error) => return self.not_made(error).await,
        };
        self.reply(BacktestResponse::SessionCreated(describe(&session))).await?;
        if let Some(source) = self.several().and_then(|several| several.made(index, session)) {
            self.send(Outgoing::Events(source)).await?;
        }
        ControlFlow::Continue(())
    }

    async fn not_made(&mut self, error: BacktestError) -> Progress {
        if let Phase::Several(several) = std::mem::replace(&mut self.phase, Phase::New) {
            let ids = several.ids();
            several.give_up();
            for id in ids {
                self.send(Outgoing::Silence(id)).await?;
            }
        }
        self.reply(BacktestResponse::Error(error)).await
    }

    /// Only now the sessions outlive this connection whatever they were made with: their client knows them all.
    async fn created(&mut self) -> Progress {
        let Some(several) = self.several() else {
            return ControlFlow::Continue(());
        };
        several.stage = Stage::Open;
        let mut created = several.created();
        created.capabilities = CAPABILITIES.to_vec();
        self.reply(BacktestResponse::SessionsCreatedV2(created)).await?;
        if let Some(several) = self.several() {
            several.group.keep();
        }
        ControlFlow::Continue(())
    }

    async fn time(&mut self) -> Progress {
        let again = Instant::now() + self.state.times.status_interval;
        let Some(several) = self.several() else {
            return ControlFlow::Continue(());
        };
        match several.stage {
            Stage::Making(_) => {
                several.stage = Stage::Making(again);
                let status = BacktestStatus::StartingRuntime;
                self.reply(BacktestResponse::Status { status }).await
            }
            Stage::Settling(_) => {
                several.stage = Stage::Open;
                for session in several.forgotten() {
                    self.tell_to(&session, Message::Remind).await?;
                }
                ControlFlow::Continue(())
            }
            Stage::Open => ControlFlow::Continue(()),
        }
    }

    /// Carries out what a client asks of one of several sessions.
    pub(super) async fn request_of_several(&mut self, request: BacktestRequest) -> Progress {
        match request {
            BacktestRequest::ContinueSessionV1(request) => {
                let id = request.request.request_id.clone();
                let message = match continue_order(request.request) {
                    Ok(order) => Message::Order(order),
                    Err(error) => Message::Reject { request: id, error },
                };
                self.tell_part(request.session_id, message).await
            }
            BacktestRequest::ContinueToSessionV1(request) => {
                let order = continue_to_order(request.request);
                self.tell_part(request.session_id, Message::Order(order)).await
            }
            BacktestRequest::CloseSessionV1(request) => self.close_part(request.session_id).await,
            BacktestRequest::Continue(_) | BacktestRequest::ContinueTo(_) => {
                self.refuse(
                    "this connection has several sessions; name one, with continueSessionV1 or continueToSessionV1",
                )
                .await
            }
            BacktestRequest::Unknown(message) => self.refuse_unknown(&message).await,
            _ => self.refuse(ONE_SESSION).await,
        }
    }

    /// A request that cannot be read is answered by the session that it names.
    pub(super) async fn undecodable_part(&mut self, text: &str, error: BacktestError) -> Progress {
        match part_of(text) {
            Some((id, request)) if self.several().is_some_and(|several| several.driven(id).is_some()) => {
                self.tell_part(id, Message::Reject { request, error }).await
            }
            _ => self.reply(BacktestResponse::Error(error)).await,
        }
    }

    async fn tell_part(&mut self, id: SessionId, message: Message) -> Progress {
        match self.several().and_then(|several| several.driven(id)) {
            Some(session) => self.tell_to(&session, message).await,
            None => self.refuse_part(id).await,
        }
    }

    async fn close_part(&mut self, id: SessionId) -> Progress {
        match self.several().and_then(|several| several.close(id)) {
            Some(progress) => {
                let closed = Outgoing::Ended(id, progress, BacktestResponse::Success);
                self.send(closed).await
            }
            None => self.refuse_part(id).await,
        }
    }

    async fn refuse_part(&mut self, id: SessionId) -> Progress {
        self.refuse(&format!(
            "{id} is none of the sessions of this connection, has ended, or is driven by another connection"
        ))
        .await
    }

    fn several(&mut self) -> Option<&mut Several> {
        match &mut self.phase {
            Phase::Several(several) => Some(several),
            _ => None,
        }
    }
}

/// The session and the id of a request that could not be decoded, as far as they can be made out. Nothing else of it is
/// kept.
fn part_of(text: &str) -> Option<(SessionId, Option<RequestId>)> {
    let Named { params } = serde_json::from_str(text).ok()?;
    let inner = params.request.and_then(|request| request.request_id);
    let request = inner.or(params.request_id).and_then(|id| RequestId::new(id).ok());
    Some((params.session_id, request))
}

/// A request of which nothing but the names is read.
#[derive(Deserialize)]
struct Named {
    params: Names,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    session_id: SessionId,
    request_id: Option<String>,
    request: Option<Inner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inner {
    request_id: Option<String>,
}
