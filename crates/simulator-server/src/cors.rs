//! What browsers ask for before a page of another origin may talk to a session.
//!
//! Nothing is given away by it: no credential that a browser adds by itself means anything to this server, and who knows
//! a session's id may use its data channel, a page like any other program. Validators answer in the same way. To make a
//! session is another matter: where no key is asked for, whoever reaches the server may, and a browser on the same machine
//! reaches it for every page that it shows. Browsers ask nobody before they connect a WebSocket, but say for which page.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    HOST, ORIGIN,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// How long a browser may go by one answer, in seconds: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

const ANY: HeaderValue = HeaderValue::from_static("*");

/// The answer to a browser's question whether a page may send a request.
pub(crate) async fn preflight() -> impl IntoResponse {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
        (ACCESS_CONTROL_ALLOW_HEADERS, ANY),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// Lets a page of any origin read an answer.
pub(crate) async fn readable_by_pages(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response
}

/// Whether a browser asks for a page of another server.
pub(crate) fn is_of_foreign_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let page = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let here = headers.get(HOST).and_then(|host| host.to_str().ok());
    match (page, here) {
        (Some((_, page)), Some(here)) => !page.eq_ignore_ascii_case(here),
        _ => true,
    }
}
