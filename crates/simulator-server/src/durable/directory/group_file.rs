//! What the file of a parallel session says: which sessions belong together. It is written once.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::durable::frame::{self, FileKind, FrameError};
use crate::durable::store::{GroupBirth, PartBirth};
use crate::durable::stored::{self, ContentError};

/// What is wrong with a file.
#[derive(Debug, Error)]
pub(super) enum GroupFileError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("what it holds is no parallel session")]
    Content(#[from] ContentError),
    #[error("it does not hold one record")]
    Records,
}

#[derive(Serialize, Deserialize)]
struct StoredGroup {
    id: String,
    /// The name of the key; none where the server had none.
    owner: Option<String>,
    /// The message as JSON.
    request: String,
    parts: Vec<StoredPart>,
}

#[derive(Serialize, Deserialize)]
struct StoredPart {
    id: String,
    first_slot: u64,
    last_slot: u64,
}

/// The file of a parallel session; none if that is too large for one.
pub(super) fn bytes(group: &GroupBirth) -> Option<Vec<u8>> {
    let stored = StoredGroup {
        id: group.id.to_string(),
        owner: stored::store_owner(&group.owner),
        request: stored::store_create(&group.request),
        parts: group.parts.iter().map(store_part).collect(),
    };
    let mut bytes = frame::preamble(FileKind::Group);
    bytes.extend(frame::record(&stored::to_bytes(&stored))?);
    Some(bytes)
}

/// The parallel session that a file holds.
pub(super) fn read(bytes: &[u8]) -> Result<GroupBirth, GroupFileError> {
    let frames = frame::read(FileKind::Group, bytes)?;
    let [record] = &frames.records[..] else {
        return Err(GroupFileError::Records);
    };
    let stored: StoredGroup = stored::from_bytes(&bytes[record.clone()])?;
    Ok(GroupBirth {
        id: stored
            .id
            .parse()
            .map_err(|_| ContentError::Value("control session id"))?,
        owner: stored::load_owner(stored.owner),
        request: stored::load_create(&stored.request)?,
        parts: stored.parts.iter().map(load_part).collect::<Result<_, _>>()?,
    })
}

fn store_part(part: &PartBirth) -> StoredPart {
    StoredPart {
        id: part.id.to_string(),
        first_slot: *part.range.start(),
        last_slot: *part.range.end(),
    }
}

fn load_part(stored: &StoredPart) -> Result<PartBirth, ContentError> {
    Ok(PartBirth {
        id: stored.id.parse().map_err(|_| ContentError::Value("session id"))?,
        range: stored.first_slot..=stored.last_slot,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use simulator_api::{ControlSessionId, SessionId};

    use super::*;
    use crate::durable::stored::tests::birth;

    /// Two sessions, the first of which is that of [`birth`].
    pub(in super::super) fn group() -> GroupBirth {
        let birth = birth();
        GroupBirth {
            id: ControlSessionId::from_random_bytes([8; 16]),
            owner: birth.owner,
            request: birth.request,
            parts: vec![
                PartBirth {
                    id: birth.id,
                    range: 36..=44,
                },
                PartBirth {
                    id: SessionId::from_random_bytes([9; 16]),
                    range: 46..=59,
                },
            ],
        }
    }

    #[test]
    fn reads_what_it_wrote_and_nothing_less() {
        let whole = bytes(&group()).unwrap();
        assert_eq!(read(&whole).unwrap(), group());
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        let session = frame::preamble(FileKind::Session);
        assert!(matches!(
            read(&session),
            Err(GroupFileError::Frame(FrameError::Foreign))
        ));
    }

    /// A file that was written once is read for ever: whatever changes here needs a new version.
    #[test]
    fn the_layout_stays() {
        let whole = bytes(&group()).unwrap();
        assert!(whole.starts_with(b"simgrup\n\x01\0\0\0"));
        let digest = "e6fa13d8671ed68c6437d93541caefe5c1bdcccda202dc8254d56fb18f5bd5a6";
        assert_eq!(blake3::hash(&whole).to_hex().as_str(), digest);
    }
}
