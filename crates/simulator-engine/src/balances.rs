//! What the record of a transaction tells of the accounts that it changed, where it cannot be executed itself.
//!
//! A list of some accounts seldom holds everything that other transactions need, but those change accounts of the list,
//! too. Their records say what every account has held since, in lamports and in tokens; that is taken over. Data that
//! something else than a transfer may have changed stays as it was, and is no longer known.

use std::sync::Arc;

use simulator_archive::model::Outcome;
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_pubkey::Pubkey;
use solana_sdk_ids::system_program;
use solana_transaction::versioned::VersionedTransaction;

use crate::accounts::Lookup;
use crate::historical::{Executed, diff};
use crate::lineage::Way;
use crate::replay::Replay;
use crate::report::{AccountDiffs, DivergenceClass};

const TOKEN: Pubkey = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const TOKEN_2022: Pubkey = Pubkey::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// Instructions of the system program that change nothing but lamports: `Transfer`, `TransferWithSeed`.
const SYSTEM_TRANSFERS: [[u8; 4]; 2] = [[2, 0, 0, 0], [11, 0, 0, 0]];

/// Instructions of the token programs that change nothing but the amounts of token accounts and the supply of mints:
/// `Transfer`, `MintTo`, `Burn`, their checked forms, `SyncNative`; and `CloseAccount`, after which there is no account.
const TOKEN_TRANSFERS: [u8; 8] = [3, 7, 8, 9, 12, 14, 15, 17];

/// Size of a token account without extensions, and where it holds its amount and whether it has a delegate, whose
/// allowance is not recorded. (Layout: `spl_token_interface::state::Account`.)
const TOKEN_ACCOUNT_LEN: usize = 165;
const AMOUNT: std::ops::Range<usize> = 64..72;
const DELEGATE: std::ops::Range<usize> = 72..76;

/// A transaction that cannot be executed, and what was recorded of it.
struct Recorded<'a> {
    transaction: &'a VersionedTransaction,
    keys: &'a [Pubkey],
    outcome: &'a Outcome,
}

/// What is known of an account after such a transaction.
enum After {
    /// This is its state; it does not exist without lamports.
    Certain(AccountSharedData),
    /// It has these lamports; its data may have changed.
    Lamports(AccountSharedData),
    /// Nothing that was not known before.
    Unknown,
}

impl Replay {
    /// Takes over what is recorded of a transaction that could not be executed: that it has paid, and what accounts hold
    /// since. Leaves as its writable keys those of whose data nothing is known any more. No account changes where a user's
    /// change has reached the transaction: then it is not known what it would do.
    pub(crate) fn take_over_record(
        &mut self,
        transaction: &VersionedTransaction,
        outcome: &Outcome,
        executed: &mut Executed,
    ) {
        self.count_unexecuted(transaction);
        if !self.is_beyond_record(transaction, executed) {
            self.take_over_balances(transaction, outcome, executed);
        }
    }

    /// Takes over what is recorded of the accounts that a transaction may have written.
    pub(crate) fn take_over_balances(
        &mut self,
        transaction: &VersionedTransaction,
        outcome: &Outcome,
        executed: &mut Executed,
    ) {
        let keys = std::mem::take(&mut executed.account_keys);
        if outcome.post_balances.len() == keys.len() {
            let recorded = Recorded {
                transaction,
                keys: &keys,
                outcome,
            };
            for address in std::mem::take(&mut executed.writable_keys) {
                self.take_over(&recorded, address, executed);
            }
            executed.account_diffs.sort_by_key(|diff| diff.address);
        }
        executed.account_keys = keys;
    }

    /// Counts a transaction that is not executed as processed, and what it has paid for.
    pub(crate) fn count_unexecuted(&mut self, transaction: &VersionedTransaction) {
        self.seen.insert(transaction.message.hash());
        if let Some(open) = &mut self.open {
            let signatures = transaction.message.header().num_required_signatures;
            open.fees.add_unexecuted(signatures.into());
        }
    }

    /// Whether a user's change has reached anything that a transaction depends on, so that its record does not say what it
    /// would do now.
    pub(crate) fn is_beyond_record(&self, transaction: &VersionedTransaction, executed: &Executed) -> bool {
        let inherited = self.inherited(transaction, executed);
        inherited.is_some_and(|inherited| inherited.class == DivergenceClass::Overridden)
    }

