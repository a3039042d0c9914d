//! Account dumps: JSON lines, one account a line, as `sim run --dump-accounts` writes them and as the files of a
//! ledger directory hold them.

mod compare;
mod dump;
mod record;

pub use compare::{Difference, Field, assert_same, compare};
pub use dump::{AccountDump, read, write};
pub use record::{AccountRecord, RecordError};
