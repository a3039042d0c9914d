//! `sim archive verify --replay`: whether an archive, replayed, comes to what the chain recorded.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Serialize;
use simulator_api::replay::ReplayStateDigest;

use crate::exit::Exit;
use crate::output::OutputError;
use crate::place::Place;
use crate::progress::Visibility;
use crate::report::{
    BankHashes, DivergenceRow, Facts, FirstDivergences, Grouped, Sinks, Summary, Unreproduced, print_table,
};
use crate::run::{Changes, End, Finished, LoadedChanges, Run, RunError, Wanted, Work};
use crate::stdout::print;

/// What the replay of an archive came to.
pub(super) struct Replayed {
    facts: Facts,
    /// The accounts after the last slot.
    state: Option<ReplayStateDigest>,
    divergences: FirstDivergences,
}

/// The same in JSON.
#[derive(Debug, Serialize)]
pub(super) struct ReplayReport {
    /// Whether nothing diverged and no bank hash differs.
    agrees: bool,
    complete: bool,
    first_slot: u64,
    last_slot: Option<u64>,
    engine: Option<String>,
    result_digest: Option<String>,
    /// The accounts after the last slot; null if the replay was interrupted.
    state: Option<ReplayStateDigest>,
    summary: Summary,
    bank_hashes: Option<BankHashes>,
    unreproduced: Option<Vec<Unreproduced>>,
    first_divergences: Vec<DivergenceRow>,
}

/// Replays the whole archive as it is; `None` if the user stopped it before it began.
pub(super) async fn replay(archive: &str, visibility: Visibility) -> Result<Option<Replayed>, RunError> {
    let run = Run::begin(visibility)?;
    let place = Place::Archives(vec![archive.to_owned()]);
    let Some(connection) = run.connect(place).await? else {
        return Ok(None);
    };
    let whole = Wanted {
        start: None,
        end: End::Last,
    };
    let result = async {
        let Some(plan) = run.plan(connection.client(), whole).await? else {
            return Ok(None);
        };
        let divergences = FirstDivergences::default();
        let mut sinks = Sinks::default();
        sinks.push(divergences.clone());
        let changes = Arc::new(LoadedChanges::load(Changes::default())?);
        let work = Work {
            sinks,
            ..Work::quiet(plan, changes, NonZeroUsize::MIN)
        };
        let finished = run.execute(connection.client(), work).await?;
        Ok(Some(Replayed::of(finished, divergences)))
    };
    let result = result.await;
    connection.close().await;
    result
}

impl Replayed {
    fn of(finished: Finished, divergences: FirstDivergences) -> Self {
        let last = finished.sessions.into_iter().next_back();
        Self {
            facts: finished.facts,
            state: last.and_then(|end| end.completion?.state),
            divergences,
        }
    }

    /// What a script is told.
    pub(super) fn exit(&self) -> Exit {
        match (self.facts.metadata.complete, self.facts.divergences()) {
            (false, _) => Exit::Interrupted,
            (true, 0) => Exit::Done,
            (true, _) => Exit::Gate,
        }
    }

    /// What was found, for JSON.
    pub(super) fn report(self) -> ReplayReport {
        let agrees = self.exit() == Exit::Done;
        let Facts {
            metadata,
            summary,
            bank_hashes,
            unreproduced,
        } = self.facts;
        ReplayReport {
            agrees,
            complete: metadata.complete,
            first_slot: metadata.start_slot,
            last_slot: metadata.end_slot,
            engine: metadata.engine,
            result_digest: metadata.result_digest,
            state: self.state,
            summary,
            bank_hashes,
            unreproduced,
            first_divergences: self.divergences.rows(),
        }
    }

    /// Prints what was found, for people.
    pub(super) fn print(&self) -> Result<(), OutputError> {
        print(|stdout| {
            writeln!(stdout)?;
            print_table(stdout, &self.facts, &self.divergences)?;
            match &self.state {
                Some(state) => writeln!(
                    stdout,
                    "\nafter slot {} there are {} accounts, state digest {}",
                    state.slot,
                    Grouped(state.accounts),
                    state.digest
                ),
                None => Ok(()),
            }
        })?;
        if let Some(complaint) = self.complaint() {
            // Nobody is left to be told if this fails; the exit code says it all the same.
            let _ = writeln!(io::stderr(), "{complaint}");
        }
        Ok(())
    }

    /// What is not as it should be, if something is not.
    fn complaint(&self) -> Option<String> {
        let summary = &self.facts.summary;
        let hashes = self.facts.bank_hashes.as_ref();
        let (agreed, differed) = hashes.map_or((0, 0), |hashes| (hashes.agreed, hashes.differed));
        let compared = summary.matched + summary.diverged + agreed + differed;
        match self.exit() {
            Exit::Gate => Some(format!(
                "error: the replay does not agree with the record: {} transactions diverged, {} bank hashes differ",
                Grouped(summary.diverged),
                Grouped(differed)
            )),
            Exit::Done if compared == 0 => {
                Some("warning: the archive records nothing that the replay could be compared with".to_owned())
            }
            _ => None,
        }
    }
}
