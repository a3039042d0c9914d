//! What JSON-RPC 2.0 puts around a call and its answer.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{RpcCallError, RpcError};
use crate::http::{HttpAnswer, HttpError};

/// A call.
#[derive(Serialize)]
pub(super) struct Call<'a> {
    pub(super) jsonrpc: &'static str,
    pub(super) id: u64,
    pub(super) method: &'a str,
    pub(super) params: Box<RawValue>,
}

/// An answer. A null error is no error; a null result is a result.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    error: Option<RpcError>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// The result that an HTTP answer carries.
pub(super) fn result(method: &str, id: u64, http: &HttpAnswer) -> Result<Box<RawValue>, RpcCallError> {
    let answer = decode(http).map_err(|source| RpcCallError::Http {
        method: method.into(),
        source,
    })?;
    // A server that could not read the call cannot repeat its id, so an error may come with none.
    let is_ours = answer.id == id || (answer.id.is_null() && answer.error.is_some());
    if !is_ours {
        return Err(RpcCallError::ForeignId {
            method: method.into(),
            sent: id,
            received: answer.id,
        });
    }
    match (answer.error, answer.result) {
        (Some(source), _) => Err(RpcCallError::Remote {
            method: method.into(),
            source,
        }),
        (None, Some(result)) => Ok(result),
        (None, None) => Err(RpcCallError::Empty { method: method.into() }),
    }
}

/// With a status that is not a success, only an error object says more than the status itself.
fn decode(http: &HttpAnswer) -> Result<Answer, HttpError> {
    let decoded = serde_json::from_slice::<Answer>(&http.body);
    if http.status.is_success() {
        return decoded.map_err(|source| http.undecodable(source));
    }
    match decoded {
        Ok(answer) if answer.error.is_some() => Ok(answer),
        _ => Err(HttpError::Status {
            status: http.status,
            body: http.excerpt(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<String, RpcCallError> {
        let http = HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
        };
        result("m", 7, &http).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn w33_a_null_error_is_a_success() {
        assert_eq!(
            answer(200, r#"{"jsonrpc":"2.0","id":7,"error":null,"result":3}"#).unwrap(),
            "3"
        );
    }

    #[test]
    fn a_null_result_is_a_result_and_a_missing_one_is_not() {
        assert_eq!(answer(200, r#"{"id":7,"result":null}"#).unwrap(), "null");
        assert!(matches!(answer(200, r#"{"id":7}"#), Err(RpcCallError::Empty { .. })));
    }

    #[test]
    fn an_error_object_keeps_code_message_and_data() {
        let error = answer(
            200,
            r#"{"id":7,"error":{"code":-32602,"message":"bad","data":{"x":1}}}"#,
        )
        .unwrap_err();
        let expected = RpcError {
            code: -32602,
            message: "bad".into(),
            data: Some(serde_json::json!({"x": 1})),
        };
        assert_eq!(error.remote(), Some(&expected));
        assert!(!error.is_retryable());
    }

    #[test]
    fn w33_the_http_status_counts() {
        let error = answer(502, "bad gateway").unwrap_err();
        let RpcCallError::Http {
            source: HttpError::Status { status, body },
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!((status.as_u16(), body.as_str()), (502, "bad gateway"));
        assert!(error.is_retryable());
        assert!(matches!(
            answer(404, r#"{"id":7,"result":3}"#),
            Err(RpcCallError::Http { .. })
        ));
    }

    #[test]
    fn an_error_object_says_more_than_its_status() {
        let error = answer(400, r#"{"id":null,"error":{"code":-32700,"message":"parse"}}"#).unwrap_err();
        assert_eq!(error.remote().unwrap().code, -32700);
    }

    #[test]
    fn an_answer_to_another_call_is_refused() {
        let error = answer(200, r#"{"id":8,"result":3}"#).unwrap_err();
        assert!(matches!(error, RpcCallError::ForeignId { sent: 7, .. }), "{error:?}");
        assert!(matches!(
            answer(200, r#"{"result":3}"#),
            Err(RpcCallError::ForeignId { .. })
        ));
    }

    #[test]
    fn a_body_that_is_not_json_is_a_decode_error() {
        assert!(matches!(
            answer(200, "<html>"),
            Err(RpcCallError::Http {
                source: HttpError::Decode { .. },
                ..
            })
        ));
    }
}
