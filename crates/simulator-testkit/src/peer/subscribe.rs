//! Subscribe requests.

use serde::Deserialize;
use serde_json::Value;
use simulator_api::{AddressType, Compression, SubscribeOptions};
use solana_address::Address;

/// A request of the data channel.
#[derive(Debug, Deserialize)]
pub(super) struct RpcRequest {
    pub(super) id: u64,
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Vec<Value>,
}

/// What a subscription is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Transactions,
    Logs,
    /// Changes of one account.
    AccountDiffs,
    /// Changes of the accounts of a program.
    ProgramAccountDiffs,
}

/// What a client subscribes to.
#[derive(Clone, Debug)]
pub(super) struct Subscribe {
    pub(super) kind: Kind,
    pub(super) address: Address,
    pub(super) options: SubscribeOptions,
}

impl RpcRequest {
    pub(super) fn subscribe(&self) -> Result<Subscribe, String> {
        let options = self.options()?;
        let program = options.address_type == Some(AddressType::Program);
        let kind = match self.method.as_str() {
            "transactionSubscribe" => Kind::Transactions,
            "logsSubscribe" => Kind::Logs,
            "accountDiffSubscribe" if program => Kind::ProgramAccountDiffs,
            "accountDiffSubscribe" => Kind::AccountDiffs,
            other => return Err(format!("unknown method {other}")),
        };
        let target = self.params.first().ok_or("no target")?;
        let address = match kind {
            Kind::Transactions | Kind::Logs => &target["mentions"][0],
            Kind::AccountDiffs | Kind::ProgramAccountDiffs => target,
        };
        let address = address.as_str().and_then(|address| address.parse().ok());
        let address = address.ok_or("the target is no address")?;
        Ok(Subscribe { kind, address, options })
    }

    fn options(&self) -> Result<SubscribeOptions, String> {
        let Some(options) = self.params.get(1) else {
            return Ok(SubscribeOptions::default());
        };
        let parsed = SubscribeOptions::from_json(&options.to_string()).map_err(|error| error.to_string())?;
        match parsed.rejected.first() {
            Some(rejected) => Err(rejected.to_string()),
            None => Ok(parsed.options),
        }
    }
}

impl Subscribe {
    pub(super) fn is_compressed(&self) -> bool {
        self.options.compression == Some(Compression::Zstd)
    }
}
