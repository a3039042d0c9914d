//! Our fixtures, made from the sample: what a transaction should do is what the validator recorded of it, over the state
//! in which it found the accounts.
//!
//! Outcomes are the recorded ones. The record has no account data; that of the accounts after a transaction comes from a
//! replay, and is held against the recorded balances, and against the validator's own digests where those are at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agave_feature_set::FEATURE_NAMES;
use agave_reserved_account_keys::ReservedAccountKeys;
use prost::Message;
use protosol::protos::{
    AcctState, BlockhashQueueEntry, CompiledInstruction, FeatureSet, FeeDetails, FeeRateGovernor, FixtureMetadata,
    InstrAcct, InstrContext, InstrEffects, InstrFixture, MessageAddressTableLookup, MessageHeader,
    SanitizedTransaction, TransactionMessage, TxnBank, TxnContext, TxnFixture, TxnResult,
};
use sha2::{Digest, Sha256};
use simulator_archive::model::Outcome;
use simulator_engine::{AccountDiffs, Replay, ReplayOptions, TransactionReport};
use simulator_testkit::paths;
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_instruction_error::InstructionError;
use solana_pubkey::Pubkey;
use solana_sdk_ids::{
    address_lookup_table, bpf_loader_upgradeable, compute_budget, feature, system_program, sysvar, vote,
};
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::support::Loaded;

/// The largest fixture, so that all of them together stay small.
const LARGEST: usize = 13_000;
/// How many there are of a kind, at most.
const MOST: usize = 10;
/// What an instruction may use.
const COMPUTE_UNITS: u64 = 200_000;
/// The price of a signature in lamports.
const SIGNATURE_FEE: u64 = 5000;

/// One transaction of the sample, and the accounts around it.
struct Moment<'a> {
    slot: u64,
    transaction: &'a VersionedTransaction,
    recorded: &'a Outcome,
    report: TransactionReport,
    /// Before the transaction.
    before: BTreeMap<Pubkey, AccountSharedData>,
    features: FeatureSet,
    blockhashes: Vec<BlockhashQueueEntry>,
}

/// The names and bytes of all fixtures, sorted by name.
pub(crate) fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut made = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    each_moment(|moment| {
        let programs: Vec<_> = moment.report.programs.iter().map(name).collect();
        let kind = (programs.join("-"), format!("{:?}", moment.recorded.status));
        let label = format!("{}-{}-{}", moment.slot, moment.report.index, kind.0);
        for (prefix, fixture) in [("txn", Some(moment.transaction())), ("instr", moment.instruction())] {
            let of_prefix = made.keys().filter(|name: &&String| name.starts_with(prefix)).count();
            let Some(fixture) = fixture.filter(|bytes| bytes.len() <= LARGEST && of_prefix < MOST) else {
                continue;
            };
            if kinds.insert((prefix, kind.clone())) {
                made.insert(format!("{prefix}-{label}.fix"), fixture);
            }
        }
    });
    made.into_iter().collect()
}

/// Every transaction of the sample as a fixture, and the instructions of those that have only one.
pub(crate) fn each_of_the_sample(mut show: impl FnMut(&str, &[u8])) {
    each_moment(|moment| {
        let label = format!("slot {}, transaction {}", moment.slot, moment.report.index);
        let instruction = moment.instruction();
        for fixture in [Some(moment.transaction()), instruction].into_iter().flatten() {
            show(&label, &fixture);
        }
    });
}

/// Says which function's effects a fixture holds.
pub(crate) fn metadata(entrypoint: &str) -> FixtureMetadata {
    FixtureMetadata {
        fn_entrypoint: entrypoint.to_owned(),
    }
}

fn name(program: &Pubkey) -> String {
    match *program {
        system_program::ID => "system".to_owned(),
        vote::ID => "vote".to_owned(),
        compute_budget::ID => "budget".to_owned(),
        other => other.to_string()[..5].to_owned(),
    }
}

