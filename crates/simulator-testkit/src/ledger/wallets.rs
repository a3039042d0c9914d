//! Who holds what, and who pays whom.

use std::collections::BTreeMap;

use solana_hash::Hash;
use solana_keypair::{Keypair, Signer};
use solana_message::Message;
use solana_pubkey::Pubkey;
use solana_system_interface::instruction::transfer;
use solana_transaction::Transaction;
use solana_transaction::versioned::VersionedTransaction;

use super::LedgerOptions;
use crate::seeded::Seeded;

const KEYS: u64 = 2;
const CHOICES: u64 = 3;

/// The fee of one signature, in lamports.
pub(super) const FEE: u64 = 5000;

/// A wallet that holds less cannot pay: below the rent-exempt minimum a transaction fails.
const RESERVE: u64 = 1_000_000;

/// The accounts that pay each other.
pub(super) struct Wallets {
    seed: u64,
    keys: Vec<Keypair>,
    balances: Vec<u64>,
}

/// One transfer, already applied to the balances.
pub(super) struct Transfer {
    /// The transaction in its wire encoding.
    pub(super) wire: Vec<u8>,
    /// Balances of payer and payee before it, in lamports.
    pub(super) before: [u64; 2],
    /// Balances of payer and payee after it, in lamports.
    pub(super) after: [u64; 2],
}

/// The wallet that was to pay holds too little.
#[derive(Debug, thiserror::Error)]
#[error("wallet {address} has {lamports} lamports left: raise `wallet_lamports`")]
pub struct WalletEmpty {
    /// The wallet.
    pub address: Pubkey,
    /// What it holds.
    pub lamports: u64,
}

impl Wallets {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let key = |number| Keypair::new_from_array(Seeded::for_item(options.seed, KEYS, number).bytes());
        let keys: Vec<_> = (0..options.wallets).map(key).collect();
        let balances = vec![options.wallet_lamports; keys.len()];
        Self {
            seed: options.seed,
            keys,
            balances,
        }
    }

    /// Makes the transfers of one block. They differ in their amounts, so that no two are the same transaction.
    pub(super) fn transfers(
        &mut self,
        slot: u64,
        count: u64,
        recent_blockhash: &Hash,
    ) -> impl Iterator<Item = Result<Transfer, WalletEmpty>> {
        let mut choices = Seeded::for_item(self.seed, CHOICES, slot);
        (0..count).map(move |number| {
            let (payer, payee) = self.choose(&mut choices);
            self.transfer([payer, payee], 1 + number, recent_blockhash)
        })
    }

    /// What every wallet holds now, in lamports.
    pub(super) fn balances(&self) -> BTreeMap<Pubkey, u64> {
        self.keys
            .iter()
            .map(Keypair::pubkey)
            .zip(self.balances.iter().copied())
            .collect()
    }

    fn choose(&self, choices: &mut Seeded) -> (usize, usize) {
        let count = self.keys.len() as u64;
        let payer = choices.below(count);
        let payee = (payer + 1 + choices.below(count - 1)) % count;
        (payer as usize, payee as usize)
    }

    fn transfer(&mut self, parties: [usize; 2], amount: u64, blockhash: &Hash) -> Result<Transfer, WalletEmpty> {
        let [payer, payee] = parties;
        let before = parties.map(|party| self.balances[party]);
        if before[0] < amount + FEE + RESERVE {
            return Err(WalletEmpty {
                address: self.keys[payer].pubkey(),
                lamports: before[0],
            });
        }
        self.balances[payer] -= amount + FEE;
        self.balances[payee] += amount;
        let after = parties.map(|party| self.balances[party]);
        Ok(Transfer {
            wire: wire(&self.keys[payer], &self.keys[payee].pubkey(), amount, blockhash),
            before,
            after,
        })
    }
}

fn wire(payer: &Keypair, payee: &Pubkey, lamports: u64, blockhash: &Hash) -> Vec<u8> {
    let payment = transfer(&payer.pubkey(), payee, lamports);
    let message = Message::new_with_blockhash(&[payment], Some(&payer.pubkey()), blockhash);
    let transaction = VersionedTransaction::from(Transaction::new(&[payer], message, *blockhash));
    wincode::serialize(&transaction).expect("a transaction of one instruction fits its encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> LedgerOptions {
        LedgerOptions {
            wallets: 3,
            wallet_lamports: 2_000_000,
            ..LedgerOptions::default()
        }
    }

    #[test]
    fn transfers_are_signed_and_distinct() {
        let mut wallets = Wallets::new(&options());
        let made: Vec<_> = wallets.transfers(7, 10, &Hash::default()).map(Result::unwrap).collect();
        let mut signatures = std::collections::BTreeSet::new();
        for transfer in &made {
            let decoded: VersionedTransaction = wincode::deserialize(&transfer.wire).unwrap();
            let keys = decoded.message.static_account_keys();
            assert!(decoded.signatures[0].verify(keys[0].as_ref(), &decoded.message.serialize()));
            assert_eq!(
                transfer.before.iter().sum::<u64>() - transfer.after.iter().sum::<u64>(),
                FEE
            );
            assert_eq!(wincode::serialize(&decoded).unwrap(), transfer.wire);
            signatures.insert(decoded.signatures[0]);
        }
        assert_eq!(signatures.len(), 10);
        assert_eq!(wallets.balances().values().sum::<u64>(), 3 * 2_000_000 - 10 * FEE);
    }

    #[test]
    fn an_empty_wallet_is_named() {
        let mut wallets = Wallets::new(&LedgerOptions {
            wallet_lamports: RESERVE,
            ..options()
        });
        let error = wallets.transfers(1, 1, &Hash::default()).next().unwrap().err().unwrap();
        assert_eq!(error.lamports, RESERVE);
    }
}
