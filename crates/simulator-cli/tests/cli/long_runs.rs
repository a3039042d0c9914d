//! Runs that take a while: one that its user stops, and one whose memory is watched.
//!
//! The report goes to a named pipe that the test reads, so that the run is never far ahead of the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use simulator_testkit::ledger::{Ledger, LedgerOptions, generate};

use crate::support::{Outcome, RunningServer, Workspace, signal};

/// A run whose report this test reads.
struct WatchedRun {
    child: Child,
    report: BufReader<File>,
    ledger: Ledger,
    /// What has been read.
    lines: String,
    _workspace: Workspace,
}

impl WatchedRun {
    fn start(options: &LedgerOptions) -> Self {
        let workspace = Workspace::new();
        let ledger = generate(&workspace.path("ledger"), options).expect("a ledger");
        Self::over(workspace, ledger, ["--archive", "ledger"])
    }

    /// The same on a server, which comes with it.
    fn on_server(options: &LedgerOptions) -> (Self, RunningServer) {
        let workspace = Workspace::new();
        let ledger = generate(&workspace.path("ledger"), options).expect("a ledger");
        let server = RunningServer::start(&workspace, &["--archive", "ledger"]);
        let run = Self::over(workspace, ledger, ["--server", &server.ws]);
        (run, server)
    }

    fn over(workspace: Workspace, ledger: Ledger, place: [&str; 2]) -> Self {
        let pipe = workspace.path("report.jsonl");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .expect("mkfifo runs")
                .success()
        );
        let mut command = workspace.command(&["run", place[0], place[1], "--output-file", "report.jsonl"]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let report = BufReader::new(File::open(&pipe).expect("the run opens the pipe"));
        Self {
            child,
            report,
            ledger,
            lines: String::new(),
            _workspace: workspace,
        }
    }

    /// Reads until so many slots have been reported altogether.
    fn read_slots(&mut self, slots: usize) {
        while self.lines.matches("\"type\":\"slot\"").count() < slots {
            self.read_slot();
        }
    }

    fn read_slot(&mut self) {
        let start = self.lines.len();
        while !self.lines[start..].contains("\"type\":\"slot\"") {
            assert!(
                self.report.read_line(&mut self.lines).expect("text") > 0,
                "the run ended too early"
            );
        }
    }

    /// Reads the rest.
    fn finish(mut self) -> (Outcome, String, Ledger) {
        self.report.read_to_string(&mut self.lines).expect("text");
        let outcome = self.child.wait_with_output().expect("it ends").into();
        (outcome, self.lines, self.ledger)
    }
}

#[test]
fn interrupted_run_is_complete_up_to_a_slot() {
    // More slots than the windows between session and output can hold.
    let mut run = WatchedRun::start(&LedgerOptions {
        slots: 400,
        ..LedgerOptions::default()
    });
    run.read_slots(1);
    signal(&run.child, "INT");
    let (outcome, lines, ledger) = run.finish();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert!(outcome.stdout.contains("(interrupted)"), "{outcome}");
    complete_up_to_a_slot(&lines, ledger.transactions);
}

#[test]
fn server_that_is_lost_is_out_of_reach() {
    // More slots than the windows between session and output can hold: some are still to be fetched.
    let options = LedgerOptions {
        slots: 400,
        ..LedgerOptions::default()
    };
    let (mut run, server) = WatchedRun::on_server(&options);
    run.read_slots(1);
    drop(server);
    let (outcome, _, _) = run.finish();
    assert_eq!(outcome.code, Some(4), "{outcome}");
}

fn complete_up_to_a_slot(lines: &str, transactions: u64) {
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("whole lines"))
        .collect();
    let (last, before) = lines.split_last().expect("lines");
    assert_eq!(
        (&last["type"], &last["metadata"]["complete"]),
        (&Value::from("run"), &Value::from(false))
    );
    let end = before.last().expect("a slot");
    assert_eq!(
        (&end["type"], &end["slot"]),
        (&Value::from("slot"), &last["metadata"]["end_slot"])
    );
    assert_eq!(last["bank_hashes"], Value::Null);
    let slots = before.iter().filter(|line| line["type"] == "slot");
    let counted: u64 = slots.filter_map(|line| line["total"].as_u64()).sum();
    let written = before.iter().filter(|line| line["type"] == "transaction").count() as u64;
    assert!(written > 0 && written < transactions, "{written} of {transactions}");
    assert_eq!(counted, written);
    assert_eq!(last["summary"]["total"], written);
}

/// The largest memory of a process so far, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the process lives");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux tells it");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_range() {
    let options = LedgerOptions {
        slots: 300,
        transactions_per_block: 64,
        ..LedgerOptions::default()
    };
    let mut run = WatchedRun::start(&options);
    run.read_slots(100);
    let early = peak_memory(&run.child);
    run.read_slots(280);
    let late = peak_memory(&run.child);
    let (outcome, _, _) = run.finish();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    println!(
        "peak memory: {} MiB after 100 slots, {} MiB after 280",
        early >> 20,
        late >> 20
    );
    // The allocator takes its memory in steps of some MiB. To keep the 11,520 transactions in between with what was
    // computed of them takes more than that.
    assert!(
        late < early + (32 << 20),
        "{early} bytes after 100 slots, {late} after 280"
    );
}
