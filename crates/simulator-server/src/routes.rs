//! The HTTP surface.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{DefaultBodyLimit, Extension, FromRequest as _, Path, Request, State as Shared};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use simulator_api::{AvailableRange, SessionId};
use tokio::time::timeout;

use crate::durable::Absent;
use crate::handle::SessionHandle;
use crate::keys::Owner;
use crate::metrics::{ConnectionKind, OpenConnection, Refusal};
use crate::net::Traffic;
use crate::pubsub::Channel;
use crate::ranges::available_ranges;
use crate::rpc::{self, Target};
use crate::state::State;
use crate::websocket::{SocketLimits, Upgrade};
use crate::{admin, control, cors, pubsub};

/// The header that carries a client's key.
const API_KEY: &str = "x-api-key";

/// How a key is announced in the `Authorization` header, which some programs can send and no other.
const BEARER: &[u8] = b"Bearer ";

/// Every route of the server.
pub(crate) fn router(state: Arc<State>) -> Router {
    let for_pages = || map_response(cors::readable_by_pages);
    let session = get(data_channel).post(json_rpc).options(cors::preflight);
    Router::new()
        .route("/backtest", any(control_channel))
        .route("/backtest/{session_id}", session.layer(for_pages()))
        .route(
            "/available-ranges",
            get(ranges).options(cors::preflight).layer(for_pages()),
        )
        .route("/usage", get(admin::usage))
        .route("/health", get(admin::health))
        .route("/ready", get(admin::ready))
        .route("/metrics", get(admin::metrics))
        .fallback(no_endpoint)
        .with_state(state)
}

/// Who comes with the key in these headers, if it is one of ours.
pub(crate) fn owner(state: &State, headers: &HeaderMap) -> Option<Owner> {
    let bearer = || headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(BEARER);
    let key = headers.get(API_KEY).map(HeaderValue::as_bytes);
    state.keys.owner(key.or_else(bearer))
}

/// The answer to a key that is none of ours.
pub(crate) fn unknown_key(state: &State) -> Response {
    state.metrics.refused(Refusal::UnknownKey);
    (StatusCode::UNAUTHORIZED, "unknown API key: set the X-API-Key header\n").into_response()
}

async fn control_channel(
    Shared(state): Shared<Arc<State>>,
    Extension(traffic): Extension<Arc<Traffic>>,
    headers: HeaderMap,
    upgrade: Result<Upgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Some(owner) = owner(&state, &headers) else {
        return unknown_key(&state);
    };
    if owner == Owner::Anyone && cors::is_of_foreign_page(&headers) {
        return foreign_page(&state);
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return no_websocket(&rejection, "connect with a WebSocket, ws:// or wss://"),
    };
    if state.shutdown.is_cancelled() {
        return stopping(&state);
    }
    let meter = state.usage.meter(&owner);
    let Some(place) = meter.connection_place() else {
        return too_many(
            &state,
            Refusal::KeyConnections,
            "this API key has too many connections\n",
        );
    };
    traffic.belongs_to(&meter);
    meter.counters.control_connections.add(1);
    let open = (place, OpenConnection::new(&state.metrics, ConnectionKind::Control));
    let tasks = state.tasks.clone();
    let limits = SocketLimits {
        message_bytes: meter.limits().message_bytes,
        frame_bytes: state.limits.frame_bytes,
    };
    upgrade.serve(limits, move |socket| {
        tasks.track_future(async move {
            control::serve(socket, state, owner).await;
            drop(open);
        })
    })
}

async fn json_rpc(
    Shared(state): Shared<Arc<State>>,
    Extension(traffic): Extension<Arc<Traffic>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    // The body is read for a session that exists only.
    let session = match session(&state, &id).await {
        Ok(session) => session,
        Err(absent) => return not_here(&state, absent),
    };
    traffic.belongs_to(session.meter.key());
    let target = Target::new(session, &state);
    tokio::select! {
        answer = answer(&state, &target, request) => answer,
        () = state.shutdown.cancelled() => stopping(&state),
    }
}

