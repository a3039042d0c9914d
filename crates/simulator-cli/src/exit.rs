//! What the exit code of `sim` says.

use std::process::ExitCode;

/// How a command ended. The numbers are part of the contract: scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done. Also when the reader of standard output went away before the end.
    Done = 0,
    /// The work failed; a message on standard error says what and what to do.
    Failed = 1,
    /// The command line, an environment variable or `sim.toml` is wrong. Nothing was started.
    Usage = 2,
    /// Everything was done, but the result broke a gate that the user set, such as `--max-divergence`.
    Gate = 3,
    /// The server or archive could not be reached within the retry budget.
    Unreachable = 4,
    /// The user interrupted the command. Sessions were closed, and what was written is complete up to a slot boundary.
    Interrupted = 130,
}

impl Exit {
    /// The exit code of the process.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_those_of_the_contract() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Gate,
            Exit::Unreachable,
            Exit::Interrupted,
        ];
        assert_eq!(codes.map(Exit::code), [0, 1, 2, 3, 4, 130]);
    }
}
