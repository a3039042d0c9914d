//! The command line as it is written. Nothing here touches a file or the network; [`crate::settings`] completes it from
//! the environment and `sim.toml`, and each command turns its arguments into checked options before it starts.

mod values;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use solana_hash::Hash;
use solana_pubkey::Pubkey;

pub(crate) use values::{AddressFile, ApiKey, FeaturesArg, NamedKey, NamedKeyError};

const SETTINGS_HELP: &str = "\
Options may also come from the environment (SIM_ARCHIVE, SIM_SERVER, SIM_API_KEY, ...; several values
are separated by commas) and from sim.toml in the current directory (archive = \"...\"). The command
line wins over the environment, which wins over the file. SIM_LOG chooses what is logged to standard
error, for example SIM_LOG=debug.

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 a gate was broken, 4 server or archive
unreachable or connection lost, 130 interrupted.";

/// Replay, serve and inspect recorded Solana history.
#[derive(Debug, Parser)]
#[command(name = "sim", version, after_help = SETTINGS_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Show no progress
    #[arg(long, short, global = true, display_order = 1000)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replay a slot range and write what happened
    Run(Box<RunArgs>),
    /// Serve archives over the backtest protocol
    Serve(ServeArgs),
    /// Run again what the manifest of a run describes, and compare
    VerifyRun(VerifyRunArgs),
    /// List the slot ranges that a server or an archive offers
    Ranges(RangesArgs),
    /// Import, inspect and verify archives
    #[command(subcommand)]
    Archive(ArchiveCommand),
}

/// Where recorded history comes from.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Archive or ledger directory, opened with a server inside this process; may be repeated
    #[arg(long, value_name = "PATH_OR_URL")]
    pub(crate) archive: Vec<String>,
    /// Server to ask, for example ws://127.0.0.1:8900
    #[arg(long, value_name = "WS_URL", conflicts_with = "archive")]
    pub(crate) server: Option<String>,
    /// Key for the server
    #[arg(long, value_name = "KEY")]
    pub(crate) api_key: Option<ApiKey>,
    /// Certificates (PEM) of authorities to trust beside Mozilla's, for a server with a certificate of its own
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// `sim run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// First slot to replay [default: the first one there is]
    #[arg(long, value_name = "N", help_heading = "Range")]
    pub(crate) start_slot: Option<u64>,
    /// Last slot to replay [default: the last one there is]
    #[arg(long, value_name = "N", help_heading = "Range")]
    pub(crate) end_slot: Option<u64>,
    /// Number of slots to replay, counting those without a block
    #[arg(long, value_name = "N", conflicts_with = "end_slot", help_heading = "Range")]
    pub(crate) slots: Option<NonZeroU64>,

    /// Replace the code of program ID with an ELF file, from the first slot; may be repeated
    #[arg(long, value_name = "ID=FILE", help_heading = "Changes")]
    pub(crate) program_so: Vec<AddressFile>,
    /// Replace an account, from the first slot, with what `solana account --output json` writes; may be repeated
    #[arg(long, value_name = "ADDRESS=FILE", help_heading = "Changes")]
    pub(crate) account: Vec<AddressFile>,
    /// Compute units to add to every limit that a transaction sets
    #[arg(long, value_name = "N", help_heading = "Changes")]
    pub(crate) extra_compute_units: Option<u32>,
    /// Leave out the transactions that this address signed; may be repeated
    #[arg(long, value_name = "ADDRESS", help_heading = "Changes")]
    pub(crate) ignore_signer: Vec<Pubkey>,
    /// Features: those of the archive's feature accounts, all, or a file with one id a line [default: accounts]
    #[arg(long, value_name = "accounts|all|FILE", help_heading = "Changes")]
    pub(crate) features: Option<FeaturesArg>,

    /// Report only transactions that invoke this program; may be repeated
    #[arg(long, value_name = "ID", help_heading = "Output")]
    pub(crate) program_id: Vec<Pubkey>,
    /// What to record of each transaction, separated by commas: transactions, account-diff
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub(crate) subscriptions: Vec<Subscription>,
    /// Report every transaction, not only those that diverged; files always do
    #[arg(long, help_heading = "Output")]
    pub(crate) transactions: bool,
    /// File for the report: .json, .jsonl, or a directory for Parquet tables
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output_file: Option<PathBuf>,
    /// File for every known account after the last slot, as JSON lines sorted by address
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) dump_accounts: Option<PathBuf>,
    /// File for a manifest of the run: what was replayed, how, and digests of what came out, for `sim verify-run`
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) manifest: Option<PathBuf>,
    /// Exit with code 3 when more than this diverged: transactions, and slots whose bank hash is not the recorded one
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) max_divergence: Option<u64>,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Number of sessions at a time, where there are several ranges
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Pace")]
    pub(crate) parallel: NonZeroUsize,
    /// Slots a continue [default: 1024]
    #[arg(long, value_name = "N", help_heading = "Pace")]
    pub(crate) advance: Option<NonZeroU64>,
}