    /// Whether a user's change has reached any of these accounts.
    pub(crate) fn is_overridden<'a>(&self, accounts: impl IntoIterator<Item = &'a Pubkey>) -> bool {
        let reached = self.lineage.of(accounts);
        reached.is_some_and(|reached| reached.class == DivergenceClass::Overridden)
    }

    fn take_over(&mut self, recorded: &Recorded<'_>, address: Pubkey, executed: &mut Executed) {
        let before = self.accounts.lookup(&address);
        let mut after = recorded.after(&address, &before);
        let reached = self.lineage.of([&address]);
        if reached.is_some_and(|reached| reached.way == Way::Directly) {
            after = after.in_doubt(&before);
        }
        let account = match after {
            After::Certain(account) => {
                // Whatever was wrong with an account without data was wrong with its lamports.
                if account.data().is_empty() {
                    self.lineage.heal(&address);
                }
                account
            }
            After::Lamports(account) => {
                executed.writable_keys.push(address);
                account
            }
            After::Unknown => {
                // What was not there may be now.
                self.accounts.doubt_absent(&address);
                return executed.writable_keys.push(address);
            }
        };
        if self.options.account_diffs == AccountDiffs::Record {
            let diff = diff(address, before.known().as_ref(), &account);
            executed.account_diffs.extend(diff);
        }
        self.accounts.put(address, account);
    }
}

impl After {
    /// The same of an account of which it was not known any more what it was. What is gone is gone all the same.
    fn in_doubt(self, before: &Lookup) -> Self {
        match self {
            Self::Certain(account) if account.lamports() == 0 => Self::Certain(account),
            Self::Certain(account) | Self::Lamports(account) if matches!(before, Lookup::Known(_)) => {
                Self::Lamports(account)
            }
            _ => Self::Unknown,
        }
    }
}

/// Where a lookup table is not known, the addresses that it gave are known from the record.
pub(crate) fn complete_keys(transaction: &VersionedTransaction, outcome: &Outcome, executed: &mut Executed) {
    let is_static = executed.account_keys.len() == transaction.message.static_account_keys().len();
    if let Some(loaded) = outcome.loaded_addresses.as_ref().filter(|_| is_static) {
        executed
            .account_keys
            .extend(loaded.writable.iter().chain(&loaded.readonly));
        executed.writable_keys.extend(&loaded.writable);
    }
}

