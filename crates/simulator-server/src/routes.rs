//! The HTTP surface.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State as Shared, WebSocketUpgrade};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use simulator_api::{AvailableRange, SessionId};

use crate::control;
use crate::pubsub;
use crate::ranges::available_ranges;
use crate::rpc::{self, Target};
use crate::state::State;

/// The header that carries a client's key.
const API_KEY: &str = "x-api-key";

/// Every route of the server.
pub(crate) fn router(state: Arc<State>) -> Router {
    let max_body = state.limits.message_bytes;
    Router::new()
        .route("/backtest", any(control_channel))
        .route("/backtest/{session_id}", get(data_channel).post(json_rpc))
        .route("/available-ranges", get(ranges))
        .route("/health", get(health))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(state)
}

async fn control_channel(Shared(state): Shared<Arc<State>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let Some(owner) = state.keys.owner(headers.get(API_KEY).map(HeaderValue::as_bytes)) else {
        return (StatusCode::UNAUTHORIZED, "unknown API key: set the X-API-Key header\n").into_response();
    };
    if state.shutdown.is_cancelled() {
        return stopping();
    }
    let tasks = state.tasks.clone();
    upgrade
        .max_message_size(state.limits.message_bytes)
        .max_frame_size(state.limits.frame_bytes)
        .on_upgrade(move |socket| tasks.track_future(control::serve(socket, state, owner)))
}

async fn json_rpc(Shared(state): Shared<Arc<State>>, Path(id): Path<String>, request: Request) -> Response {
    // The body is read for a session that exists only.
    let Some(session) = id.parse::<SessionId>().ok().and_then(|id| state.registry.get(id)) else {
        return no_such_session();
    };
    let target = Target::new(session, &state);
    tokio::select! {
        answer = answer(&target, request) => answer,
        () = state.shutdown.cancelled() => stopping(),
    }
}

async fn answer(target: &Target, request: Request) -> Response {
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    match rpc::answer(target, &body).await {
        Some(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn data_channel(Shared(state): Shared<Arc<State>>, Path(id): Path<String>, request: Request) -> Response {
    let Some(session) = id.parse::<SessionId>().ok().and_then(|id| state.registry.get(id)) else {
        return no_such_session();
    };
    let upgrade = match WebSocketUpgrade::from_request(request, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if state.shutdown.is_cancelled() {
        return stopping();
    }
    let Some(reader) = pubsub::Reader::new(&session.data) else {
        return (
            StatusCode::TOO_MANY_REQUESTS,
            "this session has too many data connections\n",
        )
            .into_response();
    };
    let tasks = state.tasks.clone();
    upgrade
        .max_message_size(pubsub::MAX_REQUEST_BYTES)
        .max_frame_size(pubsub::MAX_REQUEST_BYTES)
        .on_upgrade(move |socket| tasks.track_future(pubsub::serve(socket, session, reader, state)))
}

async fn ranges(Shared(state): Shared<Arc<State>>) -> Json<Vec<AvailableRange>> {
    Json(available_ranges(&state.archives))
}

async fn health() -> &'static str {
    "ok"
}

fn stopping() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n").into_response()
}

/// An unknown, an ended and a foreign session look the same from outside.
fn no_such_session() -> Response {
    (StatusCode::NOT_FOUND, "no such session\n").into_response()
}