/// `sim verify-run`.
#[derive(Debug, Args)]
pub(crate) struct VerifyRunArgs {
    /// The manifest that `sim run --manifest` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Number of sessions at a time, where there are several ranges
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) parallel: NonZeroUsize,
    /// Print one JSON object instead of a sentence
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--subscriptions` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subscription {
    /// Outcome of every transaction
    Transactions,
    /// Accounts before and after every transaction
    AccountDiff,
}

/// `sim serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Archive or ledger directory to serve; may be repeated
    #[arg(long, value_name = "PATH_OR_URL")]
    pub(crate) archive: Vec<String>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8900")]
    pub(crate) listen: SocketAddr,
    /// Directory to keep sessions and usage in, so that they go on when the server is started again
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// What the log on standard error looks like: lines for people, or one JSON object a line
    #[arg(
        long,
        value_enum,
        value_name = "text|json",
        hide_possible_values = true,
        default_value_t
    )]
    pub(crate) log_format: LogFormat,

    /// Key that clients may use, and a name for it; may be repeated. Without one any key will do, on loopback only
    #[arg(long, value_name = "NAME=KEY", help_heading = "Keys")]
    pub(crate) api_key: Vec<ApiKey>,
    /// File with keys and their limits (TOML); readable by the server only, which the command line is not
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    pub(crate) key_file: Option<PathBuf>,
    /// Certificate to serve with, followed by those that vouch for it (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Keys")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Keys")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Sessions at once
    #[arg(long, value_name = "N", default_value = "32", help_heading = "Limits")]
    pub(crate) max_sessions: NonZeroUsize,
    /// Connections at once [default: 1024, or 4 for each session if that is more]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// Sessions at once of a key that the key file does not limit [default: all]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_key_sessions: Option<NonZeroUsize>,
    /// WebSocket connections at once of a key that the key file does not limit [default: half of all]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_key_connections: Option<NonZeroUsize>,
    /// Largest message and HTTP body in MiB of a key that the key file does not limit
    #[arg(long, value_name = "MIB", default_value = "64", help_heading = "Limits")]
    pub(crate) max_message: NonZeroUsize,
    /// MiB that all sessions together keep for subscribers, before each has to do with its share
    #[arg(long, value_name = "MIB", default_value = "1024", help_heading = "Limits")]
    pub(crate) data_memory: NonZeroUsize,
}

