//! Who may use the control channel.

use std::collections::BTreeMap;
use std::fmt;

use blake3::Hash;

/// A key that a client may come with, and the name under which the operator knows it. Several keys may have one name,
/// so that one of them can be replaced while clients still use it: they own the same sessions.
#[derive(Clone)]
pub struct ApiKey {
    name: String,
    key: String,
    limits: KeyLimits,
}

/// How much the clients with one key may have at once; what is not set is the default of the server's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Sessions.
    pub sessions: Option<usize>,
    /// WebSocket connections, control channels and PubSub together.
    pub connections: Option<usize>,
    /// Largest WebSocket message and HTTP body, in bytes.
    pub message_bytes: Option<usize>,
}

/// The keys of a server. Only their digests are kept.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    keys: Vec<(Hash, Owner)>,
    limits: BTreeMap<Owner, KeyLimits>,
}

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
            limits: KeyLimits::default(),
        }
    }

    /// The same key with limits. Of several keys with one name, the first that sets a limit decides.
    #[must_use]
    pub fn with_limits(self, limits: KeyLimits) -> Self {
        Self { limits, ..self }
    }
}

impl KeyLimits {
    fn or(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.or(other.sessions),
            connections: self.connections.or(other.connections),
            message_bytes: self.message_bytes.or(other.message_bytes),
        }
    }
}

impl Owner {
    /// The name under which the owner is counted and logged.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anyone => "anyone",
            Self::Key(name) => name,
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
        let mut limits: BTreeMap<Owner, KeyLimits> = BTreeMap::new();
        for key in &keys {
            let owner = limits.entry(Owner::Key(key.name.clone())).or_default();
            *owner = owner.or(key.limits);
        }
        if keys.is_empty() {
            limits.insert(Owner::Anyone, KeyLimits::default());
        }
        // An empty key would let in whoever sends none.
        let keys = keys.into_iter().filter(|key| !key.key.is_empty());
        let digest = |key: ApiKey| (blake3::hash(key.key.as_bytes()), Owner::Key(key.name));
        Self {
            keys: keys.map(digest).collect(),
            limits,
        }
    }

    /// Everybody who may come, and their limits.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (&Owner, &KeyLimits)> {
        self.limits.iter()
    }

    /// Who comes with this key, if it is one of ours. What is compared are digests, each in full and in constant time,
    /// so that the time taken says nothing about where a wrong key differs or how long ours are.
    pub(crate) fn owner(&self, presented: Option<&[u8]>) -> Option<Owner> {
        if self.limits.contains_key(&Owner::Anyone) {
            return Some(Owner::Anyone);
        }
        let presented = blake3::hash(presented.unwrap_or_default());
        let found = self.keys.iter().fold(
            None,
            |found, (key, owner)| {
                if *key == presented { Some(owner) } else { found }
            },
        );
        found.cloned()
    }
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
        assert_eq!(Keys::new(vec![ApiKey::new("empty", "")]).owner(None), None);
    }

    #[test]
    fn keys_with_one_name_are_one_owner() {
        let limited = |sessions, connections| KeyLimits {
            sessions,
            connections,
            message_bytes: None,
        };
        let keys = Keys::new(vec![
            ApiKey::new("a", "old").with_limits(limited(Some(1), None)),
            ApiKey::new("a", "new").with_limits(limited(Some(2), Some(3))),
        ]);
        assert_eq!(keys.owner(Some(b"old")), keys.owner(Some(b"new")));
        let owners: Vec<_> = keys.owners().collect();
        assert_eq!(owners, [(&Owner::Key("a".to_owned()), &limited(Some(1), Some(3)))]);
    }

    #[test]
    fn never_shows_a_key() {
        assert!(!format!("{:?}", ApiKey::new("desk", "secret")).contains("secret"));
    }
}
