//! Accounts.

use simulator_api::replay::{AccountBytes, ReplayAccount, ReplayAccountEntry};
use simulator_api::{AccountData, AccountModifications, BacktestError, BinaryEncoding, EncodedBinary};
use solana_account::{Account, AccountSharedData, ReadableAccount};
use solana_account_decoder::parse_account_data::{AccountAdditionalDataV3, SplTokenAdditionalDataV2};
use solana_account_decoder::parse_token::get_token_account_mint;
use solana_account_decoder::{UiAccount, UiAccountEncoding, UiDataSliceConfig, encode_ui_account};
use solana_pubkey::Pubkey;
use spl_token_2022_interface::extension::interest_bearing_mint::InterestBearingConfig;
use spl_token_2022_interface::extension::scaled_ui_amount::ScaledUiAmountConfig;
use spl_token_2022_interface::extension::{BaseStateWithExtensions, StateWithExtensions};
use spl_token_2022_interface::state::Mint;

/// The mint of wrapped SOL.
const NATIVE_MINT: Pubkey = Pubkey::from_str_const("So11111111111111111111111111111111111111112");
const NATIVE_DECIMALS: u8 = 9;

/// What an account is written in besides its own data.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParseContext {
    /// The mint of a token account.
    pub(crate) mint: Option<AccountSharedData>,
    /// The time of the session in seconds, which interest depends on.
    pub(crate) unix_timestamp: i64,
}

/// Accounts to replace, sorted by address.
///
/// # Errors
/// The first account whose data is not in the encoding that it names.
pub(crate) fn modifications(accounts: AccountModifications) -> Result<Vec<(Pubkey, AccountSharedData)>, BacktestError> {
    accounts
        .into_iter()
        .map(|(address, account)| Ok((address, shared(&address, &account)?)))
        .collect()
}

/// An account as Solana's RPC shows it.
pub(crate) fn ui_account(
    address: &Pubkey,
    account: &AccountSharedData,
    encoding: UiAccountEncoding,
    slice: Option<UiDataSliceConfig>,
    context: &ParseContext,
) -> UiAccount {
    let mint = context.mint.as_ref();
    let token = mint
        .and_then(|mint| token_context(mint, context.unix_timestamp))
        .or_else(|| mint_of(account).as_ref().and_then(native_tokens));
    let additional = token.map(|token| AccountAdditionalDataV3 {
        spl_token_additional_data: Some(token),
    });
    encode_ui_account(address, account, encoding, additional, slice)
}

/// The mint of a token account.
pub(crate) fn mint_of(account: &AccountSharedData) -> Option<Pubkey> {
    let is_token = spl_token_2022_interface::check_spl_token_program_account(account.owner()).is_ok();
    is_token.then(|| get_token_account_mint(account.data())).flatten()
}

/// An account as `getReplayAccounts` shows it.
pub(crate) fn replay_account(pubkey: Pubkey, account: &AccountSharedData) -> ReplayAccountEntry {
    let account = ReplayAccount {
        lamports: account.lamports(),
        data: AccountBytes::from_bytes(account.data()),
        owner: *account.owner(),
        executable: account.executable(),
        rent_epoch: account.rent_epoch(),
        space: account.data().len() as u64,
    };
    ReplayAccountEntry { pubkey, account }
}

/// An account in the form in which a client also sends it.
pub(super) fn account_data(account: &AccountSharedData) -> AccountData {
    AccountData {
        data: EncodedBinary::from_bytes(account.data(), BinaryEncoding::Base64),
        executable: account.executable(),
        lamports: account.lamports(),
        owner: *account.owner(),
        space: account.data().len() as u64,
    }
}

/// The wire has no rent epoch: an account that a user sets is exempt from rent, as every account is nowadays.
fn shared(address: &Pubkey, account: &AccountData) -> Result<AccountSharedData, BacktestError> {
    let data = account
        .data
        .decode()
        .map_err(|error| BacktestError::InvalidAccountEncoding {
            address: address.to_string(),
            encoding: "base64".to_owned(),
            error: error.to_string(),
        })?;
    let AccountData {
        lamports,
        owner,
        executable,
        ..
    } = *account;
    Ok(Account {
        lamports,
        data,
        owner,
        executable,
        rent_epoch: u64::MAX,
    }
    .into())
}

/// What amounts of wrapped SOL are shown with, which is the same everywhere: an archive need not hold its mint. `None` for
/// all other mints.
pub(crate) fn native_tokens(mint: &Pubkey) -> Option<SplTokenAdditionalDataV2> {
    (*mint == NATIVE_MINT).then(|| SplTokenAdditionalDataV2::with_decimals(NATIVE_DECIMALS))
}

/// What amounts of a mint's tokens are shown with; `None` if the account is not a mint.
pub(crate) fn token_context(mint: &AccountSharedData, unix_timestamp: i64) -> Option<SplTokenAdditionalDataV2> {
    let mint = StateWithExtensions::<Mint>::unpack(mint.data()).ok()?;
    let interest = mint.get_extension::<InterestBearingConfig>().ok();
    let scaled = mint.get_extension::<ScaledUiAmountConfig>().ok();
    Some(SplTokenAdditionalDataV2 {
        decimals: mint.base.decimals,
        interest_bearing_config: interest.map(|config| (*config, unix_timestamp)),
        scaled_ui_amount_config: scaled.map(|config| (*config, unix_timestamp)),
    })
}