impl Recorded<'_> {
    fn after(&self, address: &Pubkey, before: &Lookup) -> After {
        let Some(index) = self.keys.iter().position(|key| key == address) else {
            return After::Unknown;
        };
        let lamports = self.outcome.post_balances[index];
        if lamports == 0 {
            return After::Certain(AccountSharedData::default());
        }
        let mut account = match before {
            Lookup::Known(account) => account.clone(),
            // Nobody but the system program makes more of an account that did not exist than a place for lamports.
            Lookup::Absent => AccountSharedData::create_from_existing_shared_data(
                0,
                Arc::default(),
                system_program::ID,
                false,
                u64::MAX,
            ),
            Lookup::Unknown => return After::Unknown,
        };
        account.set_lamports(lamports);
        match self.take_over_data(index, &mut account) {
            true => After::Certain(account),
            // What was created is not known beside its lamports.
            false if *before == Lookup::Absent => After::Unknown,
            false => After::Lamports(account),
        }
    }

    /// Brings an account's data up to date, or says that this cannot be done.
    fn take_over_data(&self, index: usize, account: &mut AccountSharedData) -> bool {
        if self.outcome.status.is_err() {
            // A failed transaction pays its fee and advances its nonce.
            return *account.owner() != system_program::ID || account.data().is_empty();
        }
        let Some(touches) = self.instructions_of_owner(index, account.owner()) else {
            return false;
        };
        match *account.owner() {
            system_program::ID => {
                let is_transfer = |data: &&[u8]| SYSTEM_TRANSFERS.iter().any(|tag| data.starts_with(tag));
                touches.iter().all(is_transfer)
            }
            TOKEN | TOKEN_2022 if !touches.is_empty() => self.take_over_amount(index, account, &touches),
            _ => touches.is_empty(),
        }
    }

    fn take_over_amount(&self, index: usize, account: &mut AccountSharedData, touches: &[&[u8]]) -> bool {
        let is_transfer = |data: &&[u8]| data.first().is_some_and(|tag| TOKEN_TRANSFERS.contains(tag));
        let data = account.data();
        let is_plain = data.len() == TOKEN_ACCOUNT_LEN && data[DELEGATE] == [0; 4];
        let mut balances = self.outcome.post_token_balances.iter().flatten();
        let Some(balance) = balances.find(|balance| usize::from(balance.account_index) == index) else {
            return false;
        };
        if !is_plain || !touches.iter().all(is_transfer) {
            return false;
        }
        account.data_as_mut_slice()[AMOUNT].copy_from_slice(&balance.amount.to_le_bytes());
        true
    }

    /// The data of every instruction that could have changed an account's data: those of the program that owns it. None
    /// where it is not recorded which programs the transaction's programs invoked.
    fn instructions_of_owner(&self, index: usize, owner: &Pubkey) -> Option<Vec<&[u8]>> {
        let inner = self.outcome.inner_instructions.as_ref()?;
        let inner = inner.iter().flat_map(|group| &group.instructions);
        let inner = inner.map(|instruction| {
            (
                instruction.program_id_index,
                &instruction.accounts[..],
                &instruction.data[..],
            )
        });
        let outer = self.transaction.message.instructions().iter();
        let outer = outer.map(|instruction| {
            (
                instruction.program_id_index,
                &instruction.accounts[..],
                &instruction.data[..],
            )
        });
        let concerns = |(program, accounts, _): &(u8, &[u8], &[u8])| {
            self.keys.get(usize::from(*program)) == Some(owner)
                && accounts.iter().any(|account| usize::from(*account) == index)
        };
        Some(outer.chain(inner).filter(concerns).map(|(.., data)| data).collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use simulator_archive::model::{InnerInstruction, InnerInstructions, TokenBalance};
    use solana_message::compiled_instruction::CompiledInstruction;
    use solana_message::{Message, VersionedMessage};
    use solana_transaction_error::TransactionError;

    use super::*;

    const PAYER: u8 = 0;
    const OTHER: u8 = 1;

    fn key(seed: u8) -> Pubkey {
        Pubkey::new_from_array([seed; 32])
    }

    fn account(owner: Pubkey, data: &[u8]) -> Lookup {
        let mut account = AccountSharedData::new(50, 0, &owner);
        account.set_data_from_slice(data);
        Lookup::Known(account)
    }

    fn token_account(delegate: bool) -> Lookup {
        let mut data = vec![0; TOKEN_ACCOUNT_LEN];
        data[DELEGATE.start] = u8::from(delegate);
        account(TOKEN, &data)
    }

    /// What was recorded of a transaction with a payer, another account and a program.
    struct Case {
        program: Pubkey,
        outer: Vec<u8>,
        outcome: Outcome,
    }

    impl Case {
        fn new(program: Pubkey, data: &[u8]) -> Self {
            Self {
                program,
                outer: data.to_vec(),
                outcome: Outcome {
                    status: Ok(()),
                    fee: 5000,
                    pre_balances: vec![100, 50, 1],
                    post_balances: vec![90, 60, 1],
                    pre_token_balances: None,
                    post_token_balances: Some(vec![TokenBalance {
                        account_index: OTHER,
                        mint: key(9),
                        owner: None,
                        program_id: None,
                        amount: 777,
                        decimals: 0,
                    }]),
                    logs: None,
                    inner_instructions: Some(Vec::new()),
                    return_data: None,
                    compute_units: None,
                    loaded_addresses: None,
                    cost_units: None,
                },
            }
        }

        fn failed(mut self) -> Self {
            self.outcome.status = Err(TransactionError::AccountInUse);
            self
        }

        /// What an account is after the transaction: its lamports, amount of tokens or zero, and whether that is certain.
        fn after(&self, index: u8, before: &Lookup) -> Option<(u64, u64, bool)> {
            let keys = [key(1), key(2), self.program];
            let message = Message {
                account_keys: keys.to_vec(),
                instructions: vec![CompiledInstruction::new_from_raw_parts(
                    2,
                    self.outer.clone(),
                    vec![PAYER, OTHER],
                )],
                ..Message::default()
            };
            let transaction = VersionedTransaction {
                signatures: Vec::new(),
                message: VersionedMessage::Legacy(message),
            };
            let recorded = Recorded {
                transaction: &transaction,
                keys: &keys,
                outcome: &self.outcome,
            };
            let summary = |account: AccountSharedData, is_certain| {
                let amount = account.data().get(AMOUNT).and_then(|bytes| bytes.try_into().ok());
                Some((account.lamports(), amount.map_or(0, u64::from_le_bytes), is_certain))
            };
            match recorded.after(&keys[usize::from(index)], before) {
                After::Certain(account) => summary(account, true),
                After::Lamports(account) => summary(account, false),
                After::Unknown => None,
            }
        }
    }

    #[test]
    fn a_transfer_leaves_no_doubt_even_where_it_creates_an_account() {
        let transfer = Case::new(system_program::ID, &[2, 0, 0, 0, 10]);
        let wallet = account(system_program::ID, &[]);
        assert_eq!(transfer.after(PAYER, &wallet), Some((90, 0, true)));
        assert_eq!(transfer.after(OTHER, &wallet), Some((60, 0, true)));
        assert_eq!(transfer.after(OTHER, &Lookup::Absent), Some((60, 0, true)));
        assert_eq!(transfer.after(OTHER, &Lookup::Unknown), None);
    }

    #[test]
    fn what_is_created_for_a_program_is_not_known() {
        let create = Case::new(system_program::ID, &[0, 0, 0, 0, 10]);
        let wallet = account(system_program::ID, &[]);
        assert_eq!(create.after(OTHER, &Lookup::Absent), None);
        assert_eq!(create.after(OTHER, &wallet), Some((60, 0, false)));
    }

    #[test]
    fn what_is_emptied_is_gone() {
        let mut close = Case::new(TOKEN, &[9]);
        close.outcome.post_balances[1] = 0;
        for before in [token_account(true), Lookup::Absent, Lookup::Unknown] {
            assert_eq!(close.after(OTHER, &before), Some((0, 0, true)));
        }
    }

    #[test]
    fn a_failed_transaction_changes_no_data_but_that_of_its_nonce() {
        let failed = Case::new(system_program::ID, &[4, 0, 0, 0]).failed();
        assert_eq!(
            failed.after(PAYER, &account(system_program::ID, &[])),
            Some((90, 0, true))
        );
        assert_eq!(
            failed.after(OTHER, &account(system_program::ID, &[0; 80])),
            Some((60, 0, false))
        );
        assert_eq!(
            failed.after(OTHER, &account(key(7), &[0; 80])).map(|after| after.2),
            Some(true)
        );
    }

    #[test]
    fn amounts_of_tokens_are_recorded_and_nothing_else_of_them() {
        let plain = token_account(false);
        assert_eq!(Case::new(TOKEN, &[3]).after(OTHER, &plain), Some((60, 777, true)));
        assert_eq!(
            Case::new(TOKEN, &[3]).after(OTHER, &token_account(true)),
            Some((60, 0, false))
        );
        // An approval.
        assert_eq!(Case::new(TOKEN, &[4]).after(OTHER, &plain), Some((60, 0, false)));
        let mut of_a_mint = Case::new(TOKEN, &[7]);
        of_a_mint.outcome.post_token_balances = Some(Vec::new());
        assert_eq!(
            of_a_mint.after(OTHER, &account(TOKEN, &[0; 82])).map(|after| after.2),
            Some(false)
        );
    }

    #[test]
    fn only_its_owner_changes_the_data_of_an_account() {
        let by_another = Case::new(key(8), &[1]);
        assert_eq!(by_another.after(OTHER, &account(key(7), &[1])), Some((60, 0, true)));
        assert_eq!(by_another.after(OTHER, &account(key(8), &[1])), Some((60, 0, false)));
        let mut invoked = Case::new(key(8), &[1]);
        invoked.outcome.inner_instructions = Some(vec![InnerInstructions {
            index: 0,
            instructions: vec![InnerInstruction {
                program_id_index: 2,
                accounts: vec![OTHER],
                data: Bytes::new(),
                stack_height: None,
            }],
        }]);
        invoked.outer.clear();
        assert_eq!(invoked.after(OTHER, &account(key(8), &[1])), Some((60, 0, false)));
        let mut unrecorded = by_another;
        unrecorded.outcome.inner_instructions = None;
        assert_eq!(unrecorded.after(OTHER, &account(key(7), &[1])), Some((60, 0, false)));
    }
}
