//! The calendar. Sessions know none: it is for what people are told, such as on which day something was used.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

/// The time of day, as this machine has it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the calendar; nothing that is replayed depends on it"
)]
pub(crate) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}
