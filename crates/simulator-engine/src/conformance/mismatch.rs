//! The first field in which effects differ.

use std::fmt::{self, Debug};

/// A field that is not as the fixture says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which field, by its name in the fixture; of an account with its address.
    pub field: String,
    /// What the fixture says.
    pub expected: String,
    /// What came out.
    pub found: String,
}

impl Mismatch {
    pub(super) fn new(field: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, expected, found } = self;
        write!(formatter, "{field} should be {expected} and is {found}")
    }
}

/// Compares one field.
pub(super) fn same<T: PartialEq + Debug>(field: &str, expected: &T, found: &T) -> Result<(), Mismatch> {
    match expected == found {
        true => Ok(()),
        false => Err(Mismatch::new(field, format!("{expected:?}"), format!("{found:?}"))),
    }
}

/// Compares bytes, of which only the first that differ are told.
pub(super) fn same_bytes(field: &str, expected: &[u8], found: &[u8]) -> Result<(), Mismatch> {
    if expected == found {
        return Ok(());
    }
    let at = expected
        .iter()
        .zip(found)
        .take_while(|(one, other)| one == other)
        .count();
    let told = |bytes: &[u8]| {
        let shown: String = bytes[at..].iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{} bytes, from byte {at} on {shown}", bytes.len())
    };
    Err(Mismatch::new(field, told(expected), told(found)))
}
