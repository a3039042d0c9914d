//! The actions of a create.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::sync::Arc;

use simulator_api::{
    AccountModifications, ActionAnchor, ActionKind, BacktestError, CreateSessionParams, DecodeError, DiscoveryFilter,
    ScheduledAction, UnpackBudget,
};
use simulator_archive::model::Slot;
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_status::TransactionBinaryEncoding;
use thiserror::Error;

use super::account::modifications;
use super::create::{MAX_DISCOVERY_ADDRESSES, addresses};
use super::transaction::{TransactionTextError, transaction_from_text};
use crate::actions::{Action, Anchor, Edge, Kind};

/// Most actions of a session.
const MAX_ACTIONS: usize = 1024;
/// Most bytes of JSON that everything packed in the actions of a session holds, transactions and slots included.
const MAX_UNPACKED_BYTES: usize = 32 << 20;
/// Most transactions in all actions of a session.
const MAX_TRANSACTIONS: usize = 65_536;
/// Most of them in actions that run again and again: at every n-th block, or at every match.
const MAX_RECURRING_TRANSACTIONS: usize = 256;
/// Most accounts that one action shows.
const MAX_SHOWN_ACCOUNTS: usize = 64;
/// Longest label, in bytes.
const MAX_LABEL_BYTES: usize = 256;

/// What is wrong with the actions of a create. The text names the action and the field.
#[derive(Debug, Error)]
enum ActionsError {
    #[error(transparent)]
    List(DecodeError),
    #[error("actions: there are {count}, of which there may be {MAX_ACTIONS}")]
    TooMany { count: usize },
    #[error("actions[{action}].{source}")]
    Action { action: usize, source: ActionError },
}

/// What is wrong with an action.
#[derive(Debug, Error)]
enum ActionError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{field}: not supported by this server")]
    Unsupported { field: &'static str },
    #[error("anchor.everyNSlots: has to be at least 1")]
    NeverDue,
    #[error("anchor.slots[{index}]: slot {slot} is not in the session's range, {start} to {end}")]
    ForeignSlot {
        index: usize,
        slot: Slot,
        start: Slot,
        end: Slot,
    },
    #[error(
        "anchor.filter: names {addresses} addresses with the filters before it, of which there may be {MAX_DISCOVERY_ADDRESSES}"
    )]
    TooManyAddresses { addresses: usize },
    #[error("transactions: there is none")]
    NoTransaction,
    #[error("transactions: there are {transactions} for {slots} slots; each slot has one")]
    NotOneForEachSlot { transactions: usize, slots: usize },
    #[error("transactions: together with the actions before it more than {max}{what}")]
    TooManyTransactions { max: usize, what: &'static str },
    #[error("transactions[{index}]: {source}")]
    Transaction { index: usize, source: TransactionTextError },
    #[error("accountOverrides: {source}")]
    Override { source: Box<BacktestError> },
    #[error("returnAccounts: there are {count}, of which there may be {MAX_SHOWN_ACCOUNTS}")]
    TooManyShown { count: usize },
    #[error("label: longer than {MAX_LABEL_BYTES} bytes")]
    LongLabel,
}

/// What the actions of a create may still take.
struct Reader {
    range: RangeInclusive<Slot>,
    budget: UnpackBudget,
    transactions: usize,
    recurring: usize,
    addresses: usize,
}

/// Reads the actions of a create, which may name these slots.
///
/// # Errors
/// `invalidRequest` that names the action and the field.
pub(super) fn actions(
    params: &CreateSessionParams,
    slots: RangeInclusive<Slot>,
) -> Result<Arc<[Action]>, BacktestError> {
    let Some(packed) = &params.actions else {
        return Ok(Arc::default());
    };
    let mut reader = Reader {
        range: slots,
        budget: UnpackBudget::new(MAX_UNPACKED_BYTES),
        transactions: 0,
        recurring: 0,
        addresses: 0,
    };
    reader.list(packed).map_err(|error| BacktestError::InvalidRequest {
        error: error.to_string(),
    })
}

impl Reader {
    fn list(&mut self, packed: &str) -> Result<Arc<[Action]>, ActionsError> {
        let list = ScheduledAction::unpack_all(packed, &mut self.budget).map_err(ActionsError::List)?;
        if list.len() > MAX_ACTIONS {
            return Err(ActionsError::TooMany { count: list.len() });
        }
        let read = |(action, scheduled)| {
            self.action(scheduled)
                .map_err(|source| ActionsError::Action { action, source })
        };
        list.into_iter().enumerate().map(read).collect()
    }

