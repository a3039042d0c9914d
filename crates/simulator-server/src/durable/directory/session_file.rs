//! What the file of a session says.

use thiserror::Error;

use crate::command_log::Command;
use crate::durable::frame::{self, FileKind, FrameError};
use crate::durable::store::Birth;
use crate::durable::stored::{ContentError, Record};
use crate::worker::Past;

/// What a session's file says.
pub(super) struct Contents {
    pub(super) birth: Birth,
    pub(super) past: Past,
    pub(super) is_closed: bool,
    /// Bytes of whole records.
    pub(super) length: u64,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the record at byte {offset} is none")]
    Content {
        offset: usize,
        #[source]
        source: ContentError,
    },
    #[error("it does not begin with what the session is made from, or says so twice")]
    Birth,
}

/// What a session's file begins with.
pub(super) fn first_bytes(birth: &Birth) -> Option<Vec<u8>> {
    let mut bytes = frame::preamble(FileKind::Session);
    bytes.extend(frame::record(&Record::Birth(birth.clone()).to_bytes())?);
    Some(bytes)
}

pub(super) fn contents(bytes: &[u8]) -> Result<Contents, FileError> {
    let frames = frame::read(FileKind::Session, bytes)?;
    let (mut birth, mut past, mut is_closed) = (None, Past::default(), false);
    for range in frames.records {
        let offset = range.start;
        match Record::from_bytes(&bytes[range]).map_err(|source| FileError::Content { offset, source })? {
            Record::Birth(first) => {
                if birth.replace(first).is_some() {
                    return Err(FileError::Birth);
                }
            }
            Record::Command(logged) => {
                is_closed |= logged.command == Command::Close;
                past.commands.push(logged);
            }
            Record::Progress(progress) => past.progress = progress,
        }
    }
    Ok(Contents {
        birth: birth.ok_or(FileError::Birth)?,
        past,
        is_closed,
        length: frames.end as u64,
    })
}
