//! Everything that can end a command before it is done, and the exit code that says so.

use std::error::Error;

use thiserror::Error;

use crate::archive::ArchiveCommandError;
use crate::exit::Exit;
use crate::ranges::RangesError;
use crate::run::RunError;
use crate::serve::ServeError;
use crate::settings::SettingsError;
use crate::verify_run::VerifyRunError;

/// Why a command ended early.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    VerifyRun(#[from] VerifyRunError),
    #[error(transparent)]
    Ranges(#[from] RangesError),
    #[error(transparent)]
    Archive(#[from] ArchiveCommandError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

impl CliError {
    /// The exit code for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Usage,
            Self::Run(error) => error.exit(),
            Self::Serve(error) => error.exit(),
            Self::VerifyRun(error) => error.exit(),
            Self::Ranges(error) => error.exit(),
            Self::Archive(error) => error.exit(),
            Self::Runtime(_) => Exit::Failed,
        }
    }

    /// The error with its causes, as it is shown.
    pub(crate) fn text(&self) -> String {
        format!("error: {}", chain(self))
    }
}

/// An error and its causes, one a line. A cause that the line before it already tells is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut text = told.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !told.contains(&next) {
            text.push_str("\n  because: ");
            text.push_str(&next);
        }
        told = next;
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, Error)]
    #[error("middle: {0}")]
    struct Middle(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn every_cause_is_told_once() {
        assert_eq!(chain(&Outer(Middle(Inner))), "outer\n  because: middle: inner");
    }
}
