//! What a worker is told, and what it writes down before it does it.

use simulator_api::{BacktestError, RequestId};
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use super::Worker;
use crate::command_log::{Command, CommandLogError, LoggedCommand, Point, Progress};
use crate::handle::{ChangeError, Message, SendReply};
use crate::session::{Order, SendId};

impl Worker {
    /// Takes a message. What changes the session is written down before it is applied; a change whose sender has gone
    /// is not made, because it was told that nobody answered.
    pub(super) fn take(&mut self, message: Message) {
        // What a command leads to must not depend on when the next step was asked for.
        self.session.settle();
        match message {
            Message::Order(order) => self.take_order(order),
            Message::Reject { request, error } => self.take_rejected(request, error),
            Message::Remind => self.remind(),
            Message::Close => self.close(),
            Message::SetAccounts { reply, .. } if reply.is_closed() => {}
            Message::SetAccounts { accounts, reply } => {
                drop(reply.send(self.set_accounts(accounts)));
            }
            Message::Send { reply, .. } if reply.is_closed() => {}
            Message::Send { transaction, reply } => self.take_send(*transaction, reply),
            Message::Read(look) => look(&self.executor),
        }
    }

    fn set_accounts(&mut self, accounts: Vec<(Pubkey, AccountSharedData)>) -> Result<(), ChangeError> {
        self.session.check_changeable()?;
        self.write_down(Command::SetAccounts(accounts.clone()))?;
        self.executor.set_accounts(accounts);
        Ok(())
    }

    fn take_order(&mut self, order: Order) {
        if self.session.is_repeated(order.request()) {
            return;
        }
        match self.write_down(Command::Order(order.clone())) {
            Ok(()) => self.session.order(order),
            Err(error) => self.answer(order.request().cloned(), invalid(&error)),
        }
    }

    fn take_rejected(&mut self, request: Option<RequestId>, error: BacktestError) {
        if self.session.is_repeated(request.as_ref()) {
            return;
        }
        let (logged_request, logged_error) = (request.clone(), error.clone());
        match self.write_down(Command::Reject {
            request: logged_request,
            error: logged_error,
        }) {
            Ok(()) => self.session.reject(request, error),
            Err(_) => self.answer(request, error),
        }
    }

    /// A request that cannot be written down is answered all the same, but not by an event: those are numbered, and
    /// would have other numbers after a restart.
    fn answer(&self, request: Option<RequestId>, error: BacktestError) {
        self.events.notice(request, error);
    }

    /// The number of an event depends on every command before it, this one included.
    fn remind(&mut self) {
        if !self.session.is_waiting() {
            return;
        }
        match self.write_down(Command::Remind) {
            Ok(()) => self.session.remind(),
            Err(error) => tracing::warn!(%error, "a reminder was not written down"),
        }
    }

    fn take_send(&mut self, transaction: VersionedTransaction, reply: SendReply) {
        let id = SendId(self.sends.next);
        let taken = self
            .write_down(Command::Send(id, transaction.clone()))
            .map_err(ChangeError::from)
            .and_then(|()| Ok(self.session.send(id)?));
        match taken {
            Ok(()) => {
                self.sends.next += 1;
                self.sends.waiting.insert(id, (transaction, Some(reply)));
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn close(&mut self) {
        if let Err(error) = self.write_down(Command::Close) {
            tracing::warn!(%error, "the end of a session was not written down");
        }
        self.session.close();
        self.held = None;
        self.sends.waiting.clear();
        self.seal();
    }

    pub(super) fn write_down(&mut self, command: Command) -> Result<(), CommandLogError> {
        self.note();
        let at = self.point();
        self.commands.append(LoggedCommand { at, command })
    }

    pub(super) fn point(&self) -> Point {
        Point {
            steps: self.pace.steps,
            events: self.session.told(),
        }
    }

    /// Writes down how far the session has come.
    pub(super) fn note(&mut self) {
        let (reached, read) = self.events.reach();
        let progress = Progress {
            reached: reached.0,
            read: read.0,
            outcomes: self.outcomes.as_ref().and_then(|outcomes| outcomes.acknowledged()),
            data: self.data.needed(),
        };
        if progress != self.pace.noted {
            self.commands.note(progress);
            self.pace.noted = progress;
        }
    }
}

fn invalid(error: &CommandLogError) -> BacktestError {
    BacktestError::InvalidRequest {
        error: error.to_string(),
    }
}
