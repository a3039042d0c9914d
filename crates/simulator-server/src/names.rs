//! The names that users have given to their sessions.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use simulator_api::{BacktestError, SessionName};

use crate::keys::Owner;

/// The names of a server. Each key has its own; a name that a session had is never given again, except to the create that
/// it was given to.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<BTreeMap<Named, Option<String>>>);

/// A name of a key.
type Named = (Owner, SessionName);

/// A name that a session is about to have. It is given back when this is dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    names: &'a Names,
    /// `None` if there is nothing to give back.
    named: Option<Named>,
}

/// Most names that a server remembers.
const MAX_NAMES: usize = 100_000;

impl Names {
    /// Takes a name for the session of a create with this token.
    ///
    /// # Errors
    /// `sessionNameTaken`; `invalidRequest` if the server remembers no more names.
    pub(crate) fn claim(
        &self,
        owner: &Owner,
        name: &SessionName,
        token: Option<&String>,
    ) -> Result<Claim<'_>, BacktestError> {
        let mut names = self.lock();
        let is_full = names.len() >= MAX_NAMES;
        let named = match names.entry((owner.clone(), name.clone())) {
            Entry::Occupied(taken) if token.is_some() && taken.get().as_ref() == token => None,
            Entry::Occupied(_) => {
                return Err(BacktestError::SessionNameTaken {
                    session_name: name.to_string(),
                });
            }
            Entry::Vacant(_) if is_full => {
                return Err(BacktestError::InvalidRequest {
                    error: format!("this server remembers {MAX_NAMES} names and takes no more; leave out name"),
                });
            }
            Entry::Vacant(free) => {
                let named = free.key().clone();
                free.insert(token.cloned());
                Some(named)
            }
        };
        Ok(Claim { names: self, named })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Named, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// The session is there: the name is used up.
    pub(crate) fn keep(mut self) {
        self.named = None;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(named) = &self.named {
            self.names.lock().remove(named);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once_for_each_key() {
        let (names, name) = (Names::default(), "nightly-7".parse().unwrap());
        let (desk, other) = (Owner::Key("desk".to_owned()), Owner::Key("other".to_owned()));
        let token = "token".to_owned();
        let is_free = |owner: &Owner, token: Option<&String>| names.claim(owner, &name, token).map(Claim::keep).is_ok();
        drop(names.claim(&desk, &name, Some(&token)).unwrap());
        assert!(is_free(&desk, Some(&token)), "the create before it failed");
        assert!(!is_free(&desk, None));
        assert!(!is_free(&desk, Some(&"another".to_owned())));
        assert!(is_free(&desk, Some(&token)), "it is the same create");
        drop(names.claim(&desk, &name, Some(&token)).unwrap());
        assert!(!is_free(&desk, None), "a repeated create gives nothing back");
        assert!(is_free(&other, None));
        assert!(!is_free(&other, None), "without a token no create is the same");
    }
}
