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

/// A number that differs from process to process, for spreading things out. Not for secrets.
pub(crate) fn random_seed() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the number must differ from those of every other process"
    )]
    let random = Uuid::new_v4();
    random.as_u64_pair().1
}
