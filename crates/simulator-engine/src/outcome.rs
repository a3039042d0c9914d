//! From the virtual machine's result to the form in which outcomes are recorded and compared.

use bytes::Bytes;
use simulator_archive::model::{
    InnerInstruction, InnerInstructions, LoadedAddresses, Outcome, ReturnData, TokenBalance,
};
use solana_message::inner_instruction::InnerInstructionsList;
use solana_pubkey::Pubkey;
use solana_svm::transaction_balances::SvmTokenInfo;
use solana_svm::transaction_processing_result::ProcessedTransaction;
use solana_svm_transaction::svm_message::{SVMMessage, SVMStaticMessage};

use crate::check::Sanitized;

/// Balances as the machine collects them: lamports before and after, tokens before and after, a list a transaction.
pub(crate) type CollectedBalances = (
    Vec<Vec<u64>>,
    Vec<Vec<u64>>,
    Vec<Vec<SvmTokenInfo>>,
    Vec<Vec<SvmTokenInfo>>,
);

/// The outcome of a transaction that went through the machine alone.
pub(crate) fn from_processed(
    transaction: &Sanitized,
    processed: &ProcessedTransaction,
    (mut pre, mut post, mut pre_tokens, mut post_tokens): CollectedBalances,
) -> Outcome {
    let details = processed.execution_details();
    let return_data = details
        .and_then(|details| details.return_data.as_ref())
        .filter(|data| !data.data.is_empty());
    Outcome {
        status: processed.status(),
        fee: processed.fee_details().total_fee(),
        pre_balances: pre.pop().unwrap_or_default(),
        post_balances: post.pop().unwrap_or_default(),
        pre_token_balances: Some(token_balances(pre_tokens.pop())),
        post_token_balances: Some(token_balances(post_tokens.pop())),
        logs: details.and_then(|details| details.log_messages.clone()),
        inner_instructions: details
            .and_then(|details| details.inner_instructions.as_ref())
            .map(inner_instructions),
        return_data: return_data.map(|data| ReturnData {
            program_id: data.program_id,
            data: Bytes::copy_from_slice(&data.data),
        }),
        compute_units: Some(processed.executed_units()),
        loaded_addresses: Some(loaded_addresses(transaction)),
        cost_units: None,
    }
}

fn token_balances(tokens: Option<Vec<SvmTokenInfo>>) -> Vec<TokenBalance> {
    tokens
        .unwrap_or_default()
        .into_iter()
        .map(|token| TokenBalance {
            account_index: token.account_index,
            mint: token.mint,
            owner: Some(token.owner),
            program_id: Some(token.program_id),
            amount: token.amount,
            decimals: token.decimals,
        })
        .collect()
}

/// Top-level instructions that invoked nothing are left out, as `getBlock` does.
fn inner_instructions(list: &InnerInstructionsList) -> Vec<InnerInstructions> {
    list.iter()
        .enumerate()
        .filter(|(_, instructions)| !instructions.is_empty())
        .map(|(index, instructions)| InnerInstructions {
            index: u8::try_from(index).unwrap_or(u8::MAX),
            instructions: instructions
                .iter()
                .map(|inner| InnerInstruction {
                    program_id_index: inner.instruction.program_id_index,
                    accounts: inner.instruction.accounts.clone(),
                    data: Bytes::copy_from_slice(&inner.instruction.data),
                    stack_height: Some(u32::from(inner.stack_height)),
                })
                .collect(),
        })
        .collect()
}

fn loaded_addresses(transaction: &Sanitized) -> LoadedAddresses {
    let loaded = transaction.get_loaded_addresses();
    LoadedAddresses {
        writable: loaded.writable,
        readonly: loaded.readonly,
    }
}

/// All account keys of a transaction: static ones, then loaded writable and read-only ones.
pub(crate) fn account_keys(transaction: &Sanitized) -> Vec<Pubkey> {
    SVMMessage::account_keys(transaction).iter().copied().collect()
}

/// The programs that a transaction invoked, at the top level or through others, in order of first use.
pub(crate) fn invoked_programs(transaction: &Sanitized, keys: &[Pubkey], outcome: Option<&Outcome>) -> Vec<Pubkey> {
    let mut programs = Vec::new();
    let mut add = |program: &Pubkey| {
        if !programs.contains(program) {
            programs.push(*program);
        }
    };
    let inner = outcome
        .and_then(|outcome| outcome.inner_instructions.as_deref())
        .unwrap_or_default();
    for (index, (program, _)) in transaction.program_instructions_iter().enumerate() {
        add(program);
        let invoked = inner.iter().filter(|group| usize::from(group.index) == index);
        for instruction in invoked.flat_map(|group| &group.instructions) {
            if let Some(program) = keys.get(usize::from(instruction.program_id_index)) {
                add(program);
            }
        }
    }
    programs
}
