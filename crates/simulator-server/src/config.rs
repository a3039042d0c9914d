//! What an operator chooses: where to listen, what to serve, and every limit with its default.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::keys::ApiKey;
use crate::net::TlsFiles;
use crate::pubsub::{DataLimits, DataPool};
use crate::usage::OwnLimits;

/// Everything a server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Archives to serve: paths or URLs of archives that were imported.
    pub archives: Vec<String>,
    /// Keys that a client may come with. With none at all, any key and no key is accepted: listen on loopback only
    /// then ([`ServerConfig::is_open_to_others`]).
    pub keys: Vec<ApiKey>,
    /// The certificate to serve with; without one, connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// Where the server keeps what is to outlive its process, sessions above all; with none, nothing does.
    pub state_dir: Option<PathBuf>,
    /// Sizes and numbers.
    pub limits: Limits,
    /// Times.
    pub times: Times,
}

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once; a create above it waits for its `capacityWaitTimeoutSecs`.
    pub sessions: usize,
    /// Sessions of one key at once, where the key does not say.
    pub key_sessions: usize,
    /// Connections at once. When there are so many, those without a request give way, the oldest first.
    pub connections: usize,
    /// WebSocket connections of one key at once, control channels and PubSub together, where the key does not say.
    pub key_connections: usize,
    /// Largest WebSocket frame that is read, in bytes.
    pub frame_bytes: usize,
    /// Largest WebSocket message and HTTP body that is read, in bytes.
    pub message_bytes: usize,
    /// JSON-RPC calls in one batch.
    pub rpc_batch: usize,
    /// Commands and reads that wait for a session's engine; further ones wait at the network.
    pub inbox: usize,
    /// Events that a session may have emitted and its client not yet got; the replay pauses above it. With or without a
    /// connection: a session goes on alone as far as this.
    pub unread_events: usize,
    /// Events that a session keeps, those that its client got included, for one that comes back with an older cursor.
    pub retained_events: usize,
    /// The same in bytes: a session that has more of them unread pauses, and forgets the oldest that were read.
    pub event_bytes: usize,
    /// Outcome records that a session may keep unread, in bytes; the replay pauses above it.
    pub outcome_bytes: usize,
    /// Outcome records in one `getReplayOutcomes` answer and account data in one `getReplayAccounts` answer, in bytes;
    /// at least one record or account is always sent.
    pub answer_bytes: usize,
    /// Account data and outcome records in all answers to one HTTP request, a batch as well as a single call, in bytes
    /// before encoding; further calls of the request fail. One account or page is always sent.
    pub request_answer_bytes: usize,
    /// Recent transactions that a session keeps for `getTransaction`, in bytes, about.
    pub history_bytes: usize,
    /// Transactions and account changes that a session keeps for its subscribers, in bytes, about; the replay pauses
    /// when one of them has not been sent so much. The user's transactions in one slot may not take more either.
    pub data_bytes: usize,
    /// The same for all sessions together. When they have more, each may keep an equal share of it only; what somebody
    /// still reads, and the newest slot of each session, is kept beyond that.
    pub all_data_bytes: usize,
    /// Notifications that a session keeps ready for the next subscriber to the same, in bytes.
    pub data_cache_bytes: usize,
    /// PubSub connections of one session.
    pub data_connections: usize,
    /// Subscriptions on one PubSub connection.
    pub subscriptions: usize,
    /// Large answers and notifications that are written at a time, for all sessions.
    pub encoders: usize,
    /// Commands that a session keeps, in bytes, about; further changing commands are refused.
    pub command_log_bytes: usize,
    /// Account states of archives that are kept in memory while no session uses them.
    pub idle_account_bases: usize,
    /// Blocks that are read and decoded ahead of a session.
    pub blocks_ahead: usize,
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// For the head of a request, once its first byte is there, and for the first request of a connection with all that
    /// comes before it, such as the TLS handshake.
    pub head_limit: Duration,
    /// How long an HTTP connection may lie without a byte in either direction, between two requests or while an answer is
    /// sent.
    pub idle_limit: Duration,
    /// For the body of a request.
    pub body_limit: Duration,
    /// Between two looks after what grows: what was used is written down then.
    pub housekeeping: Duration,
    /// Between two `startingRuntime` statuses while a session starts.
    pub status_interval: Duration,
    /// Between two WebSocket pings on a control connection.
    pub ping_interval: Duration,
    /// A control connection on which nothing arrived for so long is dead. Generous, because a client that is busy
    /// with its own work, or whose user thinks, neither reads nor answers pings.
    pub silence_limit: Duration,
    /// How long a control connection has to answer a ping when another one asks for its session.
    pub probe_limit: Duration,
    /// How long a client that has attached a session is sent nothing while it neither resumes nor asks for anything.
    pub resume_grace: Duration,
    /// How long a client that has every event may ask for nothing after a resume, until it is told anew that the session
    /// waits for it.
    pub reminder_delay: Duration,
    /// How long one message may take to be written.
    pub write_limit: Duration,
    /// How long a closing handshake, and the whole shutdown, may take.
    pub close_limit: Duration,
    /// How long after a subscribe nothing is told on its connection, so that a client can subscribe to more first:
    /// those of the older generation lose what arrives in between.
    pub subscribe_pause: Duration,
    /// How long `completed` waits until every PubSub connection has been sent everything.
    pub completed_hold: Duration,
    /// How long what a PubSub connection had not been sent is kept when it is lost without a close frame, so that its
    /// client finds it when it comes back. The replay waits for it as for a slow reader.
    pub data_grace: Duration,
    /// How long a PubSub connection outlives its session, so that everything can be sent.
    pub data_drain: Duration,
    /// How long a session outlives its control connection where the create does not say.
    pub default_disconnect: Duration,
    /// The same for the sessions of a parallel create, each of which a client may first have to attach by itself.
    pub default_parallel_disconnect: Duration,
    /// The longest `disconnectTimeoutSecs`; a longer one is shortened to it.
    pub max_disconnect: Duration,
    /// How often the server looks in its state directory for sessions of servers that have gone, and says that it lives.
    pub adoption: Duration,
    /// The longest `waitMillis` of `getReplayOutcomes`; a longer one is shortened to it.
    pub max_outcome_wait: Duration,
    /// How long a JSON-RPC call waits for the engine.
    pub rpc_limit: Duration,
}

