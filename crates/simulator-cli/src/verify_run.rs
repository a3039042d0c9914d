//! `sim verify-run`.

use std::io::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use crate::args::{PlaceArgs, VerifyRunArgs};
use crate::connect::Connection;
use crate::exit::Exit;
use crate::manifest::{
    Difference, FoundManifest, ManifestReadError, ManifestWriteError, SessionEntry, in_archives, in_files, in_ranges,
    in_sessions,
};
use crate::output::OutputError;
use crate::place::{Place, PlaceError};
use crate::progress::Visibility;
use crate::report::Facts;
use crate::run::{End, Finished, InputError, LoadedChanges, Run, RunError, Wanted, Work};
use crate::stdout::{print, print_json};

/// Why a run could not be verified.
#[derive(Debug, Error)]
pub(crate) enum VerifyRunError {
    #[error(transparent)]
    Manifest(#[from] ManifestReadError),
    #[error(
        "the run was made with a server, and its manifest names no archive; say what to replay: --archive PATH_OR_URL or \
         --server WS_URL"
    )]
    Nowhere,
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Result(#[from] ManifestWriteError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl VerifyRunError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Nowhere | Self::Place(_) => Exit::Usage,
            Self::Run(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Manifest(_) | Self::Input(_) | Self::Result(_) => Exit::Failed,
        }
    }
}

/// Runs again what a manifest describes, and says where the result is another one.
pub(crate) async fn verify_run(args: VerifyRunArgs, visibility: Visibility) -> Result<Exit, VerifyRunError> {
    let VerifyRunArgs {
        file,
        place,
        parallel,
        json,
    } = args;
    let manifest = FoundManifest::read(&file)?;
    let place = place_of(place, &manifest)?;
    let verdict = match in_files(&manifest) {
        Some(difference) => Verdict::Different(difference, None),
        None => {
            let work = Rerun { manifest, parallel };
            let verdict = work.verify(place, visibility).await?;
            return finish(&work.manifest, verdict, json);
        }
    };
    finish(&manifest, verdict, json)
}

/// What the command line says, or else where the manifest found its archives.
fn place_of(args: PlaceArgs, manifest: &FoundManifest) -> Result<Place, VerifyRunError> {
    if args.server.is_some() || !args.archive.is_empty() {
        return Ok(args.try_into()?);
    }
    match manifest.places() {
        places if places.is_empty() => Err(VerifyRunError::Nowhere),
        places => Ok(Place::Archives(places)),
    }
}

/// What the second run says of the first.
enum Verdict {
    /// Everything is as the manifest says.
    Same(Facts),
    /// Something is not; what is known of the second run, if it came so far.
    Different(Difference, Option<Facts>),
    /// The user stopped it.
    Interrupted,
}

/// The second run.
struct Rerun {
    manifest: FoundManifest,
    parallel: std::num::NonZeroUsize,
}

impl Rerun {
    async fn verify(&self, place: Place, visibility: Visibility) -> Result<Verdict, VerifyRunError> {
        let changes = LoadedChanges::load(self.manifest.changes())?;
        let run = Run::begin(visibility)?;
        let Some(connection) = run.connect(place).await? else {
            return Ok(Verdict::Interrupted);
        };
        let verdict = self.over(&run, &connection, changes).await;
        connection.close().await;
        verdict
    }

    async fn over(
        &self,
        run: &Run,
        connection: &Connection,
        changes: LoadedChanges,
    ) -> Result<Verdict, VerifyRunError> {
        let document = &self.manifest.document;
        if let Some(difference) = in_archives(document, connection.archives()) {
            return Ok(Verdict::Different(difference, None));
        }
        let wanted = Wanted {
            start: Some(document.range.first_slot),
            end: End::Slot(document.range.last_slot),
        };
        let Some(plan) = run.plan(connection.client(), wanted).await? else {
            return Ok(Verdict::Interrupted);
        };
        if let Some(difference) = in_ranges(&document.sessions, &plan.sessions) {
            return Ok(Verdict::Different(difference, None));
        }
        let work = Work::quiet(plan, Arc::new(changes), self.parallel);
        let finished = run.execute(connection.client(), work).await?;
        self.compare(finished)
    }

