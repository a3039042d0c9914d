//! What is there for whoever operates the server, and for those who want to know what they have used.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::clock;
use crate::metrics::CONTENT_TYPE as METRICS_TYPE;
use crate::routes::{owner, unknown_key};
use crate::state::State;
use crate::usage::Span;

/// The span of `GET /usage`.
#[derive(Debug, Deserialize)]
pub(crate) struct SpanQuery {
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

/// The process lives.
pub(crate) async fn health() -> &'static str {
    "ok"
}

/// Whether new sessions can be had.
pub(crate) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    if state.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    if state.is_restoring() {
        return (StatusCode::SERVICE_UNAVAILABLE, "restoring\n").into_response();
    }
    "ready\n".into_response()
}

/// What the key has used that the request comes with.
pub(crate) async fn usage(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    span: Result<Query<SpanQuery>, QueryRejection>,
) -> Response {
    let Some(owner) = owner(&state, &headers) else {
        return unknown_key(&state);
    };
    let span = match span {
        Ok(Query(SpanQuery { since, until })) => Span { since, until },
        Err(rejection) => {
            let text = format!("{rejection}: write times as 2026-03-01T00:00:00Z\n");
            return (rejection.status(), text).into_response();
        }
    };
    Json(state.usage.report(&owner, span, clock::now())).into_response()
}

/// What the server does, as sums over all keys. It takes any key, as a control channel does.
pub(crate) async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    if owner(&state, &headers).is_none() {
        return unknown_key(&state);
    }
    measure(&state);
    match state.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Looks at what is not counted while it changes.
fn measure(state: &State) {
    let sessions = state.registry.all();
    let events: u64 = sessions.iter().map(|session| session.events.bytes()).sum();
    let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    state.metrics.event_log_bytes.set(gauge(events));
    state.metrics.data_log_bytes.set(gauge(state.data_pool.used() as u64));
}
