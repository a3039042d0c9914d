//! Accounts and tokens at the end of the sample, as the validator's dump has them.

use std::collections::BTreeSet;

use simulator_testkit::accounts::AccountRecord;
use solana_account::{Account, ReadableAccount as _};
use solana_account_decoder::{UiAccount, UiAccountData, UiAccountEncoding, UiDataSliceConfig};
use solana_commitment_config::CommitmentConfig;
use solana_pubkey::Pubkey;
use solana_rpc_client_api::config::{RpcAccountInfoConfig, RpcProgramAccountsConfig};
use solana_rpc_client_api::filter::{Memcmp, RpcFilterType};
use solana_rpc_client_api::request::TokenAccountsFilter;
use solana_rpc_client_api::response::RpcKeyedAccount;
use spl_token_2022_interface::extension::StateWithExtensions;
use spl_token_2022_interface::state::{Account as TokenAccount, Mint};

use crate::stage::Stage;

/// As many as one answer of `getMultipleAccounts` may have.
const ACCOUNTS: usize = 100;
/// Most bytes of data in base58.
const BASE58_BYTES: usize = 128;
/// As many as an answer of `getTokenLargestAccounts` has.
const LARGEST: usize = 20;

const TOKEN_PROGRAM: Pubkey = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const TOKEN_2022: Pubkey = Pubkey::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

#[tokio::test]
async fn the_accounts_are_the_recorded_ones() {
    let mut stage = Stage::sample().await;
    stage.finish().await;
    check_all(&stage).await;
    check_encodings(&stage).await;
    check_programs(&stage).await;
}

#[tokio::test]
async fn the_tokens_are_the_recorded_ones() {
    let mut stage = Stage::sample().await;
    stage.finish().await;
    check_token_accounts(&stage).await;
    check_mints(&stage).await;
    check_holders(&stage).await;
}

fn account_of(record: &AccountRecord) -> Account {
    Account {
        lamports: record.lamports,
        data: record.data.clone(),
        owner: record.owner,
        executable: record.executable,
        rent_epoch: record.rent_epoch,
    }
}

async fn check_all(stage: &Stage) {
    let all: Vec<_> = stage.ledger.accounts.iter().collect();
    for records in all.chunks(ACCOUNTS) {
        let addresses: Vec<_> = records.iter().map(|(address, _)| **address).collect();
        let found = stage.rpc.get_multiple_accounts(&addresses).await.unwrap();
        let expected: Vec<_> = records.iter().map(|(_, record)| Some(account_of(record))).collect();
        assert_eq!(found, expected);
    }
    for (address, record) in all.iter().step_by(11) {
        assert_eq!(stage.rpc.get_account(address).await.unwrap(), account_of(record));
        assert_eq!(stage.rpc.get_account_data(address).await.unwrap(), record.data);
        assert_eq!(stage.rpc.get_balance(address).await.unwrap(), record.lamports);
        let balance = stage
            .rpc
            .get_balance_with_commitment(address, CommitmentConfig::processed())
            .await;
        assert_eq!(balance.unwrap().value, record.lamports);
    }
    let nobody = Pubkey::new_from_array([7; 32]);
    assert_eq!(stage.rpc.get_balance(&nobody).await.unwrap(), 0);
    let none = stage
        .rpc
        .get_account_with_commitment(&nobody, CommitmentConfig::confirmed())
        .await
        .unwrap();
    assert_eq!((none.value, none.context.slot), (None, stage.ledger.last_slot()));
    let some = stage
        .rpc
        .get_multiple_accounts_with_commitment(&[nobody], CommitmentConfig::confirmed())
        .await;
    assert_eq!(some.unwrap().value, [None]);
}

fn config(encoding: UiAccountEncoding, slice: Option<UiDataSliceConfig>) -> RpcAccountInfoConfig {
    RpcAccountInfoConfig {
        encoding: Some(encoding),
        data_slice: slice,
        commitment: Some(CommitmentConfig::confirmed()),
        min_context_slot: Some(1),
    }
}

