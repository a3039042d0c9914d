//! How a connection comes to its session: it has one made, or takes one over.

use std::collections::BTreeMap;
use std::sync::Arc;

use simulator_api::{AttachBacktestSessionRequest, AttachParallelControlSessionRequestV2, BacktestError, SessionId};
use tokio::time::{Instant, timeout};

use super::phase::Drive;
use super::several::{Several, Stage};
use crate::durable::Absent;
use crate::event_log::{CursorError, Resumption};
use crate::group::{BegunGroup, Group};
use crate::keys::Owner;
use crate::lifetime::{Begun, Wanted};
use crate::metrics::Refusal;
use crate::registry::Making;
use crate::seat::{ClaimError, Driver};
use crate::state::State;

/// A connection that is about to drive a session.
pub(super) struct Opener {
    pub(super) state: Arc<State>,
    pub(super) driver: Arc<Driver>,
}

/// A session that a connection drives from now on.
pub(super) enum Opened {
    /// It was made for this connection, or for an earlier one that sent the same create.
    Created(Drive, Resumption),
    /// It was taken over.
    Attached(Drive, Resumption),
    /// Several are being made for this connection, or for an earlier one that sent the same create.
    Several(Several),
    /// Several were taken over.
    SeveralAttached(Several, BTreeMap<SessionId, u64>),
}

impl Opener {
    /// Has a session made, or takes over the one that an earlier create with the same token has made or is making.
    ///
    /// # Errors
    /// What the create is refused with; `sessionOwnershipBusy` while the connection of the earlier one answers.
    pub(super) async fn create(self, wanted: Wanted) -> Result<Opened, BacktestError> {
        let disconnect = wanted.spec.disconnect;
        let (creation, lease) = loop {
            match self.state.begin(wanted.clone(), &self.driver) {
                Begun::New(creation, lease) => break (creation, lease),
                Begun::Repeated(Making::Session(creation)) if creation.is_of(&wanted) => {
                    match creation.seat.claim(&self.driver, self.state.times.probe_limit).await {
                        Ok(lease) => break (creation, lease),
                        // It has just ended: the token is free again.
                        Err(ClaimError::Over) => {}
                        Err(busy) => return Err(is_busy(busy)),
                    }
                }
                Begun::Repeated(_) => return Err(other_create()),
            }
        };
        let session = creation.made().await?;
        lease.keep_for(disconnect);
        let resumption = session.events.resume(None).map_err(refused)?;
        Ok(Opened::Created(Drive::new(session, lease), resumption))
    }

    /// Has several sessions made, or takes over those that an earlier create with the same token has made or is making.
    ///
    /// # Errors
    /// As [`Opener::create`], as far as it is known before they are made.
    pub(super) async fn create_several(self, wanted: Wanted) -> Result<Opened, BacktestError> {
        let sign_at = Instant::now() + self.state.times.status_interval;
        let patience = self.state.times.probe_limit;
        loop {
            match self.state.begin_group(&wanted, &self.driver)? {
                BegunGroup::New(group, lease, grips) => {
                    return Ok(Opened::Several(Several::making(group, lease, grips, sign_at)));
                }
                BegunGroup::Repeated(Making::Group(group)) if group.is_of(&wanted) => {
                    match group.seat.claim(&self.driver, patience).await {
                        Ok(lease) => {
                            group.restored().await;
                            let stage = Stage::Making(sign_at);
                            return Ok(Opened::Several(Several::take_over(group, lease, stage, patience).await));
                        }
                        // It has just ended: the token is free again.
                        Err(ClaimError::Over) => {}
                        Err(busy) => return Err(is_busy(busy)),
                    }
                }
                BegunGroup::Repeated(_) => return Err(other_create()),
            }
        }
    }

