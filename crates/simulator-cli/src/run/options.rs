//! Arguments of `sim run`, checked: what is to be done, with no contradiction left in it. Opens no file.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use solana_pubkey::Pubkey;
use thiserror::Error;

use super::plan::{End, Wanted};
use crate::args::{AddressFile, FeaturesArg, RunArgs, Subscription};
use crate::output::{OutputKind, OutputNameError};
use crate::place::{Place, PlaceError};

/// What `sim run` does, and where.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) place: Place,
    pub(crate) replay: ReplayOptions,
}

/// What is replayed, how, and what becomes of it.
#[derive(Debug)]
pub(crate) struct ReplayOptions {
    pub(crate) wanted: Wanted,
    pub(crate) changes: Changes,
    pub(crate) detail: Detail,
    pub(crate) programs: BTreeSet<Pubkey>,
    pub(crate) output: Option<OutputKind>,
    pub(crate) dump_accounts: Option<PathBuf>,
    pub(crate) max_divergence: Option<u64>,
    pub(crate) form: Form,
    pub(crate) parallel: NonZeroUsize,
    pub(crate) advance: Option<NonZeroU64>,
}

/// What is different from history.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) programs: Vec<AddressFile>,
    pub(crate) accounts: Vec<AddressFile>,
    pub(crate) extra_compute_units: Option<u32>,
    pub(crate) ignored_signers: BTreeSet<Pubkey>,
    pub(crate) features: Option<FeaturesArg>,
}

/// How much of each transaction is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// Only what diverged.
    Divergences,
    /// Every transaction.
    Transactions,
    /// Every transaction, and every account before and after it.
    AccountDiffs,
}

/// What goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Json,
}

/// Arguments of `sim run` that do not fit together.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum RunOptionsError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    OutputName(#[from] OutputNameError),
    #[error("end slot {end} is before start slot {start}")]
    Backwards { start: u64, end: u64 },
    #[error("--{option} names {address} twice; which of the two files is meant?")]
    Twice { option: &'static str, address: Pubkey },
}

impl TryFrom<RunArgs> for RunOptions {
    type Error = RunOptionsError;

    fn try_from(args: RunArgs) -> Result<Self, RunOptionsError> {
        once_each("program-so", &args.program_so)?;
        once_each("account", &args.account)?;
        let (wanted, detail) = (wanted(&args)?, detail(&args));
        let replay = ReplayOptions {
            wanted,
            detail,
            changes: Changes {
                programs: args.program_so,
                accounts: args.account,
                extra_compute_units: args.extra_compute_units,
                ignored_signers: args.ignore_signer.into_iter().collect(),
                features: args.features,
            },
            programs: args.program_id.into_iter().collect(),
            output: args.output_file.map(OutputKind::from_path).transpose()?,
            dump_accounts: args.dump_accounts,
            max_divergence: args.max_divergence,
            form: if args.json { Form::Json } else { Form::Table },
            parallel: args.parallel,
            advance: args.advance,
        };
        Ok(Self {
            place: Place::new(args.archive, args.server, args.api_key)?,
            replay,
        })
    }
}

fn wanted(args: &RunArgs) -> Result<Wanted, RunOptionsError> {
    let end = match (args.end_slot, args.slots) {
        (Some(slot), _) => End::Slot(slot),
        (None, Some(count)) => End::Slots(count),
        (None, None) => End::Last,
    };
    match (args.start_slot, args.end_slot) {
        (Some(start), Some(end)) if end < start => Err(RunOptionsError::Backwards { start, end }),
        (start, _) => Ok(Wanted { start, end }),
    }
}

fn detail(args: &RunArgs) -> Detail {
    if args.subscriptions.contains(&Subscription::AccountDiff) {
        Detail::AccountDiffs
    } else if args.transactions || args.output_file.is_some() || !args.subscriptions.is_empty() {
        Detail::Transactions
    } else {
        Detail::Divergences
    }
}

fn once_each(option: &'static str, files: &[AddressFile]) -> Result<(), RunOptionsError> {
    let mut seen = BTreeSet::new();
    match files.iter().find(|file| !seen.insert(file.address)) {
        Some(twice) => Err(RunOptionsError::Twice {
            option,
            address: twice.address,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn options(args: &str) -> Result<RunOptions, RunOptionsError> {
        let args = ["sim", "run"].into_iter().chain(args.split_whitespace());
        match Cli::try_parse_from(args).expect("parses").command {
            Command::Run(run) => RunOptions::try_from(*run),
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn detail_is_what_the_outputs_need() {
        let detail = |args: &str| options(&format!("--archive a {args}")).expect("good").replay.detail;
        assert_eq!(detail(""), Detail::Divergences);
        assert_eq!(detail("--json"), Detail::Divergences);
        assert_eq!(detail("--transactions"), Detail::Transactions);
        assert_eq!(detail("--subscriptions transactions"), Detail::Transactions);
        assert_eq!(detail("--output-file x.json"), Detail::Transactions);
        assert_eq!(
            detail("--subscriptions transactions,account-diff"),
            Detail::AccountDiffs
        );
    }

    #[test]
    fn end_before_start_is_refused() {
        let error = options("--archive a --start-slot 5 --end-slot 4").expect_err("backwards");
        insta::assert_snapshot!(error, @"end slot 4 is before start slot 5");
    }

    #[test]
    fn one_file_an_address() {
        let system = Pubkey::default();
        let error = options(&format!("--archive a --account {system}=x --account {system}=y")).expect_err("twice");
        insta::assert_snapshot!(error, @"--account names 11111111111111111111111111111111 twice; which of the two files is meant?");
    }

    #[test]
    fn something_to_replay_is_needed() {
        let error = options("").expect_err("neither");
        insta::assert_snapshot!(error, @"say what to replay: --archive PATH_OR_URL or --server WS_URL");
    }

    #[test]
    fn kind_of_output_follows_from_its_name() {
        let error = options("--archive a --output-file report.csv").expect_err("csv");
        insta::assert_snapshot!(error, @"cannot write report.csv: the name has to end in .json or .jsonl, or be that of a directory for Parquet tables");
    }
}