/// What a log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// `sim ranges`.
#[derive(Debug, Args)]
pub(crate) struct RangesArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Print a JSON array instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sim archive`.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Make an archive from a ledger directory, or from a snapshot and blocks
    Import(ImportArgs),
    /// Add to an archive what each slot changed, and keyframes, so that sessions begin anywhere at once
    Index(IndexArgs),
    /// Make an archive of a part of another one: of some slots, or of what some programs or accounts need
    Export(ExportArgs),
    /// Show what an archive holds
    Inspect(ArchiveArgs),
    /// Read every byte of an archive and compare it with its digest
    Verify(VerifyArgs),
}

/// `sim archive import`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").required(true).args(["ledger", "blocks", "car"]))]
pub(crate) struct ImportArgs {
    /// Ledger directory: blocks.jsonl, and accounts-start.jsonl or snapshot-SLOT-HASH.tar.zst; the text files may end in
    /// .gz or .zst
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Agave full snapshot of the parent of the first block; without one nothing is known of any account
    #[arg(long, value_name = "FILE", conflicts_with = "ledger")]
    pub(crate) snapshot: Option<PathBuf>,
    /// Results of getBlock, one a line, each with its slot; several files in order of slot
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) blocks: Vec<PathBuf>,
    /// Old Faithful CAR files in order of slot
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) car: Vec<PathBuf>,
    /// Where to write the archive
    #[arg(long, value_name = "DIR")]
    pub(crate) out: String,
    /// Whether the accounts are every account of the chain (all) or some (listed, which also permits gaps between
    /// blocks); by default decided from what they are
    #[arg(long, value_enum, default_value_t)]
    pub(crate) scope: ScopeArg,
    /// Keep only the accounts that transactions with this program among their accounts touch; may be repeated
    #[arg(long, value_name = "ID", conflicts_with = "scope")]
    pub(crate) scope_program: Vec<Pubkey>,
    /// Keep only the accounts that transactions with this account touch; may be repeated
    #[arg(long, value_name = "ADDRESS", conflicts_with = "scope")]
    pub(crate) scope_account: Vec<Pubkey>,
    /// Genesis hash of the cluster, to be written down in the archive
    #[arg(long, value_name = "HASH")]
    pub(crate) genesis_hash: Option<Hash>,
    /// Memory for sorting accounts, in MiB; what does not fit goes to the temporary directory
    #[arg(long, value_name = "MIB", default_value = "64")]
    pub(crate) sort_memory: NonZeroU32,
    /// Index the archive afterwards, with a keyframe every N slots (see `sim archive index`)
    #[arg(long, value_name = "N")]
    pub(crate) index_interval: Option<NonZeroU64>,
}

/// What it means that an account is not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeArg {
    /// What the ledger holds decides
    #[default]
    Auto,
    /// The account does not exist
    All,
    /// Nothing is known of it
    Listed,
}

/// `sim archive export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The archive to take from; where it has an index, the new one holds what every transaction changed in its accounts
    #[arg(value_name = "PATH_OR_URL")]
    pub(crate) archive: String,
    /// Where to write the new archive
    #[arg(long, value_name = "DIR")]
    pub(crate) out: String,
    /// First slot [default: the first one there is]; a later one needs an index
    #[arg(long, value_name = "N")]
    pub(crate) start_slot: Option<u64>,
    /// Last slot [default: the last one there is]
    #[arg(long, value_name = "N")]
    pub(crate) end_slot: Option<u64>,
    /// Keep only the accounts that transactions with this program among their accounts touch; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) scope_program: Vec<Pubkey>,
    /// Keep only the accounts that transactions with this account touch; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) scope_account: Vec<Pubkey>,
}

/// `sim archive index`.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The archive
    #[arg(value_name = "PATH")]
    pub(crate) archive: String,
    /// Least number of slots from one keyframe to the next: a session replays about so many at most on the way to its
    /// first slot
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) interval: NonZeroU64,
}

/// `sim archive verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The archive
    #[arg(value_name = "PATH_OR_URL")]
    pub(crate) archive: String,
    /// Then replay it, too, and compare what comes out with what the chain recorded
    #[arg(long)]
    pub(crate) replay: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sim archive inspect`.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// The archive
    #[arg(value_name = "PATH_OR_URL")]
    pub(crate) archive: String,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
