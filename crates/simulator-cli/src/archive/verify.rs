//! `sim archive verify`.

use std::io::{self, Write};

use serde::Serialize;
use simulator_archive::{VerifyProgress, VerifyReport};

use super::ArchiveCommandError;
use super::replay::{ReplayReport, replay};
use crate::args::VerifyArgs;
use crate::error::chain;
use crate::exit::Exit;
use crate::output::OutputError;
use crate::prepare::open_archive;
use crate::progress::{Progress, Unit, Visibility};
use crate::report::Grouped;
use crate::stdout::{print, print_json};

/// Reads every byte of an archive, and replays it if that is asked for and every byte is right. What is wrong goes to
/// standard error, and the exit code is that of a failure; that of a gate if the replay does not agree with the record.
pub(super) async fn verify(args: VerifyArgs, visibility: Visibility) -> Result<Exit, ArchiveCommandError> {
    let archive = open_archive(&args.archive).await?;
    let size = archive.manifest().size();
    let progress = Progress::start(visibility, Unit::Bytes, size, "verifying");
    let report = simulator_archive::verify(&archive, |so_far| progress.set(so_far.bytes, size)).await;
    progress.clear();
    let mut verification = Verification::of(&report);
    if !args.json {
        tell(&args.archive, &verification)?;
    }
    let mut exit = if report.is_intact() { Exit::Done } else { Exit::Failed };
    if args.replay && report.is_intact() {
        let Some(replayed) = replay(&args.archive, visibility).await? else {
            return Ok(Exit::Interrupted);
        };
        exit = replayed.exit();
        if !args.json {
            replayed.print()?;
        }
        verification.replay = Some(replayed.report());
    }
    if args.json {
        print_json(&verification)?;
    }
    Ok(exit)
}

/// What was found, in JSON.
#[derive(Debug, Serialize)]
struct Verification {
    intact: bool,
    segments: u64,
    bytes: u64,
    blocks: u64,
    transactions: u64,
    accounts: u64,
    changes: u64,
    problems: Vec<String>,
    /// What the replay came to, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayReport>,
}

impl Verification {
    fn of(report: &VerifyReport) -> Self {
        let VerifyProgress {
            segments,
            bytes,
            blocks,
            transactions,
            accounts,
            changes,
        } = report.read;
        let problems = report.problems.iter().map(|problem| chain(problem)).collect();
        Self {
            intact: report.is_intact(),
            segments,
            bytes,
            blocks,
            transactions,
            accounts,
            changes,
            problems,
            replay: None,
        }
    }
}

fn tell(archive: &str, verification: &Verification) -> Result<(), OutputError> {
    let Verification {
        segments,
        bytes,
        blocks,
        transactions,
        accounts,
        problems,
        ..
    } = verification;
    if problems.is_empty() {
        let (segments, bytes) = (Grouped(*segments), Grouped(*bytes));
        let (blocks, transactions, accounts) = (Grouped(*blocks), Grouped(*transactions), Grouped(*accounts));
        return print(|stdout| {
            writeln!(stdout, "{archive} is intact: {segments} segments, {bytes} bytes")?;
            writeln!(
                stdout,
                "{blocks} blocks, {transactions} transactions, {accounts} accounts"
            )
        });
    }
    for problem in problems {
        // Nobody is left to be told if this fails; the exit code says it all the same.
        let _ = writeln!(io::stderr(), "error: {problem}");
    }
    Ok(())
}