    fn action(&mut self, scheduled: ScheduledAction) -> Result<Action, ActionError> {
        refuse_unsupported(&scheduled)?;
        let anchor = self.anchor(&scheduled)?;
        let transactions = self.transactions(&scheduled, &anchor)?;
        let overrides = overrides(scheduled.account_overrides)?;
        if scheduled.return_accounts.len() > MAX_SHOWN_ACCOUNTS {
            return Err(ActionError::TooManyShown {
                count: scheduled.return_accounts.len(),
            });
        }
        if scheduled
            .label
            .as_ref()
            .is_some_and(|label| label.len() > MAX_LABEL_BYTES)
        {
            return Err(ActionError::LongLabel);
        }
        Ok(Action {
            anchor,
            kind: match scheduled.kind {
                ActionKind::Simulate => Kind::Simulate,
                ActionKind::Send => Kind::Send,
            },
            transactions,
            overrides,
            shown: scheduled.return_accounts,
            label: scheduled.label.map(Into::into),
        })
    }

    fn anchor(&mut self, scheduled: &ScheduledAction) -> Result<Anchor, ActionError> {
        let edge = edge(&scheduled.anchor);
        match &scheduled.anchor {
            ActionAnchor::BeforeSlot { .. } | ActionAnchor::AfterSlot { .. } => {
                let slots = scheduled.anchor.unpack_slots(&mut self.budget)?.unwrap_or_default();
                self.check_slots(&slots)?;
                Ok(Anchor::Slots(edge, slots))
            }
            ActionAnchor::BeforeEverySlot { every_n_slots } | ActionAnchor::AfterEverySlot { every_n_slots } => {
                let every = NonZeroU64::new(*every_n_slots).ok_or(ActionError::NeverDue)?;
                Ok(Anchor::Every(edge, every))
            }
            ActionAnchor::BeforeMatch { filter } | ActionAnchor::AfterMatch { filter } => {
                self.count_addresses(filter)?;
                Ok(Anchor::Match(edge, filter.clone()))
            }
        }
    }

    fn check_slots(&self, slots: &[Slot]) -> Result<(), ActionError> {
        let foreign = slots.iter().enumerate().find(|(_, slot)| !self.range.contains(slot));
        foreign.map_or(Ok(()), |(index, slot)| {
            Err(ActionError::ForeignSlot {
                index,
                slot: *slot,
                start: *self.range.start(),
                end: *self.range.end(),
            })
        })
    }

    fn count_addresses(&mut self, filter: &DiscoveryFilter) -> Result<(), ActionError> {
        self.addresses += addresses(filter);
        if self.addresses > MAX_DISCOVERY_ADDRESSES {
            return Err(ActionError::TooManyAddresses {
                addresses: self.addresses,
            });
        }
        Ok(())
    }

    fn transactions(
        &mut self,
        scheduled: &ScheduledAction,
        anchor: &Anchor,
    ) -> Result<Vec<VersionedTransaction>, ActionError> {
        let texts = scheduled.unpack_transactions(&mut self.budget)?;
        if texts.is_empty() {
            return Err(ActionError::NoTransaction);
        }
        self.count_transactions(texts.len(), anchor)?;
        let read = |(index, text): (usize, &String)| {
            transaction_from_text(text, TransactionBinaryEncoding::Base64)
                .map_err(|source| ActionError::Transaction { index, source })
        };
        texts.iter().enumerate().map(read).collect()
    }

    fn count_transactions(&mut self, transactions: usize, anchor: &Anchor) -> Result<(), ActionError> {
        self.transactions += transactions;
        match anchor {
            Anchor::Slots(_, slots) if slots.len() != transactions => {
                return Err(ActionError::NotOneForEachSlot {
                    transactions,
                    slots: slots.len(),
                });
            }
            Anchor::Slots(..) => {}
            Anchor::Every(..) | Anchor::Match(..) => self.recurring += transactions,
        }
        let limits = [
            (self.transactions, MAX_TRANSACTIONS, ""),
            (self.recurring, MAX_RECURRING_TRANSACTIONS, " that run more than once"),
        ];
        let exceeded = limits.into_iter().find(|(count, max, _)| count > max);
        exceeded.map_or(Ok(()), |(_, max, what)| {
            Err(ActionError::TooManyTransactions { max, what })
        })
    }
}

