//! The `sim` tool: replay, serve and inspect recorded Solana history.
//!
//! [`run`] is the whole program. A command goes through the same steps whichever it is:
//!
//! 1. [`args`] parses the command line, which [`settings`] completes from the environment and `sim.toml`;
//! 2. the command checks its arguments and turns them into options, before anything is opened;
//! 3. it does its work. Data goes to standard output, everything else to standard error;
//! 4. it ends with an [`Exit`].

mod archive;
mod args;
mod connect;
mod error;
mod exit;
mod manifest;
mod output;
mod place;
mod prepare;
mod progress;
mod ranges;
mod report;
mod run;
mod serve;
mod settings;
mod signals;
mod stdout;
mod verify_run;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::{CommandFactory, FromArgMatches};
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command, LogFormat};
use crate::error::CliError;
pub use crate::exit::Exit;
use crate::progress::Visibility;
use crate::settings::{SettingsError, SettingsFile};

/// The environment variable that chooses what is logged.
const LOG_VARIABLE: &str = "SIM_LOG";
/// What is logged where nothing is chosen. What the validator's crates say about transactions is in their outcomes.
const DEFAULT_LOG: &str = "warn,agave=off,solana=off";

/// The same for a server, which also says who came and went.
const DEFAULT_SERVER_LOG: &str = "warn,simulator_server=info,agave=off,solana=off";

/// Runs the tool with these arguments, the first of which is its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    match parse(args.into_iter().collect()) {
        Ok(cli) => match log_to_stderr(&cli.command) {
            Ok(()) => execute(cli).unwrap_or_else(|error| report(&error)),
            Err(error) => report(&error.into()),
        },
        Err(ParseError::Arguments(error)) => report_arguments(&error),
        Err(ParseError::Settings(error)) => report(&error),
    }
}

enum ParseError {
    Arguments(clap::Error),
    Settings(CliError),
}

fn parse(args: Vec<OsString>) -> Result<Cli, ParseError> {
    let command = Cli::command();
    let settings = |error: SettingsError| ParseError::Settings(error.into());
    let known = settings::names(&command);
    let file = SettingsFile::read(Path::new(settings::FILE_NAME), &known).map_err(|error| settings(error.into()))?;
    let args = settings::complete(&command, args, &settings::environment(), &file).map_err(settings)?;
    let matches = command.try_get_matches_from(args).map_err(ParseError::Arguments)?;
    Cli::from_arg_matches(&matches).map_err(ParseError::Arguments)
}

fn execute(cli: Cli) -> Result<Exit, CliError> {
    let visibility = if cli.quiet {
        Visibility::Hidden
    } else {
        Visibility::OnTerminals
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    runtime.block_on(async {
        match cli.command {
            Command::Run(args) => Ok(run::run(*args, visibility).await?),
            Command::Serve(args) => Ok(serve::serve(args, visibility).await?),
            Command::VerifyRun(args) => Ok(verify_run::verify_run(args, visibility).await?),
            Command::Ranges(args) => Ok(ranges::ranges(args, visibility).await?),
            Command::Archive(command) => Ok(archive::archive(command, visibility).await?),
        }
    })
}

/// Help and version are data and go to standard output; errors go to standard error.
fn report_arguments(error: &clap::Error) -> Exit {
    // Nobody is left to be told if this fails.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

fn report(error: &CliError) -> Exit {
    let exit = error.exit();
    if exit != Exit::Done {
        // Nobody is left to be told if this fails.
        let _ = writeln!(io::stderr(), "{}", error.text());
    }
    exit
}

/// A writer whose failures are nobody's concern: that a log cannot be written is no reason to lose a result.
struct Patient<W>(W);

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// What is logged is chosen with `SIM_LOG`, in the form of `RUST_LOG`.
fn log_to_stderr(command: &Command) -> Result<(), SettingsError> {
    let (default, format) = match command {
        Command::Serve(args) => (DEFAULT_SERVER_LOG, args.log_format),
        _ => (DEFAULT_LOG, LogFormat::Text),
    };
    let filter = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(filter).map_err(SettingsError::Log)?;
    let to_terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Patient(io::stderr()))
        .with_ansi(to_terminal)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
