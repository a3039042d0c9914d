//! The names that users have given to their sessions.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simulator_api::{BacktestError, SessionName};

use crate::durable::{GivenName, NamesFile, StateDirectoryError};
use crate::keys::Owner;

/// The names of a server. Each key has its own; a name that a session had is never given again, except to the create that
/// it was given to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// With the digest of the token of the create that each was given to.
    given: Mutex<BTreeMap<Named, Option<String>>>,
    /// Where they are kept; with none they end with the server.
    file: Option<Arc<NamesFile>>,
}

/// A name of a key.
type Named = (Owner, SessionName);

/// A name that a session is about to have. It is given back when this is dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    names: &'a Names,
    /// `None` if there is nothing to give back.
    named: Option<Named>,
    token: Option<String>,
}

/// Most names that a server remembers.
const MAX_NAMES: usize = 100_000;

impl Names {
    /// The names that have been given, by servers with this state directory, too.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn open(state: Option<&Path>) -> Result<Self, StateDirectoryError> {
        let Some(state) = state else {
            return Ok(Self::default());
        };
        let (file, given) = NamesFile::open(state)?;
        let given = given.into_iter().map(|given| ((given.owner, given.name), given.token));
        Ok(Self {
            given: Mutex::new(given.collect()),
            file: Some(Arc::new(file)),
        })
    }

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
        let token = token.map(|token| blake3::hash(token.as_bytes()).to_hex().to_string());
        let mut names = self.lock();
        let is_full = names.len() >= MAX_NAMES;
        let named = match names.entry((owner.clone(), name.clone())) {
            Entry::Occupied(taken) if token.is_some() && *taken.get() == token => None,
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
                free.insert(token.clone());
                Some(named)
            }
        };
        Ok(Claim {
            names: self,
            named,
            token,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Named, Option<String>>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// The session is there: the name is used up. It is on disk, if it is kept there, when the future is ready.
    pub(crate) fn keep(mut self) -> impl Future<Output = ()> + Send + 'static {
        let token = self.token.take();
        let given = self.named.take().map(|(owner, name)| GivenName { owner, name, token });
        let kept = self.names.file.clone().zip(given);
        async move {
            if let Some((file, given)) = kept {
                write_down(file, given).await;
            }
        }
    }
}

/// Without it the name may be given again after a restart, which harms nobody but those who count on names.
async fn write_down(file: Arc<NamesFile>, given: GivenName) {
    match tokio::task::spawn_blocking(move || file.add(&given)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "the name of a session will be forgotten with the server"
        ),
        Err(error) => tracing::error!(%error, "the name of a session was not written down"),
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
