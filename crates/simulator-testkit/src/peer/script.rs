//! What a session will be about.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use simulator_api::{BacktestError, SessionSummary};
use solana_address::Address;

use crate::seeded::Seeded;

/// A session, before anyone has driven it.
#[derive(Clone, Debug)]
pub struct Script {
    /// The blocks, by slot. A slot that is missing was skipped.
    pub blocks: Vec<Block>,
    /// The programs whose transactions there are.
    pub programs: Vec<Address>,
    /// The batches that the filters of a create match, in order. They are announced if the create has filters.
    pub matches: Vec<Position>,
    /// How the session ends before its range does.
    pub failure: Option<Failure>,
    /// Slots after which an error is told that does not end the session.
    pub complaints: BTreeSet<u64>,
    /// What `completed` carries.
    pub summary: Option<SessionSummary>,
    /// How often the runtime is said to start before the session exists.
    pub startup_statuses: usize,
    /// Subscriptions that are refused, by address.
    pub refused_subscriptions: BTreeMap<String, SubscribeRefusal>,
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its slot.
    pub slot: u64,
    /// Its transactions.
    pub batches: Vec<Vec<Tx>>,
}

/// A transaction.
#[derive(Clone, Debug)]
pub struct Tx {
    /// Its number within the block.
    pub index: u64,
    /// Its signature.
    pub signature: [u8; 64],
    /// The programs that it mentions.
    pub mentions: Vec<Address>,
    /// The accounts that it changes.
    pub changes: Vec<Change>,
}

/// An account is changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The account.
    pub account: Address,
    /// The program that owns it.
    pub owner: Address,
    /// What it holds afterwards.
    pub lamports: u64,
}

/// A place between two batches: before batch `batch` of `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The slot.
    pub slot: u64,
    /// The batch that comes next.
    pub batch: u32,
}

/// How a session ends before its range does.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The slot that cannot be opened.
    pub slot: u64,
    /// What is said.
    pub error: BacktestError,
}

/// How a subscription is refused.
#[derive(Clone, Debug)]
pub struct SubscribeRefusal {
    /// The JSON-RPC code.
    pub code: i64,
    /// Text for people.
    pub message: String,
}

/// Batches of a generated block.
const BATCHES: u32 = 2;
/// Accounts that each program of a generated script owns.
const ACCOUNTS: u64 = 3;

impl Script {
    /// A session over `slots`, the same for the same seed. Each block has two batches of one or two transactions, which
    /// mention one or both of two programs. The first transaction of a block changes two accounts of a program that it
    /// mentions, the others one.
    pub fn generate(seed: u64, slots: RangeInclusive<u64>) -> Self {
        let programs: Vec<_> = (0..2).map(|n| address(seed, 0, n)).collect();
        let blocks = slots.map(|slot| generate_block(seed, slot, &programs)).collect();
        Self {
            blocks,
            programs,
            matches: Vec::new(),
            failure: None,
            complaints: BTreeSet::new(),
            summary: None,
            startup_statuses: 1,
            refused_subscriptions: BTreeMap::new(),
        }
    }

    /// Takes the block of a slot away.
    #[must_use]
    pub fn skip(mut self, slot: u64) -> Self {
        self.blocks.retain(|block| block.slot != slot);
        self
    }

    /// Lets a filter match a batch. Matches are named in order.
    #[must_use]
    pub fn discover(mut self, slot: u64, batch: u32) -> Self {
        self.matches.push(Position { slot, batch });
        self
    }

    /// Ends the session where `slot` would be opened.
    #[must_use]
    pub fn fail(mut self, slot: u64, error: BacktestError) -> Self {
        self.failure = Some(Failure { slot, error });
        self
    }

    /// Tells of an error of a transaction after a slot.
    #[must_use]
    pub fn complain(mut self, slot: u64) -> Self {
        self.complaints.insert(slot);
        self
    }

    /// Refuses subscriptions to an address.
    #[must_use]
    pub fn refuse(mut self, address: &Address, code: i64, message: &str) -> Self {
        let message = message.to_owned();
        let refusal = SubscribeRefusal { code, message };
        self.refused_subscriptions.insert(address.to_string(), refusal);
        self
    }
}

fn generate_block(seed: u64, slot: u64, programs: &[Address]) -> Block {
    let mut numbers = Seeded::for_item(seed, 1, slot);
    let mut index = 0;
    let mut batch = || -> Vec<Tx> {
        let count = 1 + numbers.below(2);
        let txs = (index..index + count).map(|index| generate_tx(seed, slot, index, programs));
        let txs = txs.collect();
        index += count;
        txs
    };
    let batches = (0..BATCHES).map(|_| batch()).collect();
    Block { slot, batches }
}

fn generate_tx(seed: u64, slot: u64, index: u64, programs: &[Address]) -> Tx {
    let mut numbers = Seeded::for_item(seed, 2, slot << 16 | index);
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&numbers.bytes());
    signature[32..].copy_from_slice(&numbers.bytes());
    // Every third mentions both; the first of a block always mentions the first program, so that none is empty.
    let mentions: Vec<_> = match (index, numbers.below(3)) {
        (_, 0) => programs.to_vec(),
        (0, _) => programs[..1].to_vec(),
        (_, n) => programs[n as usize - 1..n as usize].to_vec(),
    };
    let changes = mentions.iter().enumerate().flat_map(|(number, owner)| {
        let first = numbers.below(ACCOUNTS);
        let changed = match index {
            0 => 2,
            _ => 1,
        };
        let changes = (first..first + changed).map(|account| Change {
            account: address(seed, 3 + number as u64, account % ACCOUNTS),
            owner: *owner,
            lamports: 1 + numbers.below(1_000_000),
        });
        changes.collect::<Vec<_>>()
    });
    Tx {
        index,
        signature,
        changes: changes.collect(),
        mentions,
    }
}

fn address(seed: u64, stream: u64, item: u64) -> Address {
    Address::from(Seeded::for_item(seed, 100 + stream, item).bytes())
}
