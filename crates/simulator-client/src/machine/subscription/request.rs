//! The requests that open subscriptions, and what a server says against them.

use serde_json::{Value, json};
use simulator_api::{AddressType, Compression, SubscribeOptions};

use super::SubscriptionKind;
use super::resume::Resume;
use crate::rpc::RpcError;
use crate::transport::SharedText;

/// What one subscription asks for.
#[derive(Debug)]
pub(super) struct SubscribeRequest<'a> {
    /// The number of the request on its connection.
    pub(super) id: u64,
    /// What is subscribed to.
    pub(super) kind: SubscriptionKind,
    /// The address.
    pub(super) target: &'a str,
    /// Where the stream begins.
    pub(super) resume: Resume,
    /// How notifications are to travel.
    pub(super) compression: Option<Compression>,
}

impl SubscribeRequest<'_> {
    /// The request as text.
    pub(super) fn to_text(&self) -> SharedText {
        let request = json!({"jsonrpc": "2.0", "id": self.id, "method": self.method(), "params": self.params()});
        request.to_string().into()
    }

    fn method(&self) -> &'static str {
        match self.kind {
            SubscriptionKind::Transactions => "transactionSubscribe",
            SubscriptionKind::ProgramAccountDiffs | SubscriptionKind::AccountDiffs => "accountDiffSubscribe",
            SubscriptionKind::Logs => "logsSubscribe",
            SubscriptionKind::Actions => "actionSubscribe",
        }
    }

    fn params(&self) -> Value {
        let options = self.options();
        match self.kind {
            SubscriptionKind::Transactions | SubscriptionKind::Logs => {
                json!([{"mentions": [self.target]}, options])
            }
            SubscriptionKind::Actions => json!([null, options]),
            SubscriptionKind::AccountDiffs if options == SubscribeOptions::default() => json!([self.target]),
            SubscriptionKind::ProgramAccountDiffs | SubscriptionKind::AccountDiffs => json!([self.target, options]),
        }
    }

    fn options(&self) -> SubscribeOptions {
        let options = self.position();
        match self.kind {
            SubscriptionKind::Transactions | SubscriptionKind::Logs => SubscribeOptions {
                commitment: Some("confirmed".into()),
                ..options
            },
            SubscriptionKind::ProgramAccountDiffs => SubscribeOptions {
                address_type: Some(AddressType::Program),
                ..options
            },
            SubscriptionKind::AccountDiffs | SubscriptionKind::Actions => options,
        }
    }

    fn position(&self) -> SubscribeOptions {
        let mut options = SubscribeOptions {
            compression: self.compression,
            ..SubscribeOptions::default()
        };
        match self.resume {
            Resume::Beginning => {}
            Resume::From(slot) => options.replay_from_slot = Some(i64::try_from(slot).unwrap_or(i64::MAX)),
            Resume::After(cursor) => options.replay_after = Some(cursor),
        }
        options
    }
}

/// What is wrong, from the error object of an answer.
pub(super) fn refusal(error: &str) -> RpcError {
    serde_json::from_str(error).unwrap_or_else(|_| RpcError {
        code: 0,
        message: error.to_owned(),
        data: None,
    })
}

/// Whether a subscription that was refused with this code may be granted later. All other codes say that the request
/// is wrong, or that the server does not have what it asks for.
pub(crate) fn is_transient_refusal(code: i64) -> bool {
    TRANSIENT_CODES.contains(&code)
}

/// Solana's codes for "block not available yet", "node is behind", "block status not yet available" and "minimum
/// context slot not reached"; then what gateways make of HTTP's "too many requests", "bad gateway", "unavailable"
/// and "gateway timeout".
const TRANSIENT_CODES: [i64; 9] = [-32004, -32005, -32014, -32016, -32429, 429, 502, 503, 504];
