//! How a manifest comes to be: begun before the replay, so that what cannot be written is known early, and completed after
//! it.

use std::io::Write;
use std::path::Path;

use simulator_api::replay::{ReplayStateDigest, ReplaySummary};
use simulator_archive::{Digest, ParseDigestError};
use thiserror::Error;

use super::document::{
    Address, ArchiveEntry, Command, FORMAT, Features, FileEntry, Options, RangeEntry, ReplacementEntry, RunManifest,
    SessionEntry, StateEntry, VERSION,
};
use super::paths::{Base, PathError};
use crate::exit::Exit;
use crate::output::{OutputError, WholeFile};
use crate::prepare::PreparedArchive;
use crate::report::{BankHashes, Unreproduced};
use crate::run::{
    Completion, Finished, Input, Loaded, LoadedChanges, LoadedFeatures, Replacement, SessionEnd, SlotRange,
};

/// This tool and its version.
const TOOL: &str = concat!("sim ", env!("CARGO_PKG_VERSION"));

/// Why a manifest was not written.
#[derive(Debug, Error)]
pub(crate) enum ManifestWriteError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("the server sent a digest that is not one: {digest:?}")]
    Digest {
        digest: String,
        #[source]
        source: ParseDigestError,
    },
}

impl ManifestWriteError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(error) => error.exit(),
            Self::Path(_) | Self::Digest { .. } => Exit::Failed,
        }
    }
}

/// A manifest of a run that goes on. It gets its name when it is complete.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    file: WholeFile,
    archives: Vec<ArchiveEntry>,
    options: Options,
    commands: Vec<Command>,
}

impl ManifestFile {
    /// Writes down what is known before the replay.
    pub(crate) fn begin(
        path: &Path,
        changes: &LoadedChanges,
        archives: &[PreparedArchive],
    ) -> Result<Self, ManifestWriteError> {
        let base = Base::of(path);
        // The directory has to be there before paths can be relative to it.
        let file = WholeFile::create(path)?;
        Ok(Self {
            file,
            archives: archives
                .iter()
                .map(|archive| archive_entry(&base, archive))
                .collect::<Result<_, _>>()?,
            options: options(&base, changes)?,
            commands: commands(&base, changes)?,
        })
    }

    /// Adds what came out, and gives the file its name. Of a run that was interrupted nothing is kept.
    pub(crate) fn complete(self, finished: &Finished) -> Result<(), ManifestWriteError> {
        let Self {
            mut file,
            archives,
            options,
            commands,
        } = self;
        let Some(results) = Results::of(finished)? else {
            let note = "note: the run was interrupted, so that there is no manifest of it";
            // Nobody is left to be told if this fails.
            let _ = writeln!(std::io::stderr(), "{note}");
            return Ok(());
        };
        let manifest = RunManifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            tool: TOOL.to_owned(),
            engine: results.engine,
            archives,
            range: results.range,
            options,
            commands,
            sessions: results.sessions,
            result_digest: results.digest,
            totals: (&finished.facts.summary).into(),
        };
        let at = file.path().to_owned();
        write(&mut file, &manifest).map_err(OutputError::at(&at))?;
        Ok(file.publish()?)
    }
}

fn write(file: &mut WholeFile, manifest: &RunManifest) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *file, manifest)?;
    file.write_all(b"\n")
}

/// What a run came to.
struct Results {
    range: RangeEntry,
    digest: Digest,
    engine: String,
    sessions: Vec<SessionEntry>,
}

impl Results {
    /// What the run came to, if it came to its end.
    fn of(finished: &Finished) -> Result<Option<Self>, ManifestWriteError> {
        let metadata = &finished.facts.metadata;
        let (Some(last_slot), Some(digest)) = (metadata.end_slot, &metadata.result_digest) else {
            return Ok(None);
        };
        let sessions = finished
            .sessions
            .iter()
            .filter_map(|end| SessionEntry::of(end).transpose());
        Ok(Some(Self {
            range: RangeEntry {
                first_slot: metadata.start_slot,
                last_slot,
            },
            digest: parse(digest)?,
            engine: metadata.engine.clone().unwrap_or_default(),
            sessions: sessions.collect::<Result<_, _>>()?,
        }))
    }
}

