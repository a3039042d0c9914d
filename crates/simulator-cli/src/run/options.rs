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
use crate::report::Transactions;

/// What `sim run` does, and where.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) place: Place,
    pub(crate) changes: Changes,
    pub(crate) replay: ReplayOptions,
}

/// What is replayed, how, and what becomes of it.
#[derive(Debug)]
pub(crate) struct ReplayOptions {
    pub(crate) wanted: Wanted,
    pub(crate) detail: Detail,
    pub(crate) programs: BTreeSet<Pubkey>,
    pub(crate) output: Option<OutputKind>,
    pub(crate) dump_accounts: Option<PathBuf>,
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) max_divergence: Option<u64>,
    pub(crate) form: Form,
    pub(crate) parallel: NonZeroUsize,
    pub(crate) advance: Option<NonZeroU64>,
}

/// What is different from history.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// In the order in which they are made.
    pub(crate) replacements: Vec<Replacement<AddressFile>>,
    pub(crate) extra_compute_units: Option<u32>,
    pub(crate) ignored_signers: BTreeSet<Pubkey>,
    pub(crate) features: Option<FeaturesArg>,
}

/// Something that is replaced before the first transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replacement<P, A = P> {
    /// The code of a program.
    Program(P),
    /// Accounts, all at once.
    Accounts(Vec<A>),
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
    /// The JSON object, with or without its transactions.
    Json(Transactions),
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
    #[error("transactions are asked for, but the table has none; add --json or --output-file FILE")]
    NowhereToList,
    #[error("--{one} and --{other} name the same file; give each its own")]
    OneFile { one: &'static str, other: &'static str },
    #[error("--{option} names {address} twice; which of the two files is meant?")]
    Twice { option: &'static str, address: Pubkey },
}

impl TryFrom<RunArgs> for RunOptions {
    type Error = RunOptionsError;

    fn try_from(args: RunArgs) -> Result<Self, RunOptionsError> {
        once_each("program-so", &args.program_so)?;
        once_each("account", &args.account)?;
        let (wanted, detail, form) = (wanted(&args)?, detail(&args), form(&args)?);
        let changes = Changes {
            replacements: replacements(args.program_so, args.account),
            extra_compute_units: args.extra_compute_units,
            ignored_signers: args.ignore_signer.into_iter().collect(),
            features: args.features,
        };
        a_file_each([
            ("output-file", &args.output_file),
            ("dump-accounts", &args.dump_accounts),
            ("manifest", &args.manifest),
        ])?;
        let replay = ReplayOptions {
            wanted,
            detail,
            form,
            programs: args.program_id.into_iter().collect(),
            output: args.output_file.map(OutputKind::from_path).transpose()?,
            dump_accounts: args.dump_accounts,
            manifest: args.manifest,
            max_divergence: args.max_divergence,
            parallel: args.parallel,
            advance: args.advance,
        };
        Ok(Self {
            place: args.place.try_into()?,
            changes,
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
    } else if lists_transactions(args) || args.output_file.is_some() {
        Detail::Transactions
    } else {
        Detail::Divergences
    }
}

/// Transactions that are only there for an output file are not printed.
fn form(args: &RunArgs) -> Result<Form, RunOptionsError> {
    match (args.json, lists_transactions(args)) {
        (true, true) => Ok(Form::Json(Transactions::List)),
        (true, false) => Ok(Form::Json(Transactions::Omit)),
        (false, true) if args.output_file.is_none() => Err(RunOptionsError::NowhereToList),
        (false, _) => Ok(Form::Table),
    }
}

fn lists_transactions(args: &RunArgs) -> bool {
    args.transactions || !args.subscriptions.is_empty()
}

/// An account of the user's wins over one that replaces a program.
fn replacements(programs: Vec<AddressFile>, accounts: Vec<AddressFile>) -> Vec<Replacement<AddressFile>> {
    let mut replacements: Vec<_> = programs.into_iter().map(Replacement::Program).collect();
    if !accounts.is_empty() {
        replacements.push(Replacement::Accounts(accounts));
    }
    replacements
}

fn a_file_each(files: [(&'static str, &Option<PathBuf>); 3]) -> Result<(), RunOptionsError> {
    for (index, (one, path)) in files.iter().enumerate() {
        let is_same = |(_, other): &&(&'static str, &Option<PathBuf>)| path.is_some() && path == other;
        if let Some((other, _)) = files[index + 1..].iter().find(is_same) {
            return Err(RunOptionsError::OneFile { one, other });
        }
    }
    Ok(())
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
        assert_eq!(detail("--json --transactions"), Detail::Transactions);
        assert_eq!(detail("--json --subscriptions transactions"), Detail::Transactions);
        assert_eq!(detail("--output-file x.json"), Detail::Transactions);
        assert_eq!(
            detail("--json --subscriptions transactions,account-diff"),
            Detail::AccountDiffs
        );
    }

    #[test]
    fn transactions_are_printed_only_if_they_are_asked_for() {
        let form = |args: &str| options(&format!("--archive a {args}")).map(|options| options.replay.form);
        assert_eq!(form("--json --output-file x.jsonl"), Ok(Form::Json(Transactions::Omit)));
        assert_eq!(
            form("--json --output-file x.jsonl --transactions"),
            Ok(Form::Json(Transactions::List))
        );
        assert_eq!(form("--output-file x.jsonl --transactions"), Ok(Form::Table));
        let error = form("--subscriptions account-diff").expect_err("a table");
        insta::assert_snapshot!(error, @"transactions are asked for, but the table has none; add --json or --output-file FILE");
        assert_eq!(form("--transactions"), Err(RunOptionsError::NowhereToList));
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
