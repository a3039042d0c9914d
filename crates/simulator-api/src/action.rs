//! Scheduled actions of a session (0.28).
//!
//! They travel as one text in [`CreateSessionParams::actions`](crate::CreateSessionParams::actions): base64 of zstd of
//! a JSON array of these.

use serde::Serialize;
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, Fields, deserialize_by_decoding, unexpected, unexpected_name};
use crate::packed::{pack, unpack};
use crate::{AccountModifications, DecodeError, DiscoveryFilter, UnpackBudget, address};

/// Transactions to run at certain points of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledAction {
    /// When to run them.
    pub anchor: ActionAnchor,
    /// What to do with them.
    pub kind: ActionKind,
    /// The transactions: base64 of zstd of a JSON array of base64 texts. With an anchor that lists slots, the
    /// transaction at an index belongs to the slot at that index.
    pub transactions: String,
    /// Accounts to replace for these transactions only.
    pub account_overrides: AccountModifications,
    /// Whether their results feed the rerouting.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub feeds_reroute: bool,
    /// Accounts whose state should be returned.
    #[serde(with = "address::list")]
    pub return_accounts: Vec<Address>,
    /// A name to recognise the results by.
    pub label: Option<String>,
    /// How to fill in what the transactions leave open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolve: Option<ResolveRule>,
}

/// When an action runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "at", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ActionAnchor {
    /// Before these slots.
    BeforeSlot {
        /// Base64 of zstd of a JSON array of slots.
        slots: String,
    },
    /// After these slots.
    AfterSlot {
        /// Base64 of zstd of a JSON array of slots.
        slots: String,
    },
    /// Before every n-th slot.
    BeforeEverySlot {
        /// The n, at least 1.
        every_n_slots: u64,
    },
    /// After every n-th slot.
    AfterEverySlot {
        /// The n, at least 1.
        every_n_slots: u64,
    },
    /// Before each transaction that a filter looks for.
    BeforeMatch {
        /// The filter.
        filter: DiscoveryFilter,
    },
    /// After each transaction that a filter looks for.
    AfterMatch {
        /// The filter.
        filter: DiscoveryFilter,
    },
}

/// What an action does with its transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionKind {
    /// Executes them without effect.
    #[default]
    Simulate,
    /// Executes them in the slot.
    Send,
}

/// How to fill in what an action's transactions leave open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ResolveRule {
    /// The arrays of a liquidity pool that the swap crosses.
    LiquidityArrays {
        /// The pool.
        #[serde(with = "address::one")]
        pool: Address,
        /// The mint that goes in.
        #[serde(with = "address::one")]
        input_mint: Address,
        /// Which account keys to fill in.
        array_key_indices: Vec<u16>,
    },
    /// The stamp of a quote.
    QuoteStamp,
}

impl ScheduledAction {
    /// Transactions that are simulated: base64 of Solana's wire encoding, each. With an anchor that lists slots, one for
    /// each slot.
    pub fn simulate(anchor: ActionAnchor, transactions: &[impl AsRef<str>]) -> Self {
        Self::new(ActionKind::Simulate, anchor, transactions)
    }

    /// Transactions that are sent; otherwise as [`ScheduledAction::simulate`].
    pub fn send(anchor: ActionAnchor, transactions: &[impl AsRef<str>]) -> Self {
        Self::new(ActionKind::Send, anchor, transactions)
    }

    fn new(kind: ActionKind, anchor: ActionAnchor, transactions: &[impl AsRef<str>]) -> Self {
        let transactions: Vec<&str> = transactions.iter().map(AsRef::as_ref).collect();
        Self {
            anchor,
            kind,
            transactions: pack(&transactions),
            account_overrides: AccountModifications::default(),
            feeds_reroute: false,
            return_accounts: Vec::new(),
            label: None,
            resolve: None,
        }
    }

    /// The actions as they travel in [`CreateSessionParams::actions`](crate::CreateSessionParams::actions).
    pub fn pack_all(actions: &[Self]) -> String {
        pack(actions)
    }