/// Replays the sample and shows every transaction. Which accounts one needs is known when it has been executed, so that
/// there are two replays.
fn each_moment(mut show: impl FnMut(&Moment<'_>)) {
    let ledger = Loaded::sample();
    let truth = truth();
    let options = ReplayOptions {
        account_diffs: AccountDiffs::Record,
        ..ReplayOptions::default()
    };
    let (mut ahead, mut behind) = (ledger.replay_with(options.clone()), ledger.replay_with(options));
    for block in &ledger.blocks {
        ahead.open_slot(Arc::clone(block)).expect("it follows");
        behind.open_slot(Arc::clone(block)).expect("it follows");
        while let Some(report) = ahead.execute_transaction().expect("a slot is open") {
            let index = usize::try_from(report.index).expect("small");
            let transaction = &block.transactions()[index];
            let moment = Moment {
                slot: block.block().slot,
                transaction,
                recorded: block.block().transactions[index]
                    .outcome
                    .as_ref()
                    .expect("all are recorded"),
                before: needed(&behind, transaction, &report),
                features: features(&behind),
                blockhashes: blockhashes(&behind),
                report,
            };
            moment.check(&truth);
            show(&moment);
            behind.execute_transaction().expect("a slot is open");
        }
        ahead.close_slot().expect("all is done");
        behind.close_slot().expect("all is done");
    }
}

/// The accounts that a transaction needs, with programs, lookup tables and sysvars.
fn needed(
    replay: &Replay,
    transaction: &VersionedTransaction,
    report: &TransactionReport,
) -> BTreeMap<Pubkey, AccountSharedData> {
    let mut accounts = BTreeMap::new();
    let tables = transaction.message.address_table_lookups().unwrap_or_default();
    let tables = tables.iter().map(|lookup| lookup.account_key);
    let sysvars = [
        sysvar::clock::ID,
        sysvar::rent::ID,
        sysvar::epoch_schedule::ID,
        sysvar::last_restart_slot::ID,
        sysvar::epoch_rewards::ID,
    ];
    for address in report.account_keys.iter().copied().chain(tables).chain(sysvars) {
        let Some(account) = replay.account(&address).known() else {
            continue;
        };
        if *account.owner() == bpf_loader_upgradeable::ID && account.data().first() == Some(&2) {
            let code = Pubkey::try_from(&account.data()[4..36]).expect("an address");
            accounts.extend(replay.account(&code).known().map(|account| (code, account)));
        }
        accounts.insert(address, account);
    }
    // Most of these is room that nothing uses yet; but this program reads the whole of them.
    let whole = report.programs.contains(&address_lookup_table::ID);
    for (address, entry) in [(sysvar::slot_hashes::ID, 40), (sysvar::recent_blockhashes::ID, 40)] {
        let mut account = replay.account(&address).known().expect("it is there");
        let count = usize::try_from(u64_at(account.data(), 0)).expect("small");
        if let std::collections::btree_map::Entry::Vacant(vacant) = accounts.entry(address) {
            if !whole {
                account.resize(8 + count * entry, 0);
            }
            vacant.insert(account);
        }
    }
    accounts
}

fn u64_at(data: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(data[offset..offset + 8].try_into().expect("eight bytes"))
}

fn features(replay: &Replay) -> FeatureSet {
    let is_active = |id: &&Pubkey| {
        let account = replay.account(id).known();
        account.is_some_and(|account| *account.owner() == feature::ID && account.data().first() == Some(&1))
    };
    let mut features: Vec<_> = FEATURE_NAMES
        .keys()
        .filter(is_active)
        .map(|id| u64_at(id.as_ref(), 0))
        .collect();
    features.sort_unstable();
    FeatureSet { features }
}

/// From the oldest to the newest; the sysvar begins with the newest.
fn blockhashes(replay: &Replay) -> Vec<BlockhashQueueEntry> {
    let sysvar = replay
        .account(&sysvar::recent_blockhashes::ID)
        .known()
        .expect("it is there");
    let count = usize::try_from(u64_at(sysvar.data(), 0)).expect("small");
    let entries = sysvar.data()[8..]
        .chunks_exact(40)
        .take(count)
        .map(|entry| BlockhashQueueEntry {
            blockhash: entry[..32].to_vec(),
            lamports_per_signature: u64_at(entry, 32),
        });
    let mut entries: Vec<_> = entries.collect();
    entries.reverse();
    entries
}

fn state(address: &Pubkey, account: &AccountSharedData) -> AcctState {
    AcctState {
        address: address.to_bytes().to_vec(),
        lamports: account.lamports(),
        data: account.data().to_vec(),
        executable: account.executable(),
        owner: account.owner().to_bytes().to_vec(),
    }
}

/// The place of an error among all, counted from one.
fn place(error: &impl serde::Serialize) -> u32 {
    let bytes = bincode::serialize(error).expect("plain values");
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) + 1
}

