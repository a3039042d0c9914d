//! Who may use the control channel.

use std::fmt;

/// A key that a client may come with, and the name under which the operator knows it.
#[derive(Clone)]
pub struct ApiKey {
    name: String,
    key: String,
}

/// The keys of a server.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Vec<ApiKey>);

/// Who a connection belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The server has no keys.
    Anyone,
    /// The name of the key.
    Key(String),
}

impl ApiKey {
    /// A key and its name.
    #[must_use]
    pub fn new(name: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
        }
    }
}

/// Shows the name only: keys are never logged.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys)
    }

    /// Who comes with this key, if it is one of ours. Every key is compared in full, so that the time taken says
    /// nothing about where a wrong one differs.
    pub(crate) fn owner(&self, presented: Option<&[u8]>) -> Option<Owner> {
        if self.0.is_empty() {
            return Some(Owner::Anyone);
        }
        let presented = presented.unwrap_or_default();
        self.0.iter().fold(None, |found, key| {
            let equal = is_equal(key.key.as_bytes(), presented);
            if equal {
                Some(Owner::Key(key.name.clone()))
            } else {
                found
            }
        })
    }
}

fn is_equal(key: &[u8], presented: &[u8]) -> bool {
    let differing = key.iter().zip(presented).fold(0, |bits, (a, b)| bits | (a ^ b));
    std::hint::black_box(differing) == 0 && key.len() == presented.len() && !key.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_keys() {
        let keys = Keys::new(vec![
            ApiKey::new("a", "alpha"),
            ApiKey::new("b", "beta"),
            ApiKey::new("empty", ""),
        ]);
        assert_eq!(keys.owner(Some(b"beta")), Some(Owner::Key("b".to_owned())));
        for wrong in [&b"bet"[..], b"betas", b"alphb", b""] {
            assert_eq!(keys.owner(Some(wrong)), None);
        }
        assert_eq!(keys.owner(None), None);
        assert_eq!(Keys::new(Vec::new()).owner(None), Some(Owner::Anyone));
    }

    #[test]
    fn never_shows_a_key() {
        assert!(!format!("{:?}", ApiKey::new("desk", "secret")).contains("secret"));
    }
}