    fn compare(&self, finished: Finished) -> Result<Verdict, VerifyRunError> {
        let Finished { facts, sessions, .. } = finished;
        if !facts.metadata.complete {
            return Ok(Verdict::Interrupted);
        }
        let document = &self.manifest.document;
        let found = sessions.iter().filter_map(|end| SessionEntry::of(end).transpose());
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        let same = document.totals == (&facts.summary).into()
            && facts.metadata.result_digest == Some(document.result_digest.to_string());
        let totals = (!same).then_some(Difference::Totals);
        Ok(match in_sessions(&document.sessions, &found).or(totals) {
            Some(difference) => Verdict::Different(difference, Some(facts)),
            None => Verdict::Same(facts),
        })
    }
}

/// What was found, in JSON.
#[derive(Debug, Serialize)]
struct Verification<'a> {
    verified: bool,
    manifest: String,
    first_slot: u64,
    last_slot: u64,
    /// The engine of the run, and the one that ran again if it did.
    engine: &'a str,
    engine_here: Option<&'a str>,
    result_digest: String,
    result_digest_here: Option<&'a str>,
    difference: Option<DifferenceReport>,
}

#[derive(Debug, Serialize)]
struct DifferenceReport {
    kind: &'static str,
    /// The last slot up to whose end nothing is known to differ.
    after_slot: Option<u64>,
    /// The first slot at whose end something is known to differ.
    slot: Option<u64>,
    message: String,
}

impl From<&Difference> for DifferenceReport {
    fn from(difference: &Difference) -> Self {
        let parting = difference.parting();
        Self {
            kind: difference.kind(),
            after_slot: parting.and_then(|parting| parting.after),
            slot: parting.map(|parting| parting.slot),
            message: difference.to_string(),
        }
    }
}

fn finish(manifest: &FoundManifest, verdict: Verdict, json: bool) -> Result<Exit, VerifyRunError> {
    let (difference, facts) = match verdict {
        Verdict::Same(facts) => (None, Some(facts)),
        Verdict::Different(difference, facts) => (Some(difference), facts),
        Verdict::Interrupted => return Ok(Exit::Interrupted),
    };
    let metadata = facts.as_ref().map(|facts| &facts.metadata);
    let document = &manifest.document;
    let verification = Verification {
        verified: difference.is_none(),
        manifest: manifest.path.display().to_string(),
        first_slot: document.range.first_slot,
        last_slot: document.range.last_slot,
        engine: &document.engine,
        engine_here: metadata.and_then(|metadata| metadata.engine.as_deref()),
        result_digest: document.result_digest.to_string(),
        result_digest_here: metadata.and_then(|metadata| metadata.result_digest.as_deref()),
        difference: difference.as_ref().map(DifferenceReport::from),
    };
    warn_of_another_engine(&verification);
    if json {
        print_json(&verification)?;
    } else {
        tell(&verification, document.sessions.len())?;
    }
    Ok(difference.map_or(Exit::Done, |difference| difference.exit()))
}

fn warn_of_another_engine(verification: &Verification<'_>) {
    let (recorded, here) = (verification.engine, verification.engine_here);
    if let Some(here) = here.filter(|here| *here != recorded) {
        // Nobody is left to be warned if this fails.
        let _ = writeln!(
            io::stderr(),
            "warning: the run was made by {recorded}, and this is {here}: results of different engines may differ"
        );
    }
}

fn tell(verification: &Verification<'_>, sessions: usize) -> Result<(), OutputError> {
    if let Some(difference) = &verification.difference {
        // Nobody is left to be told if this fails; the exit code says it all the same.
        let _ = writeln!(io::stderr(), "error: {}", difference.message);
        return Ok(());
    }
    let Verification {
        manifest,
        first_slot,
        last_slot,
        result_digest,
        ..
    } = verification;
    let sessions = match sessions {
        1 => "1 session".to_owned(),
        more => format!("{more} sessions"),
    };
    print(|stdout| {
        writeln!(
            stdout,
            "{manifest} is verified: slots {first_slot} to {last_slot}, {sessions}"
        )?;
        writeln!(stdout, "result digest {result_digest}")
    })
}
