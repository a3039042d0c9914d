//! What a server says about a session that it has made.

use simulator_api::Capability;

/// What a server says about a session that it has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session's id. It is a secret: whoever knows it can read the session's data channel.
    pub session_id: String,
    /// The absolute address of its JSON-RPC; with `ws` for `http`, of its subscriptions.
    pub rpc_endpoint: String,
    /// What the server calls the process that runs the session, for its operators.
    pub task_id: Option<String>,
    /// The extensions of the protocol that the server speaks.
    pub capabilities: Vec<Capability>,
}
