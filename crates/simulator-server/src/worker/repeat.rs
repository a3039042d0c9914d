//! A session does again what it had done before the process ended.
//!
//! Everything that a session does follows from its archive, its create and its commands, each taken at its point: so
//! it does as many steps as there were before a command, takes the command, and goes on. It ends where the session was
//! last known to have been; from there on it goes at the pace of its readers, as every session does.

use simulator_api::BacktestError;
use thiserror::Error;

use super::{Need, Worker};
use crate::command_log::{Command, LoggedCommand, Point, Progress};

/// What is known of a session that was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Past {
    /// Every command, in order.
    pub(crate) commands: Vec<LoggedCommand>,
    /// How far it has come at least.
    pub(crate) progress: Progress,
}

/// Why a session cannot be brought to where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum RepeatError {
    /// The archive, or what executes it, is not the same.
    #[error(
        "the session does not do again what it did: a command came after {expected:?}, and there is {found:?} instead"
    )]
    Differs {
        /// Where the command came.
        expected: Point,
        /// How far the session gets.
        found: Point,
    },
    /// The server stops.
    #[error("the session was stopped before it was where it had been")]
    Stopped,
}

impl From<RepeatError> for BacktestError {
    fn from(error: RepeatError) -> Self {
        Self::Internal {
            error: error.to_string(),
        }
    }
}

impl Worker {
    /// Brings a session that has just begun to where it was.
    ///
    /// # Errors
    /// [`RepeatError`]; the session is of no use then.
    pub(crate) fn repeat(&mut self, past: Past) -> Result<(), RepeatError> {
        self.pace.is_repeating = true;
        let withdrawn = past.commands.iter().filter_map(|logged| match &logged.command {
            Command::Withdraw(id) => Some(*id),
            _ => None,
        });
        self.sends.withdrawn.extend(withdrawn);
        for logged in past.commands {
            self.repeat_command(logged)?;
        }
        while self.events.reach().0.0 < past.progress.reached {
            if !self.repeat_step()? {
                break;
            }
        }
        self.pace.is_repeating = false;
        self.pace.noted = past.progress;
        Ok(())
    }

    fn repeat_command(&mut self, logged: LoggedCommand) -> Result<(), RepeatError> {
        while self.pace.steps < logged.at.steps && !self.session.has_ended() {
            if !self.repeat_step()? {
                return Err(self.differs(logged.at));
            }
        }
        match logged.command {
            // The step that comes next is the one in which they came: it takes them into account, or ends the session.
            Command::Withdraw(_) | Command::Close => {}
            Command::Fail(_) if self.session.has_ended() => {}
            Command::Fail(error) => self.fail(error),
            command => {
                self.session.settle();
                if self.point().events != logged.at.events {
                    return Err(self.differs(logged.at));
                }
                self.apply_again(command);
            }
        }
        self.publish();
        Ok(())
    }

    fn apply_again(&mut self, command: Command) {
        match command {
            Command::Order(order) => self.session.order(order),
            Command::Reject { request, error } => self.session.reject(request, error),
            Command::Remind => self.session.remind(),
            Command::SetAccounts(accounts) => self.executor.set_accounts(accounts),
            Command::Send(id, transaction) => {
                if self.session.send(id).is_ok() {
                    self.sends.next = id.0 + 1;
                    self.sends.waiting.insert(id, (transaction, None));
                }
            }
            Command::Withdraw(_) | Command::Fail(_) | Command::Close => {}
        }
    }

    /// Does a step; whether there was one.
    fn repeat_step(&mut self) -> Result<bool, RepeatError> {
        loop {
            match self.step() {
                None => return Ok(true),
                Some(need @ (Need::Block | Need::Sight)) => {
                    if !self.wait(need) {
                        return Err(RepeatError::Stopped);
                    }
                }
                Some(_) => return Ok(false),
            }
        }
    }

    fn differs(&self, expected: Point) -> RepeatError {
        RepeatError::Differs {
            expected,
            found: self.point(),
        }
    }
}