impl ServerConfig {
    /// Serves these archives on any free port of the loopback interface, without keys, with the default limits.
    #[must_use]
    pub fn local(archives: Vec<String>) -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            archives,
            keys: Vec::new(),
            tls: None,
            state_dir: None,
            limits: Limits::default(),
            times: Times::default(),
        }
    }

    /// Whether anyone who reaches the address may use the server although it is not the own machine's alone. A caller
    /// that starts a server should refuse that.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        self.keys.is_empty() && !self.listen.ip().is_loopback()
    }
}

impl Limits {
    pub(crate) fn data(&self) -> DataLimits {
        DataLimits {
            log_bytes: self.data_bytes,
            cache_bytes: self.data_cache_bytes,
            connections: self.data_connections,
        }
    }

    /// What the data of all sessions is counted against.
    pub(crate) fn data_pool(&self) -> Arc<DataPool> {
        DataPool::new(self.all_data_bytes)
    }

    /// What a key may have that does not say.
    pub(crate) fn of_keys(&self) -> OwnLimits {
        OwnLimits {
            sessions: self.key_sessions,
            connections: self.key_connections,
            message_bytes: self.message_bytes,
        }
    }
}

const MIB: usize = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 32,
            key_sessions: 32,
            connections: 1024,
            key_connections: 512,
            frame_bytes: 16 * MIB,
            message_bytes: 64 * MIB,
            rpc_batch: 100,
            inbox: 64,
            unread_events: 1024,
            retained_events: 8192,
            event_bytes: 64 * MIB,
            outcome_bytes: 64 * MIB,
            answer_bytes: 16 * MIB,
            request_answer_bytes: 64 * MIB,
            history_bytes: 32 * MIB,
            data_bytes: 256 * MIB,
            all_data_bytes: 1024 * MIB,
            data_cache_bytes: 16 * MIB,
            data_connections: 64,
            subscriptions: 256,
            encoders: 4,
            command_log_bytes: 256 * MIB,
            idle_account_bases: 2,
            blocks_ahead: 4,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head_limit: Duration::from_secs(10),
            idle_limit: Duration::from_secs(75),
            body_limit: Duration::from_secs(120),
            housekeeping: Duration::from_secs(5),
            status_interval: Duration::from_secs(15),
            ping_interval: Duration::from_secs(15),
            silence_limit: Duration::from_secs(900),
            probe_limit: Duration::from_secs(2),
            resume_grace: Duration::from_secs(5),
            reminder_delay: Duration::from_secs(3),
            write_limit: Duration::from_secs(300),
            close_limit: Duration::from_secs(5),
            subscribe_pause: Duration::from_millis(100),
            completed_hold: Duration::from_secs(60),
            data_grace: Duration::from_secs(15),
            data_drain: Duration::from_secs(120),
            default_disconnect: Duration::from_secs(30),
            default_parallel_disconnect: Duration::from_secs(360),
            max_disconnect: Duration::from_secs(900),
            adoption: Duration::from_secs(1),
            max_outcome_wait: Duration::from_secs(30),
            rpc_limit: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_together() {
        let (limits, times) = (Limits::default(), Times::default());
        assert!(limits.frame_bytes <= limits.message_bytes);
        assert!(limits.answer_bytes <= limits.outcome_bytes);
        assert!(limits.answer_bytes <= limits.request_answer_bytes);
        assert!(limits.unread_events <= limits.retained_events);
        assert!(times.ping_interval < times.silence_limit);
        assert!(times.default_disconnect <= times.default_parallel_disconnect);
        assert!(times.default_parallel_disconnect <= times.max_disconnect);
        assert!(limits.data_cache_bytes <= limits.data_bytes && limits.data_bytes <= limits.all_data_bytes);
        assert!(limits.key_sessions <= limits.sessions && limits.key_connections <= limits.connections);
        assert!(
            2 * limits.key_sessions <= limits.key_connections,
            "a session has two connections at least"
        );
        assert!(
            times.head_limit < times.idle_limit,
            "proxies keep connections for a minute"
        );
        assert!(times.data_grace < times.completed_hold);
        assert!(times.completed_hold <= times.data_drain);
        assert!(times.max_outcome_wait < times.rpc_limit);
        assert!(times.probe_limit + times.resume_grace < times.default_disconnect);
        assert!(
            times.status_interval < Duration::from_secs(120),
            "clients give up after 120 s of silence"
        );
    }

    #[test]
    fn is_open_to_others_only_without_keys_off_loopback() {
        let mut config = ServerConfig::local(Vec::new());
        assert!(!config.is_open_to_others());
        config.listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        assert!(config.is_open_to_others());
        config.keys = vec![ApiKey::new("desk", "secret")];
        assert!(!config.is_open_to_others());
    }
}