async fn answer(state: &State, target: &Target, mut request: Request) -> Response {
    let max_body = target.session().meter.key().limits().message_bytes;
    DefaultBodyLimit::max(max_body).apply(&mut request);
    let body = match timeout(state.times.body_limit, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => {
            state.metrics.refused(Refusal::TooLarge);
            return rejection.into_response();
        }
        Err(_) => {
            state.metrics.refused(Refusal::Slow);
            return (StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n").into_response();
        }
    };
    match rpc::answer(target, &body).await {
        Some(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn data_channel(
    Shared(state): Shared<Arc<State>>,
    Extension(traffic): Extension<Arc<Traffic>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let channel = match channel(&state, &id).await {
        Ok(channel) => channel,
        Err(absent) => return not_here(&state, absent),
    };
    let upgrade = match Upgrade::from_request(request, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return no_websocket(&rejection, "POST JSON-RPC, or connect with a WebSocket for PubSub"),
    };
    if state.shutdown.is_cancelled() {
        return stopping(&state);
    }
    let meter = Arc::clone(&channel.key);
    let Some(place) = meter.connection_place() else {
        return too_many(
            &state,
            Refusal::KeyConnections,
            "this API key has too many connections\n",
        );
    };
    let Some(reader) = pubsub::Reader::new(&channel.data) else {
        let refusal = Refusal::SessionConnections;
        return too_many(&state, refusal, "this session has too many data connections\n");
    };
    traffic.belongs_to(&meter);
    meter.counters.data_connections.add(1);
    let open = (place, OpenConnection::new(&state.metrics, ConnectionKind::Data));
    let tasks = state.tasks.clone();
    let limits = SocketLimits {
        message_bytes: pubsub::MAX_REQUEST_BYTES,
        frame_bytes: state.limits.frame_bytes,
    };
    upgrade.serve(limits, move |socket| {
        tasks.track_future(async move {
            pubsub::serve(socket, channel, reader, state).await;
            drop(open);
        })
    })
}

async fn ranges(Shared(state): Shared<Arc<State>>) -> Json<Vec<AvailableRange>> {
    Json(available_ranges(&state.archives))
}

async fn channel(state: &State, id: &str) -> Result<Channel, Absent> {
    let id = id.parse::<SessionId>().map_err(|_| Absent::Unknown)?;
    state.channel(id).await
}

async fn session(state: &State, id: &str) -> Result<Arc<SessionHandle>, Absent> {
    let id = id.parse::<SessionId>().map_err(|_| Absent::Unknown)?;
    state.session(id).await
}

/// Somebody looks at an address of a WebSocket without one.
fn no_websocket(rejection: &WebSocketUpgradeRejection, advice: &str) -> Response {
    (rejection.status(), format!("{rejection}: {advice}\n")).into_response()
}

async fn no_endpoint() -> (StatusCode, &'static str) {
    let text = "no such endpoint: there are /backtest, /available-ranges, /usage, /health, /ready and /metrics\n";
    (StatusCode::NOT_FOUND, text)
}

/// No page that somebody happens to look at may use a server that is open to its machine.
fn foreign_page(state: &State) -> Response {
    state.metrics.refused(Refusal::ForeignPage);
    let text = "pages of other servers cannot make sessions here: use a key, and a program that is not a page\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn stopping(state: &State) -> Response {
    state.metrics.refused(Refusal::NotReady);
    (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n").into_response()
}

fn too_many(state: &State, refusal: Refusal, why: &'static str) -> Response {
    state.metrics.refused(refusal);
    (StatusCode::TOO_MANY_REQUESTS, why).into_response()
}

/// An unknown, an ended and a foreign session look the same from outside.
fn not_here(state: &State, absent: Absent) -> Response {
    let (refusal, status) = match absent {
        Absent::Unknown => (Refusal::UnknownSession, StatusCode::NOT_FOUND),
        Absent::Coming => (Refusal::NotReady, StatusCode::SERVICE_UNAVAILABLE),
    };
    state.metrics.refused(refusal);
    (status, format!("{absent}\n")).into_response()
}
