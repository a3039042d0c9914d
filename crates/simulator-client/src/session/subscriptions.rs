//! A session's subscriptions.

use std::fmt::Display;

use solana_commitment_config::CommitmentConfig;

use super::BacktestSession;
use crate::machine::subscription::{AccountDiffNotification, ActionNotification, LogsNotification, SubscriptionKind};
use crate::managed::{ConnectionPolicy, SubscriptionStart};
use crate::subscriptions::{
    AccountDiffSubscriptionHandle, LogSubscriptionHandle, SubscriptionError, SubscriptionHandle, account_diffs,
    actions, program_logs,
};

impl BacktestSession {
    /// Calls back with the logs of each transaction that mentions a program, as
    /// [`subscribe_program_logs`](crate::subscribe_program_logs) does; but connects as the session's client does.
    ///
    /// # Errors
    ///
    /// As [`subscribe_program_logs`](crate::subscribe_program_logs).
    pub async fn subscribe_program_logs<C, F>(
        &self,
        program_id: impl Display,
        commitment: CommitmentConfig,
        callback: C,
    ) -> Result<LogSubscriptionHandle, SubscriptionError>
    where
        C: FnMut(LogsNotification) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        // Everything in a session is confirmed.
        let _ = commitment;
        program_logs(self.subscription(SubscriptionKind::Logs, &program_id), callback).await
    }

    /// Calls back with each change of one account, as
    /// [`subscribe_account_diffs`](crate::subscribe_account_diffs) does; but connects as the session's client does.
    ///
    /// # Errors
    ///
    /// As [`subscribe_program_logs`](crate::subscribe_program_logs).
    pub async fn subscribe_account_diffs<C, F>(
        &self,
        account: impl Display,
        callback: C,
    ) -> Result<AccountDiffSubscriptionHandle, SubscriptionError>
    where
        C: FnMut(AccountDiffNotification) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        account_diffs(self.subscription(SubscriptionKind::AccountDiffs, &account), callback).await
    }

    /// Calls back with what each of the session's scheduled actions led to, as
    /// [`subscribe_actions`](crate::subscribe_actions) does; but connects as the session's client does.
    ///
    /// # Errors
    ///
    /// As [`subscribe_program_logs`](crate::subscribe_program_logs).
    pub async fn subscribe_actions<C, F>(&self, callback: C) -> Result<SubscriptionHandle, SubscriptionError>
    where
        C: FnMut(ActionNotification) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let start = SubscriptionStart::actions(self.rpc_endpoint().to_owned());
        actions(self.connected_as_client(start), callback).await
    }

    fn subscription(&self, kind: SubscriptionKind, address: &impl Display) -> SubscriptionStart {
        let start = SubscriptionStart::new(self.rpc_endpoint().to_owned(), kind, vec![address.to_string()]);
        self.connected_as_client(start)
    }

    fn connected_as_client(&self, start: SubscriptionStart) -> SubscriptionStart {
        let limits = &self.link.limits;
        let policy = ConnectionPolicy {
            connect_timeout: limits.connect_timeout,
            max_message_bytes: limits.message_bytes,
            ..ConnectionPolicy::default()
        };
        SubscriptionStart {
            policy,
            connector: Some(self.opened.connector.clone()),
            ..start
        }
    }
}
