//! Addresses that several tests use.

use solana_address::Address;

pub(crate) const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";
pub(crate) const SYSVAR: &str = "Sysvar1111111111111111111111111111111111111";
pub(crate) const STAKE: &str = "Stake11111111111111111111111111111111111111";
pub(crate) const VOTE: &str = "Vote111111111111111111111111111111111111111";
pub(crate) const SOL: &str = "So11111111111111111111111111111111111111112";
pub(crate) const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}