    /// Reads actions as they travel. What they hold packed stays so.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] with a path that begins with `actions`.
    pub fn unpack_all(packed: &str, budget: &mut UnpackBudget) -> Result<Vec<Self>, DecodeError> {
        unpack(packed, budget).map_err(|error| error.within("actions"))
    }

    /// The transactions, each as base64.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] with a path that begins with `transactions`.
    pub fn unpack_transactions(&self, budget: &mut UnpackBudget) -> Result<Vec<String>, DecodeError> {
        unpack(&self.transactions, budget).map_err(|error| error.within("transactions"))
    }
}

impl ActionAnchor {
    /// Before these slots.
    pub fn before_slots(slots: &[u64]) -> Self {
        Self::BeforeSlot { slots: pack(slots) }
    }

    /// After these slots.
    pub fn after_slots(slots: &[u64]) -> Self {
        Self::AfterSlot { slots: pack(slots) }
    }

    /// The slots that it lists; `None` for an anchor that lists none.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] with a path that begins with `anchor.slots`.
    pub fn unpack_slots(&self, budget: &mut UnpackBudget) -> Result<Option<Vec<u64>>, DecodeError> {
        let (Self::BeforeSlot { slots } | Self::AfterSlot { slots }) = self else {
            return Ok(None);
        };
        let slots = unpack(slots, budget).map_err(|error| error.within("slots").within("anchor"))?;
        Ok(Some(slots))
    }
}

impl Decode for ScheduledAction {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            anchor: fields.required("anchor")?,
            kind: fields.or_default("kind")?,
            transactions: fields.required("transactions")?,
            account_overrides: fields.or_default("accountOverrides")?,
            feeds_reroute: fields.or_default("feedsReroute")?,
            return_accounts: fields.or_default("returnAccounts")?,
            label: fields.optional("label")?,
            resolve: fields.optional("resolve")?,
        })
    }
}

impl Decode for ActionAnchor {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(match fields.required::<String>("at")?.as_str() {
            "beforeSlot" => Self::BeforeSlot {
                slots: fields.required("slots")?,
            },
            "afterSlot" => Self::AfterSlot {
                slots: fields.required("slots")?,
            },
            "beforeEverySlot" => Self::BeforeEverySlot {
                every_n_slots: every_n_slots(&fields)?,
            },
            "afterEverySlot" => Self::AfterEverySlot {
                every_n_slots: every_n_slots(&fields)?,
            },
            "beforeMatch" => Self::BeforeMatch {
                filter: fields.required("filter")?,
            },
            "afterMatch" => Self::AfterMatch {
                filter: fields.required("filter")?,
            },
            _ => return Err(fields.unexpected_name("at", "the name of an anchor")),
        })
    }
}

impl Decode for ActionKind {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"simulate\"" => Ok(Self::Simulate),
            "\"send\"" => Ok(Self::Send),
            _ => Err(unexpected_name("\"simulate\" or \"send\"", raw)),
        }
    }
}

impl Decode for ResolveRule {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        match fields.required::<String>("type")?.as_str() {
            "quoteStamp" => Ok(Self::QuoteStamp),
            "liquidityArrays" => Ok(Self::LiquidityArrays {
                pool: fields.required("pool")?,
                input_mint: fields.required("inputMint")?,
                array_key_indices: fields.required("arrayKeyIndices")?,
            }),
            _ => Err(fields.unexpected_name("type", "\"liquidityArrays\" or \"quoteStamp\"")),
        }
    }
}

deserialize_by_decoding!(ScheduledAction, ActionAnchor, ActionKind, ResolveRule);

/// Reads how often an anchor fires: an integer of at least 1, which is also the default.
pub(crate) fn every_n_slots(fields: &Fields<'_>) -> Result<u64, DecodeError> {
    match (fields.or("everyNSlots", 1)?, fields.raw("everyNSlots")) {
        (0, Some(raw)) => Err(unexpected("an integer of at least 1", raw).within("everyNSlots")),
        (every, _) => Ok(every),
    }
}
