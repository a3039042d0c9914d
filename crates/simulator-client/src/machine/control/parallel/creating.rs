//! The wait for several sessions.

use std::collections::BTreeMap;

use simulator_api::{Capability, SequencedResponse, SessionId, SessionOpened, SessionsCreated, SessionsCreatedV2};
use url::Url;

use super::messages::{ParallelInfo, PartInfo};
use crate::machine::control::handshake::Handshake;
use crate::machine::control::state::Then;
use crate::managed::SessionInfo;
use crate::urls::{UrlError, resolve_rpc_endpoint};

/// The wait for several sessions, on one connection. Another create may make others, so that all of it begins anew.
#[derive(Debug)]
pub(super) struct Creating {
    pub(super) handshake: Handshake,
    pub(super) then: Then,
    announced: BTreeMap<SessionId, SessionOpened>,
    early: Vec<(SessionId, SequencedResponse)>,
}

/// Events that sessions may have before they are listed. Each has a handful: none goes on before it is asked to.
const MOST_EARLY: usize = 16_384;

/// What the last answer to a create says.
pub(super) enum Listed<'a> {
    /// All of them, and how to come back.
    V2(&'a SessionsCreatedV2),
    /// Their ids only (0.8).
    V1(&'a SessionsCreated),
}

impl Creating {
    pub(super) fn new(handshake: Handshake) -> Self {
        Self {
            handshake,
            then: Then::Run,
            announced: BTreeMap::new(),
            early: Vec::new(),
        }
    }

    pub(super) fn is_to_be_closed(&self) -> bool {
        self.then == Then::Close
    }

    /// A session is there.
    pub(super) fn announce(&mut self, opened: SessionOpened) {
        self.announced.insert(opened.session_id, opened);
    }

    /// Keeps an event until the sessions are listed. Says whether there was room.
    pub(super) fn keep(&mut self, session: SessionId, event: SequencedResponse) -> bool {
        let has_room = self.early.len() < MOST_EARLY;
        if has_room {
            self.early.push((session, event));
        }
        has_room
    }

    /// The events that came before the list, in order.
    pub(super) fn take_early(&mut self) -> Vec<(SessionId, SequencedResponse)> {
        std::mem::take(&mut self.early)
    }

    /// All that the server has said about the sessions: those of the list, in its order, then others that it announced.
    ///
    /// # Errors
    ///
    /// An address cannot be used.
    pub(super) fn info(&self, listed: &Listed<'_>, control_url: &Url) -> Result<ParallelInfo, UrlError> {
        let ids = listed.ids();
        let unlisted = self.announced.keys().copied().filter(|id| !ids.contains(id));
        let all = ids.iter().copied().chain(unlisted).enumerate();
        let capabilities = self.capabilities(listed);
        let sessions = all.map(|(index, id)| {
            let opened = self.announced.get(&id);
            // A server that names a session only at the end does not say where it is.
            let usual = format!("/backtest/{id}");
            let endpoint = opened.map_or(usual.as_str(), |opened| &opened.rpc_endpoint);
            Ok(PartInfo {
                id,
                session: SessionInfo {
                    session_id: id.to_string(),
                    rpc_endpoint: resolve_rpc_endpoint(control_url, endpoint)?.into(),
                    task_id: listed
                        .task_id(index)
                        .or(opened.and_then(|opened| opened.task_id.clone())),
                    capabilities: capabilities.clone(),
                },
                slots: listed.slots(index),
            })
        });
        Ok(ParallelInfo {
            control_session_id: listed.control().map(|control| control.control_session_id),
            name: listed
                .control()
                .and_then(|control| control.control_session_name.clone()),
            sessions: sessions.collect::<Result<_, _>>()?,
            capabilities: capabilities.clone(),
        })
    }

    /// The extensions that the server has announced with the list, or with any session.
    fn capabilities(&self, listed: &Listed<'_>) -> Vec<Capability> {
        let with_list = listed.control().map(|control| &control.capabilities);
        let with_any = self.announced.values().map(|opened| &opened.capabilities);
        let mut all = with_list.into_iter().chain(with_any).filter(|some| !some.is_empty());
        all.next().cloned().unwrap_or_default()
    }
}

impl Listed<'_> {
    fn ids(&self) -> &[SessionId] {
        match self {
            Self::V2(created) => &created.session_ids,
            Self::V1(created) => &created.session_ids,
        }
    }

    fn control(&self) -> Option<&SessionsCreatedV2> {
        match self {
            Self::V2(created) => Some(created),
            Self::V1(_) => None,
        }
    }

    fn task_id(&self, index: usize) -> Option<String> {
        self.control()?.task_ids.get(index).cloned().flatten()
    }

    fn slots(&self, index: usize) -> Option<std::ops::RangeInclusive<u64>> {
        let created = self.control()?;
        let bounds = created.start_slots.get(index).zip(created.end_slots.get(index));
        bounds.map(|(start, end)| *start..=*end)
    }
}