async fn shown(stage: &Stage, address: &Pubkey, config: RpcAccountInfoConfig) -> UiAccount {
    let found = stage
        .rpc
        .get_ui_account_with_config(address, config.clone())
        .await
        .unwrap();
    let together = stage
        .rpc
        .get_multiple_ui_accounts_with_config(&[*address], config)
        .await
        .unwrap();
    assert_eq!(together.value, std::slice::from_ref(&found.value));
    found.value.unwrap()
}

async fn check_encodings(stage: &Stage) {
    let Stage { ledger, .. } = stage;
    for (address, record) in ledger.accounts.iter().step_by(17) {
        for encoding in [
            UiAccountEncoding::Base58,
            UiAccountEncoding::Base64,
            UiAccountEncoding::Base64Zstd,
        ] {
            let is_long = record.data.len() > BASE58_BYTES && encoding == UiAccountEncoding::Base58;
            let slice = is_long.then_some(UiDataSliceConfig {
                offset: 8,
                length: BASE58_BYTES,
            });
            let account = shown(stage, address, config(encoding, slice)).await;
            let data = slice.map_or(&record.data[..], |slice| {
                let end = (slice.offset + slice.length).min(record.data.len());
                &record.data[slice.offset..end]
            });
            assert_eq!(
                account.data.decode().as_deref(),
                Some(data),
                "{address} in {encoding:?}"
            );
            assert_eq!(account.space, Some(record.data.len() as u64));
            assert_eq!(
                (account.lamports, account.owner),
                (record.lamports, record.owner.to_string())
            );
        }
        let parsed = shown(stage, address, config(UiAccountEncoding::JsonParsed, None)).await;
        let is_parsed = matches!(parsed.data, UiAccountData::Json(_));
        assert!(is_parsed || record.owner != TOKEN_PROGRAM, "{address}");
    }
}

async fn check_programs(stage: &Stage) {
    let Stage { ledger, rpc, .. } = stage;
    let owners: BTreeSet<_> = ledger.accounts.values().map(|record| record.owner).collect();
    for owner in &owners {
        let owned = ledger.accounts.iter().filter(|(_, record)| record.owner == *owner);
        let expected: Vec<_> = owned.map(|(address, record)| (*address, account_of(record))).collect();
        assert_eq!(rpc.get_program_accounts(owner).await.unwrap(), expected);
        let Some((_, first)) = expected.iter().find(|(_, account)| !account.data().is_empty()) else {
            continue;
        };
        let (size, byte) = (first.data().len(), first.data()[0]);
        let filtered = expected
            .iter()
            .filter(|(_, account)| account.data().len() == size && account.data()[0] == byte);
        let slice = UiDataSliceConfig { offset: 1, length: 40 };
        let sliced = |data: &[u8]| data[slice.offset.min(size)..(slice.offset + slice.length).min(size)].to_vec();
        let filtered: Vec<_> = filtered
            .map(|(address, account)| (*address, sliced(account.data())))
            .collect();
        let filters = [
            RpcFilterType::DataSize(size as u64),
            RpcFilterType::Memcmp(Memcmp::new_base58_encoded(0, &[byte])),
            RpcFilterType::Memcmp(Memcmp::new_raw_bytes(0, vec![byte])),
        ];
        for with_context in [None, Some(true)] {
            let config = RpcProgramAccountsConfig {
                filters: Some(filters.to_vec()),
                account_config: config(UiAccountEncoding::Base64, Some(slice)),
                with_context,
                sort_results: Some(true),
            };
            let found = rpc.get_program_ui_accounts_with_config(owner, config).await.unwrap();
            let found = found
                .into_iter()
                .map(|(address, account)| (address, account.data.decode().unwrap()));
            assert_eq!(found.collect::<Vec<_>>(), filtered);
        }
    }
}

