//! The one place that draws random names.

use uuid::Uuid;

/// A name that no other process draws: 32 hexadecimal digits.
pub(crate) fn unique_name() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the name must differ from those of every other process"
    )]
    Uuid::now_v7().simple().to_string()
}
