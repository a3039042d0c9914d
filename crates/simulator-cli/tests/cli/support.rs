//! Running the binary, and looking at what it did.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use simulator_client::injection::PROGRAM_DATA_HEADER_LEN;
use simulator_testkit::{accounts, edit, paths};
use tempfile::TempDir;

/// A directory of its own for one test, in which the binary runs. Relative paths keep what it prints the same
/// everywhere.
pub(crate) struct Workspace {
    directory: TempDir,
}

/// How a command ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A workspace with a copy of the sample ledger, called `ledger`.
    pub(crate) fn with_ledger() -> Self {
        let workspace = Self::new();
        edit::copy(&paths::sample("agave-small"), &workspace.path("ledger")).expect("the sample can be copied");
        workspace
    }

    /// A workspace with an archive of the sample, called `archive`.
    pub(crate) fn with_archive() -> Self {
        let workspace = Self::new();
        let sample = paths::sample("agave-small");
        let import = ["archive", "import", "--ledger", text(&sample), "--out", "archive"];
        workspace.sim(&import).succeeded();
        workspace
    }

    /// The same with an index: a keyframe every five slots.
    pub(crate) fn with_index() -> Self {
        let workspace = Self::with_archive();
        let index = ["archive", "index", "archive", "--interval", "5"];
        workspace.sim(&index).succeeded();
        workspace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("the workspace can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).expect("JSON")
    }

    /// The command, without settings of whoever runs the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        command
            .args(args)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIM_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn sim(&self, args: &[&str]) -> Outcome {
        self.command(args).output().expect("the binary runs").into()
    }

    /// Runs the binary, which has to succeed, and returns the JSON that it prints.
    pub(crate) fn sim_json(&self, args: &[&str]) -> Value {
        let outcome = self.sim(args).succeeded();
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"))
    }

    /// The only file of the archive whose name contains `part`.
    pub(crate) fn segment(&self, part: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.path("archive")).expect("an archive");
        let mut names = entries.map(|entry| entry.expect("an entry").path());
        names
            .find(|path| text(path.file_name().expect("a name").as_ref()).contains(part))
            .expect("a segment")
    }
}

impl Outcome {
    /// The command has to have succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// What a snapshot shows: everything that is the same on every machine.
impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        writeln!(formatter, "exit code: {code}")?;
        writeln!(formatter, "--- stdout\n{}", stable(&self.stdout))?;
        write!(formatter, "--- stderr\n{}", stable(&self.stderr))
    }
}

/// Text without digests, session ids, times and rates.
pub(crate) fn stable(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim_start().split_once("  ") {
        Some((name @ ("wall time" | "speed"), _)) => format!("{name:>14}  [varies]"),
        _ => without_hex(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs of 16 or more hexadecimal digits are digests or ids.
fn without_hex(line: &str) -> String {
    let mut text = String::new();
    let mut run = String::new();
    for letter in line.chars().chain(['\n']) {
        if letter.is_ascii_hexdigit() {
            run.push(letter);
            continue;
        }
        text.push_str(if run.len() >= 16 { "[hex]" } else { &run });
        run.clear();
        text.push(letter);
    }
    text.pop();
    text
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of these tests are text")
}

/// A server that runs beside a test.
pub(crate) struct RunningServer {
    child: Child,
    pub(crate) http: String,
    pub(crate) ws: String,
}

impl RunningServer {
    /// Starts `sim serve` on any free port and waits until it is ready.
    pub(crate) fn start(workspace: &Workspace, args: &[&str]) -> Self {
        Self::start_on(workspace, "127.0.0.1:0", args)
    }

    /// Starts `sim serve` on this address and waits until it is ready.
    pub(crate) fn start_on(workspace: &Workspace, listen: &str, args: &[&str]) -> Self {
        let all = [&["serve", "--listen", listen], args].concat();
        Self::spawn(&mut workspace.command(&all))
    }

    /// Starts a server and waits until it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let http = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{line:?}"))
            .to_owned();
        let ws = http.replacen("http", "ws", 1);
        Self { child, http, ws }
    }

    /// Asks the server to stop, and returns what it has logged.
    pub(crate) fn stop_and_read(&mut self) -> String {
        signal(&self.child, "TERM");
        let mut log = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut log).expect("text");
        log
    }

    /// Ends the server at once, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// Asks the server to stop and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(&self.child, "TERM");
        self.child.wait().expect("the server ends").code()
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        // A test that fails must not leave its server behind; one that is gone already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(status.expect("kill runs").success());
}

/// The code of a program of the sample, which keeps it in a second account.
pub(crate) fn elf(program: &str) -> Vec<u8> {
    let dump = accounts::read(&paths::sample("agave-small").join("accounts-start.jsonl.gz")).expect("a dump");
    let program = &dump[&program.parse().expect("an address")];
    let programdata: [u8; 32] = program.data[4..].try_into().expect("an address");
    dump[&programdata.into()].data[PROGRAM_DATA_HEADER_LEN..].to_vec()
}