impl Moment<'_> {
    /// The account after the transaction.
    fn after(&self, address: &Pubkey) -> AccountSharedData {
        let changed = self.report.account_diffs.iter().find(|diff| diff.address == *address);
        match changed {
            Some(diff) => diff.after.clone().unwrap_or_default(),
            None => self.before.get(address).cloned().unwrap_or_default(),
        }
    }

    fn is_writable(&self, index: usize) -> bool {
        let reserved = ReservedAccountKeys::default().active;
        let message = &self.transaction.message;
        match index.checked_sub(message.static_account_keys().len()) {
            None => message.is_maybe_writable(index, Some(&reserved)),
            Some(loaded) => {
                let lookups = message.address_table_lookups().unwrap_or_default();
                loaded < lookups.iter().map(|lookup| lookup.writable_indexes.len()).sum()
            }
        }
    }

    fn writable(&self) -> impl Iterator<Item = &Pubkey> {
        let keys = self.report.account_keys.iter().enumerate();
        keys.filter(|(index, _)| self.is_writable(*index)).map(|(_, key)| key)
    }

    /// What came out of the replay is what the validator recorded.
    fn check(&self, truth: &BTreeMap<(u64, u32), String>) {
        let keys = self.report.account_keys.iter();
        let balances: Vec<_> = keys.map(|key| self.after(key).lamports()).collect();
        assert_eq!(
            balances, self.recorded.post_balances,
            "slot {}, {}",
            self.slot, self.report.index
        );
        let Some(expected) = truth.get(&(self.slot, self.report.index)) else {
            return;
        };
        let mut hasher = Sha256::new();
        for key in self.writable() {
            let account = self.after(key);
            let exists = account.lamports() > 0;
            let (owner, data) = if exists {
                (*account.owner(), account.data())
            } else {
                (Pubkey::default(), &[][..])
            };
            hasher.update(key.as_ref());
            hasher.update(account.lamports().to_le_bytes());
            hasher.update(owner.as_ref());
            hasher.update([u8::from(exists && account.executable())]);
            hasher.update((data.len() as u64).to_le_bytes());
            hasher.update(data);
        }
        let found: String = hasher.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            *expected, found,
            "slot {}, transaction {}",
            self.slot, self.report.index
        );
    }

    fn transaction(&self) -> Vec<u8> {
        let fixture = TxnFixture {
            metadata: Some(metadata("sol_compat_txn_execute_v1")),
            input: Some(TxnContext {
                tx: Some(self.sanitized()),
                account_shared_data: self
                    .before
                    .iter()
                    .map(|(address, account)| state(address, account))
                    .collect(),
                bank: Some(TxnBank {
                    blockhash_queue: self.blockhashes.clone(),
                    rbh_lamports_per_signature: 5000,
                    fee_rate_governor: Some(FeeRateGovernor {
                        target_lamports_per_signature: 10_000,
                        target_signatures_per_slot: 20_000,
                        min_lamports_per_signature: 5000,
                        max_lamports_per_signature: 100_000,
                        burn_percent: 50,
                    }),
                    total_epoch_stake: 0,
                    features: Some(self.features.clone()),
                }),
            }),
            output: Some(self.result()),
        };
        fixture.encode_to_vec()
    }

    fn sanitized(&self) -> SanitizedTransaction {
        let message = &self.transaction.message;
        let header = message.header();
        let wide = |indexes: &[u8]| indexes.iter().copied().map(u32::from).collect();
        let instructions = message.instructions().iter().map(|instruction| CompiledInstruction {
            program_id_index: u32::from(instruction.program_id_index),
            accounts: wide(&instruction.accounts),
            data: instruction.data.clone(),
        });
        let lookups = message.address_table_lookups();
        let tables = lookups
            .unwrap_or_default()
            .iter()
            .map(|lookup| MessageAddressTableLookup {
                account_key: lookup.account_key.to_bytes().to_vec(),
                writable_indexes: wide(&lookup.writable_indexes),
                readonly_indexes: wide(&lookup.readonly_indexes),
            });
        SanitizedTransaction {
            message: Some(TransactionMessage {
                is_legacy: lookups.is_none(),
                header: Some(MessageHeader {
                    num_required_signatures: u32::from(header.num_required_signatures),
                    num_readonly_signed_accounts: u32::from(header.num_readonly_signed_accounts),
                    num_readonly_unsigned_accounts: u32::from(header.num_readonly_unsigned_accounts),
                }),
                account_keys: message
                    .static_account_keys()
                    .iter()
                    .map(|key| key.to_bytes().to_vec())
                    .collect(),
                recent_blockhash: message.recent_blockhash().to_bytes().to_vec(),
                instructions: instructions.collect(),
                address_table_lookups: tables.collect(),
            }),
            message_hash: message.hash().to_bytes().to_vec(),
            signatures: self
                .transaction
                .signatures
                .iter()
                .map(|signature| signature.as_ref().to_vec())
                .collect(),
        }
    }

    fn result(&self) -> TxnResult {
        let Outcome { status, fee, .. } = self.recorded;
        let accounts = |addresses: &mut dyn Iterator<Item = &Pubkey>| {
            addresses.map(|address| state(address, &self.after(address))).collect()
        };
        let mut result = TxnResult {
            executed: true,
            is_ok: status.is_ok(),
            executed_units: self.recorded.compute_units.unwrap_or_default(),
            return_data: self
                .recorded
                .return_data
                .as_ref()
                .map(|data| data.data.to_vec())
                .unwrap_or_default(),
            fee_details: Some(self.fees(*fee)),
            ..TxnResult::default()
        };
        match status {
            Ok(()) => result.modified_accounts = accounts(&mut self.writable()),
            Err(error) => {
                let mut paid = self.report.account_diffs.iter().map(|diff| &diff.address);
                result.rollback_accounts = accounts(&mut paid);
                result.status = place(error);
                if let TransactionError::InstructionError(index, error) = error {
                    result.instruction_error = place(error);
                    result.instruction_error_index = u32::from(*index);
                    result.custom_error = self.custom(usize::from(*index), error);
                }
            }
        }
        result
    }

    /// The number of a custom error; that of a precompile is none.
    fn custom(&self, index: usize, error: &InstructionError) -> u32 {
        let program = self.transaction.message.instructions()[index].program_id_index;
        let program = self.report.account_keys[usize::from(program)];
        match error {
            InstructionError::Custom(code) if !agave_precompiles::is_precompile(&program, |_| true) => *code,
            _ => 0,
        }
    }

    /// Only who names the compute budget program pays for priority.
    fn fees(&self, fee: u64) -> FeeDetails {
        let signatures = u64::from(self.transaction.message.header().num_required_signatures);
        let transaction_fee = match self.report.account_keys.contains(&compute_budget::ID) {
            true => signatures * SIGNATURE_FEE,
            false => fee,
        };
        FeeDetails {
            transaction_fee,
            prioritization_fee: fee - transaction_fee,
        }
    }

    /// The only instruction of the transaction, if it has no more and was executed for its own sake.
    fn instruction(&self) -> Option<Vec<u8>> {
        let [instruction] = self.transaction.message.instructions() else {
            return None;
        };
        let units = self.recorded.compute_units.filter(|units| *units > 0)?;
        let keys = &self.report.account_keys;
        let program = keys[usize::from(instruction.program_id_index)];
        // Fixtures of instructions take the last entry of this sysvar for the newest blockhash, and the chain the first.
        if keys.contains(&sysvar::recent_blockhashes::ID) {
            return None;
        }
        let error = match &self.recorded.status {
            Ok(()) => None,
            Err(TransactionError::InstructionError(_, error)) => Some(error),
            Err(_) => return None,
        };
        let mut before = self.before.clone();
        let payer = before.get_mut(&keys[0])?;
        payer.set_lamports(payer.lamports() - self.recorded.fee);
        // Accounts that the instruction creates are listed without lamports.
        for key in keys {
            before.entry(*key).or_default();
        }
        let message = &self.transaction.message;
        let listed: Vec<_> = before.keys().copied().collect();
        let accounts = instruction.accounts.iter().map(|index| {
            let index = usize::from(*index);
            InstrAcct {
                index: u32::try_from(listed.binary_search(&keys[index]).expect("it is listed")).expect("small"),
                is_writable: self.is_writable(index),
                is_signer: message.is_signer(index),
            }
        });
        let fixture = InstrFixture {
            metadata: Some(metadata("sol_compat_instr_execute_v1")),
            input: Some(InstrContext {
                program_id: program.to_bytes().to_vec(),
                accounts: before
                    .iter()
                    .map(|(address, account)| state(address, account))
                    .collect(),
                instr_accounts: accounts.collect(),
                data: instruction.data.clone(),
                cu_avail: COMPUTE_UNITS,
                features: Some(self.features.clone()),
            }),
            output: Some(InstrEffects {
                result: error.map(|error| place(error).cast_signed()).unwrap_or_default(),
                custom_err: error.map(|error| self.custom(0, error)).unwrap_or_default(),
                modified_accounts: match error {
                    None => self.changed_since(&before),
                    Some(_) => vec![],
                },
                cu_avail: COMPUTE_UNITS - units,
                return_data: self
                    .recorded
                    .return_data
                    .as_ref()
                    .map(|data| data.data.to_vec())
                    .unwrap_or_default(),
            }),
        };
        Some(fixture.encode_to_vec())
    }

    fn changed_since(&self, before: &BTreeMap<Pubkey, AccountSharedData>) -> Vec<AcctState> {
        let changed = self.writable().filter(|key| before.get(key) != Some(&self.after(key)));
        changed.map(|key| state(key, &self.after(key))).collect()
    }
}

/// The validator's digests of what each transaction wrote, where the ledger is at hand that the sample was taken from.
fn truth() -> BTreeMap<(u64, u32), String> {
    let Some(ledger) = paths::shared_ledger_or_skip("agave-small") else {
        return BTreeMap::new();
    };
    let text = std::fs::read_to_string(ledger.join("truth.json")).expect("it has one");
    let truth: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut digests = BTreeMap::new();
    for slot in truth["slots"].as_array().expect("a list") {
        let number = slot["slot"].as_u64().expect("a number");
        for (index, transaction) in (0..).zip(slot["transactions"].as_array().expect("a list")) {
            digests.insert((number, index), transaction[1].as_str().expect("a digest").to_owned());
        }
    }
    assert!(!digests.is_empty());
    digests
}