/// To ignore one of these would give other results than were asked for.
fn refuse_unsupported(scheduled: &ScheduledAction) -> Result<(), ActionError> {
    if scheduled.feeds_reroute {
        return Err(ActionError::Unsupported { field: "feedsReroute" });
    }
    if scheduled.resolve.is_some() {
        return Err(ActionError::Unsupported { field: "resolve" });
    }
    Ok(())
}

fn edge(anchor: &ActionAnchor) -> Edge {
    match anchor {
        ActionAnchor::BeforeSlot { .. } | ActionAnchor::BeforeEverySlot { .. } | ActionAnchor::BeforeMatch { .. } => {
            Edge::Before
        }
        ActionAnchor::AfterSlot { .. } | ActionAnchor::AfterEverySlot { .. } | ActionAnchor::AfterMatch { .. } => {
            Edge::After
        }
    }
}

fn overrides(accounts: AccountModifications) -> Result<Vec<(Pubkey, AccountSharedData)>, ActionError> {
    modifications(accounts).map_err(|error| ActionError::Override {
        source: Box::new(error),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use simulator_api::EncodedBinary;
    use solana_message::VersionedMessage;

    use super::*;

    const SLOTS: RangeInclusive<Slot> = 10..=20;

    /// A transaction that decodes, whatever else is wrong with it.
    fn wire() -> String {
        let transaction = VersionedTransaction {
            signatures: vec![solana_signature::Signature::default()],
            message: VersionedMessage::default(),
        };
        let wire = wincode::serialize(&transaction).unwrap();
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, wire)
    }

    /// An action in JSON, in which some fields are changed.
    fn action(change: impl FnOnce(&mut Value)) -> Value {
        let simulate = ScheduledAction::simulate(ActionAnchor::after_slots(&[12]), &[wire()]);
        let mut action = serde_json::to_value(&simulate).unwrap();
        change(&mut action);
        action
    }

    fn read_packed(packed: String) -> Result<Arc<[Action]>, String> {
        let params = CreateSessionParams {
            start_slot: *SLOTS.start(),
            end_slot: *SLOTS.end(),
            actions: Some(packed),
            ..CreateSessionParams::default()
        };
        actions(&params, params.start_slot..=params.end_slot).map_err(|error| match error {
            BacktestError::InvalidRequest { error } => error,
            other => panic!("{other:?}"),
        })
    }

    fn read(list: &[Value]) -> Result<Arc<[Action]>, String> {
        read_packed(packed(&json!(list)))
    }

    fn packed(value: &Value) -> String {
        let compressed = zstd::encode_all(value.to_string().as_bytes(), 0).unwrap();
        EncodedBinary::from_bytes(&compressed, simulator_api::BinaryEncoding::Base64).data
    }

    /// What is wrong with an action that comes behind a good one.
    #[track_caller]
    fn refused(change: impl FnOnce(&mut Value)) -> String {
        read(&[action(|_| {}), action(change)]).unwrap_err()
    }

    #[test]
    fn reads_every_anchor_and_kind() {
        let filter = json!({"kind": "programExecuted", "value": Pubkey::default().to_string()});
        let anchors = [
            (json!({"at": "beforeSlot", "slots": packed(&json!([10]))}), Edge::Before),
            (json!({"at": "afterSlot", "slots": packed(&json!([20]))}), Edge::After),
            (json!({"at": "beforeEverySlot"}), Edge::Before),
            (json!({"at": "afterEverySlot", "everyNSlots": 7}), Edge::After),
            (json!({"at": "beforeMatch", "filter": filter}), Edge::Before),
            (json!({"at": "afterMatch", "filter": filter}), Edge::After),
        ];
        for (anchor, edge) in anchors {
            let scheduled = action(|action| {
                action["anchor"] = anchor.clone();
                action["kind"] = json!("send");
                action["label"] = json!("probe");
            });
            let read = read(&[scheduled]).unwrap();
            assert_eq!((read[0].kind, read[0].label.as_deref()), (Kind::Send, Some("probe")));
            let (Anchor::Slots(found, _) | Anchor::Every(found, _) | Anchor::Match(found, _)) = &read[0].anchor;
            assert_eq!(*found, edge, "{anchor}");
        }
        assert_eq!(read(&[action(|_| {})]).unwrap()[0].kind, Kind::Simulate);
        assert!(read(&[]).unwrap().is_empty());
    }

    /// A field of an action, a value that it cannot have, and how the error begins behind the action's name.
    fn wrong_values() -> Vec<(&'static str, Value, &'static str)> {
        let texts = |texts: &[&str]| json!(packed(&json!(texts)));
        let after = |slots: Value| json!({"at": "afterSlot", "slots": slots});
        vec![
            (
                "anchor",
                json!({"at": "someday"}),
                r#"anchor.at: expected the name of an anchor, got "someday""#,
            ),
            (
                "anchor",
                json!({"at": "beforeEverySlot", "everyNSlots": 0}),
                "anchor.everyNSlots: expected an integer of at least 1",
            ),
            ("anchor", after(json!("%")), "anchor.slots: not valid base64"),
            (
                "anchor",
                after(texts(&["x"])),
                "anchor.slots[0]: expected an unsigned 64-bit integer",
            ),
            (
                "anchor",
                after(json!(packed(&json!([21])))),
                "anchor.slots[0]: slot 21 is not in the session's range, 10 to 20",
            ),
            (
                "anchor",
                after(json!(packed(&json!([12, 13])))),
                "transactions: there are 1 for 2 slots; each slot has one",
            ),
            (
                "kind",
                json!("maybe"),
                r#"kind: expected "simulate" or "send", got "maybe""#,
            ),
            ("transactions", json!("KLUv"), "transactions: not valid zstd"),
            ("transactions", texts(&[]), "transactions: there is none"),
            (
                "transactions",
                texts(&["AAAA"]),
                "transactions[0]: failed to deserialize transaction",
            ),
            (
                "feedsReroute",
                json!(true),
                "feedsReroute: not supported by this server",
            ),
            (
                "resolve",
                json!({"type": "quoteStamp"}),
                "resolve: not supported by this server",
            ),
        ]
    }

    #[test]
    fn names_the_action_and_the_field() {
        for (field, value, expected) in wrong_values() {
            let error = refused(|action| action[field] = value);
            assert!(error.starts_with(&format!("actions[1].{expected}")), "{error}");
        }
        assert!(
            read_packed("x".into())
                .unwrap_err()
                .starts_with("actions: not valid base64")
        );
        let error = read_packed(packed(&json!({}))).unwrap_err();
        assert_eq!(error, "actions: expected an array, got an object");
        let account = json!({"data": {"data": "%", "encoding": "base64"}, "executable": false, "lamports": 1,
                             "owner": Pubkey::default().to_string(), "space": 0});
        let error = refused(|action| action["accountOverrides"] = json!({Pubkey::default().to_string(): account}));
        assert!(error.starts_with("actions[1].accountOverrides: "), "{error}");
    }

    #[test]
    fn keeps_to_its_limits() {
        let error = read(&vec![action(|_| {}); MAX_ACTIONS + 1]).unwrap_err();
        assert_eq!(error, "actions: there are 1025, of which there may be 1024");
        assert!(read(&vec![action(|_| {}); MAX_ACTIONS]).is_ok());
        let error = refused(|action| action["label"] = json!("x".repeat(257)));
        assert_eq!(error, "actions[1].label: longer than 256 bytes");
        let error = refused(|action| action["returnAccounts"] = json!(vec![Pubkey::default().to_string(); 65]));
        assert_eq!(
            error,
            "actions[1].returnAccounts: there are 65, of which there may be 64"
        );
        let recurring = |action: &mut Value| {
            action["anchor"] = json!({"at": "afterEverySlot"});
            action["transactions"] = json!(packed(&json!(vec![wire(); 200])));
        };
        assert!(read(&[action(recurring)]).is_ok());
        let error = read(&[action(recurring), action(recurring)]).unwrap_err();
        assert_eq!(
            error,
            "actions[1].transactions: together with the actions before it more than 256 that run more than once"
        );
        let bomb = packed(&json!("0".repeat(MAX_UNPACKED_BYTES)));
        assert!(bomb.len() < 10_000);
        let error = refused(|action| action["transactions"] = json!(bomb));
        assert!(
            error.starts_with("actions[1].transactions: more than 33554432 bytes"),
            "{error}"
        );
    }
}
