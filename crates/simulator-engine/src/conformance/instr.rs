//! One instruction, executed by the harness of `solana-svm` over our accounts, sysvars, programs and callbacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use protosol::protos::{InstrEffects as ProtoEffects, InstrFixture};
use solana_account::{Account, AccountSharedData};
use solana_builtins::BUILTINS;
use solana_instruction_error::InstructionError;
use solana_program_runtime::loaded_programs::ProgramCacheForTxBatch;
use solana_pubkey::Pubkey;
use solana_sdk_ids::{bpf_loader, bpf_loader_deprecated, bpf_loader_upgradeable};
use solana_svm::conformance::instr::context::InstrContext;
use solana_svm::conformance::instr::effects::InstrEffects;
use solana_svm::conformance::instr::harness::execute_instr_with_callback;
use solana_svm::program_loader::load_program_with_pubkey;

use super::account::{by_address, none_else, same_account};
use super::bench::Bench;
use super::mismatch::{same, same_bytes};
use super::{Stop, Unsupported};
use crate::view::AccountView;

/// Executes an instruction and compares its effects.
pub(super) fn run(bytes: &[u8]) -> Result<(), Stop> {
    let InstrFixture { input, output, .. } = InstrFixture::decode(bytes)?;
    let input = input.ok_or(Unsupported::Missing("input"))?;
    let expected = output.ok_or(Unsupported::Missing("output"))?;
    let bench = Bench::new(&input.accounts, input.features.as_ref())?;
    let mut context = InstrContext::from(input);
    context.feature_set = bench.runtime.features.runtime_features();
    let before: BTreeMap<_, _> = context.accounts.iter().cloned().collect();
    for (address, account) in &mut context.accounts {
        // An account without lamports is none to the store; fixtures give some data all the same.
        if let Some(stored) = bench.accounts.get(address) {
            *account = stored.clone().into();
        }
    }
    let mut programs = bench.programs(&context.accounts);
    if programs.find(&context.instruction.program_id).is_none() {
        return Err(Unsupported::Missing("program that can be executed").into());
    }
    let effects = execute_instr_with_callback(
        &context,
        &bench.runtime.callbacks((&bench.accounts).into()),
        &mut programs,
        &bench.runtime.processor.sysvar_cache(),
    );
    compare(&bench, &context, &before, &expected, effects)
}

impl Bench {
    /// The programs among some accounts, and those that are built in.
    fn programs(&self, accounts: &[(Pubkey, Account)]) -> ProgramCacheForTxBatch {
        let view = AccountView::from(&self.accounts);
        let mut programs = ProgramCacheForTxBatch::new(self.slot);
        for builtin in BUILTINS {
            if let Some(entry) = self.runtime.builtin(builtin, view) {
                programs.replenish(builtin.program_id, Arc::new(entry));
            }
        }
        let loaders = [bpf_loader_deprecated::ID, bpf_loader::ID, bpf_loader_upgradeable::ID];
        for (address, account) in accounts {
            if programs.find(address).is_some() || !loaders.contains(&account.owner) {
                continue;
            }
            let environment = &self.runtime.processor.program_runtime_environment;
            let callbacks = self.runtime.callbacks(view);
            let loaded = load_program_with_pubkey(&callbacks, environment, address, self.slot, &mut Default::default());
            if let Some((program, _)) = loaded {
                programs.replenish(*address, program);
            }
        }
        programs
    }
}

fn compare(
    bench: &Bench,
    context: &InstrContext,
    before: &BTreeMap<Pubkey, Account>,
    expected: &ProtoEffects,
    found: InstrEffects,
) -> Result<(), Stop> {
    let result = found.result.as_ref().map(error_code).unwrap_or_default();
    same("result", &expected.result, &result)?;
    // The numbers that precompiles give to their errors are not part of the rules.
    let is_precompile = agave_precompiles::is_precompile(&context.instruction.program_id, |_| true);
    let custom = found.custom_err.filter(|_| !is_precompile).unwrap_or_default();
    same("custom_err", &expected.custom_err, &custom)?;
    same("cu_avail", &expected.cu_avail, &found.cu_avail)?;
    same_bytes("return_data", &expected.return_data, &found.return_data)?;
    // What a failed instruction has left half done is nobody's state.
    match found.result {
        Some(_) => Ok(()),
        None => compare_accounts(bench, before, expected, found.resulting_accounts),
    }
}

fn compare_accounts(
    bench: &Bench,
    before: &BTreeMap<Pubkey, Account>,
    expected: &ProtoEffects,
    found: Vec<(Pubkey, Account)>,
) -> Result<(), Stop> {
    const LIST: &str = "modified_accounts";
    let expected = by_address(&expected.modified_accounts)?;
    let found: BTreeMap<Pubkey, AccountSharedData> = found
        .into_iter()
        .map(|(address, account)| (address, account.into()))
        .collect();
    for (address, expected) in &expected {
        let stored = || bench.accounts.get(address).cloned().unwrap_or_default();
        let found = found.get(address).cloned().unwrap_or_else(stored);
        same_account(LIST, address, expected, &found)?;
    }
    let is_other = |(address, account): &(&Pubkey, &AccountSharedData)| {
        let before = before.get(*address).cloned().unwrap_or_default();
        same_account(LIST, address, &before, account).is_err()
    };
    let changed = found.iter().filter(is_other).map(|(address, _)| address);
    Ok(none_else(LIST, &expected, changed)?)
}

/// The number that fixtures give to an error: one more than its place among all.
fn error_code(error: &InstructionError) -> i32 {
    i32::try_from(super::txn::place(error)).unwrap_or(i32::MAX)
}
