//! The first difference between what a manifest says and what was found.

use std::fmt;
use std::path::PathBuf;

use simulator_archive::Digest;

use super::document::{ArchiveEntry, RangeEntry, RunManifest, SessionEntry};
use super::read::FoundManifest;
use crate::error::chain;
use crate::exit::Exit;
use crate::prepare::PreparedArchive;
use crate::run::{InputError, Parting, SlotRange, read};

/// Something that is not as the manifest says.
#[derive(Debug)]
pub(crate) enum Difference {
    /// Another archive than the one that was replayed.
    Archive {
        place: String,
        recorded: Digest,
        found: Digest,
    },
    /// More or fewer archives than were given.
    Archives { recorded: usize, found: usize },
    /// A file that was given is not there or cannot be read.
    MissingInput(InputError),
    /// A file that was given is another one now.
    Input {
        path: PathBuf,
        recorded: Digest,
        found: Digest,
    },
    /// Other sessions than those that ran.
    Ranges {
        recorded: Vec<RangeEntry>,
        found: Vec<RangeEntry>,
    },
    /// A session did something else.
    Slot { session: RangeEntry, parting: Parting },
    /// What a session came to is not the same, although it did the same up to the end of every slot that is known.
    Session { session: RangeEntry, what: &'static str },
    /// What all sessions together came to is not the same.
    Totals,
}

impl Difference {
    /// What kind of difference it is, in one word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Archive { .. } | Self::Archives { .. } => "archive",
            Self::MissingInput(_) | Self::Input { .. } => "input",
            Self::Ranges { .. } => "ranges",
            Self::Slot { .. } | Self::Session { .. } | Self::Totals => "result",
        }
    }

    /// The exit code: another result is one, and what keeps the same run from being run is a failure.
    pub(crate) fn exit(&self) -> Exit {
        match self.kind() {
            "result" => Exit::Gate,
            _ => Exit::Failed,
        }
    }

    /// The first slot at whose end something is known to differ, and the last one up to which nothing does.
    pub(crate) fn parting(&self) -> Option<Parting> {
        match self {
            Self::Slot { parting, .. } => Some(*parting),
            _ => None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive { place, recorded, found } => write!(
                formatter,
                "{place} is not the archive of the run: its digest is {found}, not {recorded}"
            ),
            Self::Archives { recorded, found } => {
                write!(formatter, "the run was given {recorded} archives, and here are {found}")
            }
            Self::MissingInput(error) => formatter.write_str(&chain(error)),
            Self::Input { path, recorded, found } => write!(
                formatter,
                "{} is not the file of the run: its digest is {found}, not {recorded}",
                path.display()
            ),
            Self::Ranges { recorded, found } => write!(
                formatter,
                "the run had sessions over slots {}, and here they would be over slots {}",
                list(recorded),
                list(found)
            ),
            Self::Slot { session, parting } => {
                write!(formatter, "the result differs: the session over slots {session} ")?;
                parting_in_words(formatter, *parting)
            }
            Self::Session { session, what } => write!(
                formatter,
                "the result differs: {what} of the session over slots {session} is not that of the run"
            ),
            Self::Totals => formatter.write_str("the result differs: the totals are not those of the run"),
        }
    }
}

fn parting_in_words(formatter: &mut fmt::Formatter<'_>, parting: Parting) -> fmt::Result {
    let Parting { after, slot, exact } = parting;
    match (exact, after) {
        (true, _) => write!(formatter, "does something else in slot {slot}"),
        (false, Some(after)) => {
            write!(
                formatter,
                "does something else after slot {after}, in slot {slot} at the latest"
            )
        }
        (false, None) => write!(formatter, "does something else in slot {slot} at the latest"),
    }
}

fn list(ranges: &[RangeEntry]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for RangeEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", self.first_slot, self.last_slot)
    }
}

/// The first file that is not as it was.
pub(crate) fn in_files(manifest: &FoundManifest) -> Option<Difference> {
    manifest.files().find_map(|(path, file)| match read(&path) {
        Err(error) => Some(Difference::MissingInput(error)),
        Ok(input) => (input.digest != file.digest).then_some(Difference::Input {
            path,
            recorded: file.digest,
            found: input.digest,
        }),
    })
}

/// The first archive that is another one. Nothing is known yet of those of a server.
pub(crate) fn in_archives(document: &RunManifest, found: &[PreparedArchive]) -> Option<Difference> {
    match (&document.archives[..], found) {
        (_, []) => None,
        ([], found) => in_archives_of_sessions(&document.sessions, found),
        (recorded, found) => in_archives_given(recorded, found),
    }
}

fn in_archives_given(recorded: &[ArchiveEntry], found: &[PreparedArchive]) -> Option<Difference> {
    let pairs = recorded.iter().zip(found);
    let other = pairs.filter(|(recorded, found)| recorded.digest != found.digest);
    let other = other.map(|(recorded, found)| Difference::Archive {
        place: found.place.clone(),
        recorded: recorded.digest,
        found: found.digest,
    });
    let (recorded, found) = (recorded.len(), found.len());
    let count = (recorded != found).then_some(Difference::Archives { recorded, found });
    other.chain(count).next()
}

/// Of a run with a server it is only known what its sessions replayed.
fn in_archives_of_sessions(sessions: &[SessionEntry], found: &[PreparedArchive]) -> Option<Difference> {
    let is_found = |session: &SessionEntry| found.iter().any(|archive| archive.digest == session.archive);
    let missing = sessions.iter().find(|session| !is_found(session))?;
    let archive = found.first()?;
    Some(Difference::Archive {
        place: archive.place.clone(),
        recorded: missing.archive,
        found: archive.digest,
    })
}

/// Whether other sessions would run.
pub(crate) fn in_ranges(recorded: &[SessionEntry], found: &[SlotRange]) -> Option<Difference> {
    let recorded: Vec<_> = recorded.iter().map(|session| session.range).collect();
    let found: Vec<_> = found.iter().copied().map(RangeEntry::from).collect();
    (recorded != found).then_some(Difference::Ranges { recorded, found })
}

/// The first session that came to something else, over the same ranges.
pub(crate) fn in_sessions(recorded: &[SessionEntry], found: &[SessionEntry]) -> Option<Difference> {
    recorded
        .iter()
        .zip(found)
        .find_map(|(recorded, found)| in_session(recorded, found))
}

fn in_session(recorded: &SessionEntry, found: &SessionEntry) -> Option<Difference> {
    let session = recorded.range;
    if recorded.archive != found.archive {
        return Some(Difference::Archive {
            place: format!("what was replayed over slots {session}"),
            recorded: recorded.archive,
            found: found.archive,
        });
    }
    if let Some(parting) = recorded.checkpoints.parting(&found.checkpoints) {
        return Some(Difference::Slot { session, parting });
    }
    let parts = [
        ("the result digest", recorded.result_digest == found.result_digest),
        ("the last state", recorded.state == found.state),
        (
            "the comparison of bank hashes",
            recorded.bank_hashes == found.bank_hashes,
        ),
        (
            "what could not be reproduced",
            recorded.unreproduced == found.unreproduced,
        ),
    ];
    let other = parts.into_iter().find(|(_, same)| !same);
    other.map(|(what, _)| Difference::Session { session, what })
}
