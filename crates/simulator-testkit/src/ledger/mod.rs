//! Synthetic ledger directories: any number of blocks of valid, signed transfers, with every account that they need.
//!
//! [`generate`] writes `blocks.jsonl` and `accounts-start.jsonl` in a streaming way and says what the wallets hold at
//! the end. The same options give the same bytes. What is made up: the chain before the first block (every slot had a
//! block), blockhashes and bank hashes, one leader with one vote account that never votes.

mod block;
mod chain;
mod generate;
mod options;
mod start;
mod sysvars;
mod wallets;

pub use generate::{Ledger, LedgerError, generate};
pub use options::{Features, LedgerOptions, Outcomes};
pub use wallets::WalletEmpty;