impl SessionEntry {
    /// What a session came to, if it came to its end and was asked for its last state.
    pub(crate) fn of(end: &SessionEnd) -> Result<Option<Self>, ManifestWriteError> {
        let (Some(summary), Some(completion)) = (&end.summary, &end.completion) else {
            return Ok(None);
        };
        let Completion {
            checkpoints,
            state: Some(state),
        } = completion
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            range: end.range.into(),
            archive: parse(&summary.archive_digest)?,
            result_digest: parse(&summary.result_digest)?,
            state: state_entry(state)?,
            bank_hashes: bank_hashes(summary),
            unreproduced: unreproduced(summary),
            checkpoints: checkpoints.clone(),
        }))
    }
}

impl From<SlotRange> for RangeEntry {
    fn from(range: SlotRange) -> Self {
        Self {
            first_slot: range.first,
            last_slot: range.last,
        }
    }
}

fn state_entry(state: &ReplayStateDigest) -> Result<StateEntry, ManifestWriteError> {
    Ok(StateEntry {
        accounts: state.accounts,
        digest: parse(&state.digest)?,
    })
}

fn bank_hashes(summary: &ReplaySummary) -> BankHashes {
    let mut hashes = BankHashes::default();
    hashes.add(&summary.bank_hashes);
    hashes
}

fn unreproduced(summary: &ReplaySummary) -> Vec<Unreproduced> {
    let effects = summary.unreproduced.iter().map(|effect| Unreproduced {
        kind: effect.kind.clone(),
        count: effect.count,
        first_slot: effect.first_slot,
        reason: effect.reason.clone(),
    });
    effects.collect()
}

fn parse(digest: &str) -> Result<Digest, ManifestWriteError> {
    digest.parse().map_err(|source| ManifestWriteError::Digest {
        digest: digest.to_owned(),
        source,
    })
}

fn archive_entry(base: &Base, archive: &PreparedArchive) -> Result<ArchiveEntry, PathError> {
    Ok(ArchiveEntry {
        place: base.place(&archive.place)?,
        digest: archive.digest,
    })
}

fn options(base: &Base, changes: &LoadedChanges) -> Result<Options, PathError> {
    Ok(Options {
        features: match &changes.features {
            None | Some(LoadedFeatures::Accounts) => Features::Accounts,
            Some(LoadedFeatures::All) => Features::All,
            Some(LoadedFeatures::Listed(input)) => Features::Listed(file_entry(base, input)?),
        },
        extra_compute_units: changes.extra_compute_units.unwrap_or_default(),
        ignored_signers: changes.ignored_signers.iter().copied().map(Address).collect(),
    })
}

fn commands(base: &Base, changes: &LoadedChanges) -> Result<Vec<Command>, PathError> {
    let replacements = changes.replacements.iter().map(|replacement| {
        Ok(match replacement {
            Replacement::Program(program) => Command::ReplaceProgram(replacement_entry(base, program)?),
            Replacement::Accounts(accounts) => {
                let accounts = accounts.iter().map(|account| replacement_entry(base, account));
                Command::ReplaceAccounts(accounts.collect::<Result<_, _>>()?)
            }
        })
    });
    replacements.chain([Ok(Command::ContinueToEnd)]).collect()
}

fn replacement_entry<T>(base: &Base, loaded: &Loaded<T>) -> Result<ReplacementEntry, PathError> {
    Ok(ReplacementEntry {
        address: Address(loaded.address),
        file: file_entry(base, &loaded.input)?,
    })
}

fn file_entry<T>(base: &Base, input: &Input<T>) -> Result<FileEntry, PathError> {
    Ok(FileEntry {
        path: base.relative(&input.path)?,
        digest: input.digest,
    })
}
