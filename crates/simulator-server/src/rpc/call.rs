//! The envelope: single calls, batches, ids, positional parameters.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::error::RpcError;
use super::{Answer, Target, dispatch};

/// Answers a request body; `None` if it holds notifications only, which have no answer.
pub(crate) async fn answer(target: &Target, body: &[u8]) -> Option<Vec<u8>> {
    let replies = match parse(body, target.limits.rpc_batch) {
        Err(error) => Replies::One(Reply::new(None, Err(error))),
        Ok(Calls::One(call)) => Replies::One(reply(target, call).await?),
        Ok(Calls::Batch(calls)) => {
            let mut replies = Vec::with_capacity(calls.len());
            for call in calls {
                replies.extend(reply(target, call).await);
            }
            Replies::Batch(replies)
        }
    };
    replies.into_bytes()
}

/// The positional parameters of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a>(Option<&'a RawValue>);

impl<'a> Params<'a> {
    pub(crate) fn new(params: Option<&'a RawValue>) -> Self {
        Self(params)
    }
}

impl Params<'_> {
    /// A parameter that must be there.
    pub(crate) fn required<T: DeserializeOwned>(self, index: usize, name: &str) -> Result<T, RpcError> {
        self.optional(index, name)?
            .ok_or_else(|| RpcError::invalid_params(format!("`params` should have {name} at index {index}")))
    }

    /// A parameter that may be absent or null.
    pub(crate) fn optional<T: DeserializeOwned>(self, index: usize, name: &str) -> Result<Option<T>, RpcError> {
        let Some(raw) = self.list()?.get(index).copied() else {
            return Ok(None);
        };
        serde_json::from_str(raw.get())
            .map_err(|error| RpcError::invalid_params(format!("Invalid params: {name}: {error}")))
    }

    fn list(&self) -> Result<Vec<&RawValue>, RpcError> {
        match self.0 {
            None => Ok(Vec::new()),
            Some(raw) if raw.get() == "null" => Ok(Vec::new()),
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|_| RpcError::invalid_params("`params` should be an array"))
            }
        }
    }
}

/// One call as it was received.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a call with its method")]
pub(crate) struct Envelope<'a> {
    /// Missing in a notification; `null` is an id like any other.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) method: String,
    #[serde(borrow, default)]
    pub(crate) params: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

enum Calls<'a> {
    One(&'a RawValue),
    Batch(Vec<&'a RawValue>),
}

enum Replies {
    One(Reply),
    Batch(Vec<Reply>),
}

/// One answer. There is no `error` key beside a `result`: some clients take the key alone for a failure.
#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
    id: Option<Box<RawValue>>,
}

impl Reply {
    pub(crate) fn new(id: Option<&RawValue>, answer: Answer) -> Self {
        let (result, error) = match answer {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            jsonrpc: "2.0",
            result,
            error,
            id: id.map(ToOwned::to_owned),
        }
    }
}

impl Replies {
    fn into_bytes(self) -> Option<Vec<u8>> {
        let bytes = match &self {
            Self::One(reply) => serde_json::to_vec(reply),
            Self::Batch(replies) if replies.is_empty() => return None,
            Self::Batch(replies) => serde_json::to_vec(replies),
        };
        Some(bytes.expect("replies have text keys only, so that they always serialise"))
    }
}

fn parse(body: &[u8], max_calls: usize) -> Result<Calls<'_>, RpcError> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| RpcError::parse(&error))?;
    if !raw.get().starts_with('[') {
        return Ok(Calls::One(raw));
    }
    let calls: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|error| RpcError::parse(&error))?;
    match calls.len() {
        0 => Err(RpcError::invalid_request("the batch is empty")),
        count if count > max_calls => Err(RpcError::invalid_request(&format!(
            "the batch has {count} calls, more than {max_calls}"
        ))),
        _ => Ok(Calls::Batch(calls)),
    }
}

/// Carries out one call; `None` for a notification.
async fn reply(target: &Target, raw: &RawValue) -> Option<Reply> {
    let call: Envelope<'_> = match serde_json::from_str(raw.get()) {
        Ok(call) => call,
        Err(error) => return Some(Reply::new(None, Err(RpcError::invalid_request(&error.to_string())))),
    };
    let began = Instant::now();
    let answer = timeout(
        target.times.rpc_limit,
        dispatch(target, &call.method, Params(call.params)),
    )
    .await;
    let answer = answer.unwrap_or_else(|_| Err(RpcError::refused("the session is busy; try again")));
    take_down(target, &call.method, began, &answer);
    call.id.map(|id| Reply::new(Some(id), answer))
}

/// Methods that nobody knows have one name in the metrics: clients may call them anything.
fn take_down(target: &Target, method: &str, began: Instant, answer: &Answer) {
    let is_unknown = answer.as_ref().is_err_and(RpcError::is_method_not_found);
    let name = if is_unknown { "unknown" } else { method };
    target.metrics.answered(name, began.elapsed(), answer.is_err());
    target.session.meter.key().counters.rpc_calls.add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> i64 {
        match parse(body.as_bytes(), 2) {
            Err(error) => error.code,
            Ok(_) => 0,
        }
    }

    #[test]
    fn refuses_what_is_no_call() {
        assert_eq!(code("{"), -32700);
        assert_eq!(code("[]"), -32600);
        assert_eq!(code("[1, 2, 3]"), -32600);
        assert_eq!(code("[1, 2]"), 0, "each is answered for itself");
        assert_eq!(code("\u{1}"), -32700);
    }

    #[test]
    fn names_the_parameter_that_is_wrong() {
        let raw = RawValue::from_string(r#"["a", null, 7]"#.to_owned()).unwrap();
        let params = Params(Some(&raw));
        assert_eq!(params.required::<String>(0, "pubkey").unwrap(), "a");
        assert_eq!(params.optional::<u64>(1, "config").unwrap(), None);
        assert_eq!(params.optional::<u64>(9, "config").unwrap(), None);
        let error = params.required::<u64>(1, "slot").unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            (-32602, "`params` should have slot at index 1")
        );
        assert!(
            params
                .required::<String>(2, "pubkey")
                .unwrap_err()
                .message
                .starts_with("Invalid params: pubkey: ")
        );
        let object = RawValue::from_string("{}".to_owned()).unwrap();
        assert_eq!(Params(Some(&object)).optional::<u64>(0, "x").unwrap_err().code, -32602);
    }
}
