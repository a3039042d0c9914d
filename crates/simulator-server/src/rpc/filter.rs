//! The filters of searches and of program subscriptions.

use solana_account::{AccountSharedData, ReadableAccount};
use solana_rpc_client_types::filter::RpcFilterType;
use spl_token_2022_interface::generic_token_account::GenericTokenAccount;
use spl_token_2022_interface::state::Account as TokenAccount;

use super::error::RpcError;

/// Which accounts of a program are meant: those that pass all of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters(Vec<RpcFilterType>);

/// Most filters at once, as Solana has it.
const MAX_FILTERS: usize = 4;

impl Filters {
    /// Reads filters and decodes their bytes.
    ///
    /// # Errors
    /// There are too many, or one of them compares too many bytes or cannot be decoded.
    pub(crate) fn read(mut filters: Vec<RpcFilterType>) -> Result<Self, RpcError> {
        if filters.len() > MAX_FILTERS {
            return Err(RpcError::invalid_params(format!(
                "Too many filters provided; max {MAX_FILTERS}"
            )));
        }
        for filter in &mut filters {
            let verified = filter.verify().and_then(|()| match filter {
                RpcFilterType::Memcmp(compared) => compared.convert_to_raw_bytes(),
                RpcFilterType::DataSize(_) | RpcFilterType::TokenAccountState => Ok(()),
            });
            verified.map_err(|error| RpcError::invalid_params(format!("Invalid param: {error:?}")))?;
        }
        Ok(Self(filters))
    }

    pub(crate) fn pass(&self, account: &AccountSharedData) -> bool {
        self.0.iter().all(|filter| passes(filter, account))
    }
}

fn passes(filter: &RpcFilterType, account: &AccountSharedData) -> bool {
    match filter {
        RpcFilterType::DataSize(size) => account.data().len() as u64 == *size,
        RpcFilterType::Memcmp(compared) => compared.bytes_match(account.data()),
        RpcFilterType::TokenAccountState => TokenAccount::valid_account_data(account.data()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use solana_pubkey::Pubkey;

    use super::*;

    fn read(filters: Value) -> Result<Filters, RpcError> {
        Filters::read(serde_json::from_value(filters).unwrap())
    }

    fn account(data: &[u8]) -> AccountSharedData {
        let mut account = AccountSharedData::new(1, data.len(), &Pubkey::default());
        account.set_data_from_slice(data);
        account
    }

    #[test]
    fn all_of_them_have_to_pass() {
        let filters = read(json!([
            {"dataSize": 4},
            {"memcmp": {"offset": 1, "bytes": [2, 3]}},
            {"memcmp": {"offset": 0, "bytes": "AQI=", "encoding": "base64"}},
            {"memcmp": {"offset": 3, "bytes": "5"}},
        ]));
        let filters = filters.unwrap();
        assert!(filters.pass(&account(&[1, 2, 3, 4])));
        for other in [&[1, 2, 3, 5][..], &[1, 2, 3, 4, 4], &[9, 2, 3, 4], &[]] {
            assert!(!filters.pass(&account(other)), "{other:?}");
        }
        assert!(Filters::default().pass(&account(&[])));
        assert!(!read(json!(["tokenAccountState"])).unwrap().pass(&account(&[0; 165])));
    }

    #[test]
    fn too_many_and_unreadable_ones_are_refused() {
        assert_eq!(read(json!(vec![json!({"dataSize": 1}); 5])).unwrap_err().code, -32602);
        let compared = |bytes: Value| read(json!([{"memcmp": {"offset": 0, "bytes": bytes}}]));
        assert_eq!(compared(json!("0")).unwrap_err().code, -32602);
        assert_eq!(compared(json!(vec![1; 129])).unwrap_err().code, -32602);
        assert!(compared(json!(vec![1; 128])).is_ok());
    }
}
