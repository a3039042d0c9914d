//! Segments: building one, reading one, and the records in its frames (`docs/archive.md`, sections 3 to 5).

mod builder;
mod format;
mod frame;
mod reader;
mod records;

pub(crate) use builder::SegmentBuilder;
pub(crate) use format::tail_offset;
pub(crate) use reader::{Frame, SegmentReader, io_error};
pub(crate) use records::{SortedRecords, State, address_key, decode_block_frame, decode_changes_frame};
