//! What a session's scheduled actions led to.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use simulator_api::Cursor;

use super::account_state::{AccountState, AccountStateError};
use super::body::{Body, NO_SLOT, context_slot};
use super::notification::{Delivered, MalformedNotification};
use super::resume::Identities;
use super::scan::{Scanned, Scanner, Span};
use crate::managed::SubscriptionNotification;

/// A scheduled action ran at one of its places, or could not.
#[derive(Clone, Debug)]
pub struct ActionNotification(pub(super) Delivered<ActionBody>);

/// What became of an action at one of its places.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ActionResult {
    /// The slot that it was for.
    pub slot: u64,
    /// The batch of the transaction that its filter looked for; `None` with an anchor that has no filter.
    pub batch_index: Option<u64>,
    /// That transaction's place in its block, from 0.
    pub tx_index: Option<u64>,
    /// That transaction's first signature in base58, if the server says it.
    pub matched_signature: Option<String>,
    /// The action's place in the create, from 0.
    pub action_index: u64,
    /// The action's label.
    pub label: Option<String>,
    /// Whether any of its transactions is part of the slot now.
    pub committed: bool,
    /// One for each transaction that ran here, in order.
    #[serde(default)]
    pub transaction_outcomes: Vec<ActionOutcome>,
    /// Those of the accounts to return that the archive does not hold.
    #[serde(default)]
    pub unknown_accounts: Vec<String>,
    /// Why it did not run, if it did not.
    pub not_run: Option<String>,
    #[serde(default)]
    accounts: Vec<Option<Box<RawValue>>>,
}

/// What became of one transaction of an action.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ActionOutcome {
    /// Why it failed, as Solana shows it; `None` if it succeeded.
    pub err: Option<Value>,
    /// The lines of its log.
    #[serde(default)]
    pub logs: Vec<String>,
    /// Compute units that it took.
    pub units_consumed: u64,
    /// Its fee in lamports; `None` if it was not executed.
    pub fee: Option<u64>,
    /// What it returned, as Solana shows it.
    pub return_data: Option<Value>,
}

/// What a notification of an action has in its `result`.
#[derive(Clone, Debug, Default)]
pub(super) struct ActionBody {
    slot: Option<u64>,
    /// What tells it from others of the same slot.
    parts: [Option<Span>; 5],
}

impl ActionNotification {
    /// The slot in which it was told.
    pub fn slot(&self) -> u64 {
        self.0.slot
    }

    /// What became of the action.
    ///
    /// # Errors
    ///
    /// The decoder's error if the server sent something else.
    pub fn result(&self) -> Result<ActionResult, serde_json::Error> {
        serde_json::from_str(self.json())
    }

    /// The same as JSON text.
    pub fn json(&self) -> &str {
        self.0.result.of(self.0.text.as_str())
    }

    /// Where the notification stands in its stream, if the server says it.
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// Whether the notification can be read.
    ///
    /// # Errors
    ///
    /// [`MalformedNotification`] if it is not JSON, or its fields have values of other types.
    pub fn check(&self) -> Result<(), MalformedNotification> {
        self.0.check()
    }

    /// The whole message, as it came.
    pub fn raw(&self) -> &str {
        self.0.text.as_str()
    }

    /// Bytes that the notification holds.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }
}

impl ActionResult {
    /// The accounts to return, in the order of the action; `None` for one that does not exist, or is one of
    /// [`unknown_accounts`](Self::unknown_accounts).
    ///
    /// # Errors
    ///
    /// [`AccountStateError`] if one is no account in a binary encoding.
    pub fn accounts(&self) -> Result<Vec<Option<AccountState>>, AccountStateError> {
        let state = |account: &Option<Box<RawValue>>| account.as_ref().map(|json| AccountState::from_json(json.get()));
        self.accounts.iter().map(|account| state(account).transpose()).collect()
    }
}

impl Body for ActionBody {
    const METHOD: &'static str = "actionNotification";
    const READ_LATER: bool = false;

    fn field(&mut self, scanner: &mut Scanner<'_>, key: &[u8]) -> Scanned<()> {
        match key {
            b"context" => self.slot = context_slot(scanner)?,
            b"slot" => self.parts[0] = scanner.optional(Scanner::value)?,
            b"actionIndex" => self.parts[1] = scanner.optional(Scanner::value)?,
            b"batchIndex" => self.parts[2] = scanner.optional(Scanner::value)?,
            b"txIndex" => self.parts[3] = scanner.optional(Scanner::value)?,
            b"transactionOutcomes" => self.parts[4] = scanner.optional(Scanner::value)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    }

    fn slot(&self) -> Scanned<u64> {
        self.slot.ok_or(NO_SLOT)
    }

    /// Optional parts may still come.
    fn is_identified(&self) -> bool {
        false
    }

    /// By its place and what it led to: an action may be there twice for one slot.
    fn identify(&self, text: &str, identities: &mut Identities) {
        for part in self.parts {
            identities.part(part.map(|span| span.of(text)));
        }
    }

    fn deliver(delivered: Delivered<Self>) -> SubscriptionNotification {
        SubscriptionNotification::Action(ActionNotification(delivered))
    }
}