    /// Takes several sessions over. Those that other connections drive alone, and answer for, stay with these until
    /// they give them up.
    ///
    /// # Errors
    /// As [`Opener::attach`].
    pub(super) async fn attach_several(
        self,
        attach: AttachParallelControlSessionRequestV2,
        owner: Owner,
    ) -> Result<Opened, BacktestError> {
        let not_found = || BacktestError::SessionNotFound {
            session_id: attach.control_session_id.to_string(),
        };
        let found = self.state.owned_group(attach.control_session_id, &owner).await;
        let group = found.map_err(|absent| self.absent(absent, not_found()))?;
        let patience = self.state.times.probe_limit;
        let caught_up = timeout(patience, group.caught_up(&attach.last_sequences)).await;
        caught_up.map_err(|_| is_coming())?;
        check_cursors(&group, &attach.last_sequences)?;
        let claimed = group.seat.claim(&self.driver, patience).await;
        let lease = claimed.map_err(|error| match error {
            ClaimError::Over => not_found(),
            busy => is_busy(busy),
        })?;
        let stage = Stage::Settling(Instant::now() + self.state.times.reminder_delay);
        let several = Several::take_over(group, lease, stage, patience).await;
        Ok(Opened::SeveralAttached(several, attach.last_sequences))
    }

    /// Takes a session over. Unknown, ended and foreign ones look the same.
    ///
    /// # Errors
    /// `sessionNotFound`; `sessionOwnershipBusy` while another connection drives it or it is being restored; `invalidRequest` if the events
    /// after the cursor are not kept any more.
    pub(super) async fn attach(
        self,
        attach: AttachBacktestSessionRequest,
        owner: Owner,
    ) -> Result<Opened, BacktestError> {
        let not_found = || BacktestError::SessionNotFound {
            session_id: attach.session_id.to_string(),
        };
        let registered = self.state.owned_session(attach.session_id, &owner).await;
        let (session, seat) = registered.map_err(|absent| self.absent(absent, not_found()))?;
        let caught_up = session.events.caught_up(attach.last_sequence);
        timeout(self.state.times.probe_limit, caught_up)
            .await
            .map_err(|_| is_coming())?;
        // Nobody is evicted for a cursor that is of no use.
        session.events.check(attach.last_sequence).map_err(refused)?;
        let claimed = seat.claim(&self.driver, self.state.times.probe_limit).await;
        let lease = claimed.map_err(|error| match error {
            ClaimError::Over => not_found(),
            busy => is_busy(busy),
        })?;
        let resumption = session.events.resume(attach.last_sequence).map_err(refused)?;
        Ok(Opened::Attached(Drive::new(session, lease), resumption))
    }

    fn absent(&self, absent: Absent, not_found: BacktestError) -> BacktestError {
        match absent {
            Absent::Unknown => {
                self.state.metrics.refused(Refusal::UnknownSession);
                not_found
            }
            Absent::Coming => is_coming(),
        }
    }
}

/// Nobody is evicted for a cursor that is of no use.
fn check_cursors(group: &Group, cursors: &BTreeMap<SessionId, u64>) -> Result<(), BacktestError> {
    let open = group.parts.iter().filter(|part| !part.creation.seat.is_over());
    for session in open.filter_map(|part| part.creation.ready()) {
        let checked = session.events.check(cursors.get(&session.id).copied());
        checked.map_err(|error| BacktestError::InvalidRequest {
            error: format!("{}: {error}", session.id),
        })?;
    }
    Ok(())
}

fn is_busy(error: ClaimError) -> BacktestError {
    BacktestError::SessionOwnershipBusy {
        reason: error.to_string(),
    }
}

fn is_coming() -> BacktestError {
    BacktestError::SessionOwnershipBusy {
        reason: Absent::Coming.to_string(),
    }
}

fn refused(error: CursorError) -> BacktestError {
    BacktestError::InvalidRequest {
        error: error.to_string(),
    }
}

fn other_create() -> BacktestError {
    BacktestError::InvalidRequest {
        error: "createToken stands for another create; choose a new one".to_owned(),
    }
}
