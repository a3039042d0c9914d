//! Names for requests, where the server understands them.

use simulator_api::RequestId;

/// Names the requests of one connection, once the server has announced that it knows request ids.
#[derive(Clone, Debug)]
pub(super) struct RequestIds {
    prefix: String,
    issued: u64,
    announced: bool,
}

impl RequestIds {
    /// Ids that begin with `prefix`, which no other connection to the same session may use.
    pub(super) fn new(prefix: String) -> Self {
        Self {
            prefix,
            issued: 0,
            announced: false,
        }
    }

    pub(super) fn announce(&mut self, announced: bool) {
        self.announced = announced;
    }

    /// The id that a request travels with: the caller's, a fresh one, or none if the server did not announce them.
    pub(super) fn assign(&mut self, chosen: Option<RequestId>) -> Option<RequestId> {
        if !self.announced {
            return None;
        }
        chosen.or_else(|| {
            self.issued += 1;
            // A prefix that is too long would make every id invalid; the request then travels without one.
            RequestId::new(format!("{}-{}", self.prefix, self.issued)).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_an_id_only_where_the_server_announced_them() {
        let chosen = RequestId::new("mine").unwrap();
        let mut ids = RequestIds::new("p".into());
        assert_eq!(ids.assign(Some(chosen.clone())), None);
        ids.announce(true);
        assert_eq!(ids.assign(Some(chosen.clone())), Some(chosen));
        assert_eq!(ids.assign(None).unwrap().as_str(), "p-1");
        assert_eq!(ids.assign(None).unwrap().as_str(), "p-2");
    }
}