/// Every token account of both programs.
fn token_accounts(stage: &Stage) -> Vec<(Pubkey, Pubkey, TokenAccount)> {
    let read = |(address, record): (&Pubkey, &AccountRecord)| {
        let is_token = [TOKEN_PROGRAM, TOKEN_2022].contains(&record.owner);
        let state = StateWithExtensions::<TokenAccount>::unpack(&record.data)
            .ok()
            .filter(|_| is_token)?;
        Some((*address, record.owner, state.base))
    };
    let all: Vec<_> = stage.ledger.accounts.iter().filter_map(read).collect();
    assert!(all.len() > LARGEST);
    all
}

async fn check_token_accounts(stage: &Stage) {
    for (address, _, state) in token_accounts(stage).iter().step_by(3) {
        let amount = stage.rpc.get_token_account_balance(address).await.unwrap();
        assert_eq!(amount.amount, state.amount.to_string());
        let account = stage.rpc.get_token_account(address).await.unwrap().unwrap();
        assert_eq!(
            (account.mint, account.owner),
            (state.mint.to_string(), state.owner.to_string())
        );
        assert_eq!(account.token_amount.amount, state.amount.to_string());
        let record = &stage.ledger.accounts[&state.mint];
        let mint = StateWithExtensions::<Mint>::unpack(&record.data).unwrap();
        assert_eq!(account.token_amount.decimals, mint.base.decimals);
    }
}

async fn check_mints(stage: &Stage) {
    let accounts = token_accounts(stage);
    let mints: BTreeSet<_> = accounts.iter().map(|(_, _, state)| state.mint).collect();
    for mint in mints {
        let record = &stage.ledger.accounts[&mint];
        let state = StateWithExtensions::<Mint>::unpack(&record.data).unwrap();
        let supply = stage.rpc.get_token_supply(&mint).await.unwrap();
        assert_eq!(
            (supply.amount, supply.decimals),
            (state.base.supply.to_string(), state.base.decimals)
        );
        let largest = stage.rpc.get_token_largest_accounts(&mint).await.unwrap();
        let amounts: Vec<u64> = largest
            .iter()
            .map(|balance| balance.amount.amount.parse().unwrap())
            .collect();
        let mut expected: Vec<_> = accounts.iter().filter(|(_, _, state)| state.mint == mint).collect();
        expected.sort_by_key(|(_, _, state)| std::cmp::Reverse(state.amount));
        expected.truncate(LARGEST);
        assert_eq!(
            amounts,
            expected.iter().map(|(_, _, state)| state.amount).collect::<Vec<_>>()
        );
    }
}

fn addresses(found: Vec<RpcKeyedAccount>) -> Vec<String> {
    found.into_iter().map(|keyed| keyed.pubkey).collect()
}

/// Who owns tokens, and who may spend those of others.
async fn check_holders(stage: &Stage) {
    let accounts = token_accounts(stage);
    let meant = |is_meant: &dyn Fn(&Pubkey, &TokenAccount) -> bool| -> Vec<String> {
        let meant = accounts.iter().filter(|(_, program, state)| is_meant(program, state));
        meant.map(|(address, ..)| address.to_string()).collect()
    };
    for (_, program, of) in accounts.iter().step_by(5) {
        let by_program = TokenAccountsFilter::ProgramId(*program);
        let found = stage
            .rpc
            .get_token_accounts_by_owner(&of.owner, by_program)
            .await
            .unwrap();
        assert_eq!(
            addresses(found),
            meant(&|other, state| other == program && state.owner == of.owner)
        );
        let by_mint = || TokenAccountsFilter::Mint(of.mint);
        let found = stage
            .rpc
            .get_token_accounts_by_owner(&of.owner, by_mint())
            .await
            .unwrap();
        assert_eq!(
            addresses(found),
            meant(&|_, state| state.owner == of.owner && state.mint == of.mint)
        );
        let delegate: Pubkey = Option::from(of.delegate).unwrap_or(of.owner);
        let found = stage
            .rpc
            .get_token_accounts_by_delegate(&delegate, by_mint())
            .await
            .unwrap();
        let is_delegated =
            |_: &Pubkey, state: &TokenAccount| Option::from(state.delegate) == Some(delegate) && state.mint == of.mint;
        assert_eq!(addresses(found), meant(&is_delegated));
    }
}
