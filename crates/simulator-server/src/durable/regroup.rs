//! How a server comes to the parallel sessions of another one that has gone, and keeps its own.

use std::sync::Arc;
use std::time::SystemTime;

use simulator_api::{BacktestError, ControlSessionId};
use simulator_archive::ArchiveDigest;

use super::directory::StateDirectoryError;
use super::keeping::Keeping;
use super::restore::{Absent, RestoreError, is_late, not_kept, report};
use super::store::{GroupBirth, Orphan, OrphanGroup, PartBirth};
use crate::convert::session_spec;
use crate::group::{Group, Part, part_wanted};
use crate::keys::Owner;
use crate::lifetime::{Creation, Wanted};
use crate::state::State;

impl State {
    /// Writes down that sessions belong together.
    ///
    /// # Errors
    /// `internal` if it cannot be written down.
    pub(crate) async fn keep_group(&self, birth: GroupBirth) -> Result<Keeping, BacktestError> {
        let Some(durability) = &self.durability else {
            return Ok(Keeping::default());
        };
        let store = Arc::clone(&durability.store);
        let kept = tokio::task::spawn_blocking(move || store.keep_group(&birth)).await;
        let custody = kept
            .map_err(|error| not_kept(&error))?
            .map_err(|error: StateDirectoryError| not_kept(&error))?;
        Ok(Keeping::new(custody))
    }

    /// The parallel session with this id, to be driven by its owner.
    ///
    /// # Errors
    /// [`Absent`]
    pub(crate) async fn owned_group(&self, id: ControlSessionId, owner: &Owner) -> Result<Arc<Group>, Absent> {
        if let Some(group) = self.registry.owned_group(id, owner) {
            return Ok(group);
        }
        let Some(durability) = &self.durability else {
            return Err(Absent::Unknown);
        };
        let (store, owner) = (Arc::clone(&durability.store), owner.clone());
        let look = tokio::task::spawn_blocking(move || store.is_group_elsewhere(id, &owner));
        match look.await {
            Ok(true) => Err(Absent::Coming),
            _ => Err(Absent::Unknown),
        }
    }

    /// Restores several sessions that belong together, as far as they had not ended.
    pub(super) async fn adopt_group(self: &Arc<Self>, orphan: OrphanGroup, now: SystemTime) {
        let OrphanGroup {
            birth,
            driven,
            custody,
            parts,
        } = orphan;
        let keeping = Keeping::new(custody);
        let parts: Vec<Option<Orphan>> = parts.into_iter().map(readable).collect();
        let wanted = match self.wanted_again(&birth) {
            Ok(wanted) => wanted,
            Err(error) => {
                report("a parallel session cannot be restored", &error);
                return set_all_aside(keeping, parts).await;
            }
        };
        let late = is_late(driven, now, wanted.spec.disconnect);
        if !late && let Some(missing) = self.missing_archive(&parts) {
            report("a parallel session is not restored", &RestoreError::NoArchive(missing));
            return self.park_all(keeping, parts);
        }
        let mut members = Vec::new();
        for (part, orphan) in birth.parts.into_iter().zip(parts) {
            members.push(self.adopt_part(&wanted, part, orphan, now).await);
        }
        let are_over = members.iter().all(|part| part.creation.seat.is_over());
        if are_over || late {
            // What there still is of it is driven alone.
            return keeping.remove().await;
        }
        self.begin_group_again(birth.id, &wanted, members, keeping);
    }

    /// An archive that one of several sessions needs, and that is not served.
    fn missing_archive(&self, parts: &[Option<Orphan>]) -> Option<ArchiveDigest> {
        let mut archives = parts.iter().flatten().map(|orphan| orphan.birth.archive);
        archives.find(|archive| self.archives.called(*archive).is_none())
    }

    fn wanted_again(&self, birth: &GroupBirth) -> Result<Wanted, BacktestError> {
        Ok(Wanted {
            spec: session_spec(&birth.request, &self.times)?,
            request: birth.request.clone(),
            owner: birth.owner.clone(),
        })
    }

    async fn adopt_part(
        self: &Arc<Self>,
        whole: &Wanted,
        part: PartBirth,
        orphan: Option<Orphan>,
        now: SystemTime,
    ) -> Part {
        let wanted = part_wanted(whole, &part.range);
        let over = Creation::over(&wanted);
        let creation = match orphan {
            Some(orphan) => self.adopt_as(wanted, orphan, now).await,
            None => None,
        };
        Part {
            range: part.range,
            creation: creation.unwrap_or(over),
        }
    }

    /// Leaves all of it to a server that has the archives.
    fn park_all(&self, keeping: Keeping, parts: Vec<Option<Orphan>>) {
        self.park(keeping);
        for orphan in parts.into_iter().flatten() {
            self.park(Keeping::new(orphan.kept.custody));
        }
    }
}

/// What one of several sessions is restored from, if there is anything.
fn readable(part: Result<Option<Orphan>, StateDirectoryError>) -> Option<Orphan> {
    part.unwrap_or_else(|error| {
        report("one of several sessions is lost", &error);
        None
    })
}

async fn set_all_aside(keeping: Keeping, parts: Vec<Option<Orphan>>) {
    keeping.set_aside().await;
    for orphan in parts.into_iter().flatten() {
        Keeping::new(orphan.kept.custody).set_aside().await;
    }
}
