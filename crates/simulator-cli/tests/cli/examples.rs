//! The examples of the client library, run against a server as their documentation says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use simulator_testkit::{accounts, paths};

use crate::support::{Outcome, RunningServer, Workspace, elf, text};

const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
const MEMO_4: &str = "Memo4c2pN8afCj432Lb7RMVKi9PbQnnW7ewFFaV3oAH";
const STAKE: &str = "Stake11111111111111111111111111111111111111";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

/// Batches of the sample with a transaction that calls the memo program, counted by a program that shares no code.
const MEMO_BATCHES: usize = 26;

#[test]
fn quickstart_shows_every_block_and_that_all_of_them_agree() {
    let Some(scene) = Scene::set("quickstart") else { return };
    let shown = scene.run(&[]).succeeded().stdout;
    let skipped = [45, 47, 48];
    let blocks = (36..=59).filter(|slot| !skipped.contains(slot));
    let slots: Vec<_> = shown.lines().filter(|line| line.starts_with("slot ")).collect();
    assert_eq!(slots, blocks.map(|slot| format!("slot {slot}")).collect::<Vec<_>>());
    let last = shown.lines().last().expect("a line");
    assert!(
        last.starts_with("completed: 478 transactions: 478 correct, 0 incorrect"),
        "{last}"
    );
}

#[test]
fn pausing_stops_before_every_call_of_the_program() {
    let Some(scene) = Scene::set("pause_before_program") else {
        return;
    };
    let report = scene.local(&["--subscriptions", "account-diff"]);
    let callers: Vec<&Value> = transactions(&report).filter(|row| calls(row, MEMO)).collect();
    let account = busiest_account(&callers);
    let shown = scene.run(&["36", "59", MEMO, &account]).succeeded().stdout;

    let pauses = pauses(&shown);
    assert_eq!(pauses.len(), MEMO_BATCHES);
    assert_eq!(
        shown.lines().last(),
        Some(format!("paused {MEMO_BATCHES} times").as_str())
    );
    let announced: Vec<_> = pauses
        .iter()
        .flat_map(|pause| pause.indices.iter().map(|index| (pause.slot, *index)))
        .collect();
    assert_eq!(announced, callers.iter().map(|row| place(row)).collect::<Vec<_>>());

    // A transaction of the batch that changes the account is the only one of the batch that does: what it found is what
    // stood there at the pause.
    let mut compared = 0;
    for row in callers {
        let Some(before) = row["account_diffs"][&account]["before"]["lamports"].as_u64() else {
            continue;
        };
        let (slot, index) = place(row);
        let is_before = |pause: &&Pause| pause.slot == slot && pause.indices.contains(&index);
        let pause = pauses.iter().find(is_before).expect("a pause");
        assert_eq!(pause.lamports, before, "before transaction {index} of slot {slot}");
        compared += 1;
    }
    assert!(compared >= 2, "{account} is compared at {compared} pauses only");
}

#[test]
fn an_injected_transfer_moves_lamports() {
    let Some(scene) = Scene::set("inject_transaction") else {
        return;
    };
    let (from, to) = (
        "1iktbX8RwbwLoxKSAnRstCJwkuZ189cuhHvt1sypD3Y",
        "71PvmEchigwUJsygzTBs94sL47872v1XD98V75SvFor",
    );
    let shown = scene.run(&["36", "59", from, to, "1000000"]).succeeded().stdout;
    let balances = |address: &str| -> Vec<u64> {
        let lines = shown
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{address}: ")));
        lines
            .map(|line| number(line.strip_suffix(" lamports").expect("lamports")))
            .collect()
    };
    let (sender, receiver) = (balances(from), balances(to));
    assert_eq!(
        (sender[0], receiver[0]),
        (scene.after_slot_36(from), scene.after_slot_36(to))
    );
    assert_eq!(sender, [sender[0], sender[0] - 1_000_000 - 5_000]);
    assert_eq!(receiver, [receiver[0], receiver[0] + 1_000_000]);
    assert!(shown.contains("executed in slot 36: error null, fee 5000"), "{shown}");
    assert!(shown.contains(r#""err":null,"slot":36"#), "{shown}");
}

#[test]
fn a_transaction_that_breaks_a_rule_is_an_error() {
    let Some(scene) = Scene::set("inject_transaction") else {
        return;
    };
    let nobody = "Sim1111111111111111111111111111111111111111";
    let outcome = scene.run(&["36", "59", nobody, TOKEN, "1"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("was not executed"), "{outcome}");
}

#[test]
fn a_replaced_program_does_what_its_code_says() {
    let Some(scene) = Scene::set("replace_program") else {
        return;
    };
    for (program, file) in [(TOKEN, "token.so"), (MEMO_4, "memo.so")] {
        std::fs::write(scene.workspace.path(file), elf(program)).expect("written");
    }
    let matched = |file: &str| {
        let outcome = scene.run(&["36", "59", TOKEN, file]).succeeded();
        let counts = ["as recorded: ", "otherwise: "].map(|label| {
            let count = outcome.stdout.lines().find_map(|line| line.strip_prefix(label));
            number(count.unwrap_or_else(|| panic!("{outcome}")))
        });
        assert_eq!(counts[0] + counts[1], 478);
        counts[0]
    };
    assert_eq!(matched("token.so"), 478);
    let other = matched("memo.so");
    assert!(other < 478);
    let local = scene.local(&["--program-so", &format!("{TOKEN}=memo.so")]);
    assert_eq!(local["summary"]["matched"], other);
}

#[test]
fn collected_account_diffs_are_those_of_a_run() {
    let Some(scene) = Scene::set("collect_account_diffs") else {
        return;
    };
    let programs = [TOKEN, STAKE];
    let written = scene.run(&["36", "59", "diffs.csv", TOKEN, STAKE]).succeeded();
    assert_eq!(written.stdout, "");
    let table = scene.workspace.read("diffs.csv");
    let mut rows: Vec<&str> = table.lines().skip(1).collect();
    rows.sort_unstable();

    let report = scene.local(&["--subscriptions", "account-diff"]);
    let mut expected: Vec<String> = programs
        .iter()
        .flat_map(|program| transactions(&report).flat_map(|row| diffs_of(row, program)))
        .collect();
    expected.sort_unstable();
    assert!(expected.len() > 100);
    assert_eq!(rows, expected);

    let printed = scene.run(&["36", "59", "-", TOKEN, STAKE]).succeeded().stdout;
    assert_eq!(printed.lines().collect::<BTreeSet<_>>(), table.lines().collect());
}

/// A server over the sample, and an example to run against it.
struct Scene {
    example: PathBuf,
    workspace: Workspace,
    server: RunningServer,
}

impl Scene {
    /// `None` where the example was not built: it is when the whole workspace is tested.
    fn set(name: &str) -> Option<Self> {
        let target = Path::new(env!("CARGO_BIN_EXE_sim")).parent().expect("a directory");
        let example = target.join("examples").join(name);
        if !example.exists() {
            say_skipped(name);
            return None;
        }
        let workspace = Workspace::new();
        let server = RunningServer::start(&workspace, &["--archive", text(&paths::sample("agave-small"))]);
        Some(Self {
            example,
            workspace,
            server,
        })
    }

    /// Runs the example to its end, in the workspace.
    fn run(&self, args: &[&str]) -> Outcome {
        let url = format!("{}/backtest", self.server.ws);
        let mut command = Command::new(&self.example);
        command.arg(url).args(args).stdin(Stdio::null());
        let output = command.current_dir(self.workspace.path("")).output();
        output.expect("the example runs").into()
    }

    /// What `sim run` reports about the sample, without a server.
    fn local(&self, args: &[&str]) -> Value {
        let sample = paths::sample("agave-small");
        self.workspace
            .sim_json(&[&["run", "--archive", text(&sample), "--json"], args].concat())
    }

    /// The balance of an account when the blocks up to slot 36 have been executed.
    fn after_slot_36(&self, address: &str) -> u64 {
        self.local(&["--end-slot", "36", "--dump-accounts", "after.jsonl"]);
        let dump = accounts::read(&self.workspace.path("after.jsonl")).expect("a dump");
        dump[&address.parse().expect("an address")].lamports
    }
}

#[expect(clippy::print_stdout, reason = "this goes to the output of the test that is skipped")]
fn say_skipped(name: &str) {
    println!("skipped: the example {name} is not built");
}

/// A place where the example stopped, as it printed it.
struct Pause {
    slot: u64,
    indices: Vec<u64>,
    lamports: u64,
}

/// Each pause is an announcement and, on the next line, the stop before it.
fn pauses(shown: &str) -> Vec<Pause> {
    let mut lines = shown.lines();
    let mut pauses = Vec::new();
    while let Some((announced, stopped)) = lines.next().zip(lines.next()) {
        let (place, indices) = announced.split_once(": transactions ").expect("an announcement");
        let (slot, _batch) = place
            .strip_prefix("slot ")
            .and_then(|place| place.split_once(", batch "))
            .expect("a place");
        let stopped = stopped
            .strip_prefix(&format!("  paused in slot {slot}: "))
            .expect("a stop");
        let words: Vec<&str> = stopped.split(' ').collect();
        let lamports = words[words.len() - 2];
        pauses.push(Pause {
            slot: number(slot),
            indices: serde_json::from_str(indices).expect("a list"),
            lamports: number(lamports),
        });
    }
    pauses
}

fn transactions(report: &Value) -> impl Iterator<Item = &Value> {
    report["transactions"].as_array().expect("a list").iter()
}

fn place(row: &Value) -> (u64, u64) {
    (
        row["slot"].as_u64().expect("a slot"),
        row["index"].as_u64().expect("an index"),
    )
}

/// Whether the logs of a transaction show a call of the program.
fn calls(row: &Value, program: &str) -> bool {
    let mut logs = row["logs"].as_array().expect("logs").iter();
    let invoked = format!("Program {program} invoke");
    logs.any(|line| line.as_str().is_some_and(|line| line.starts_with(&invoked)))
}

/// The account that most of these transactions change.
fn busiest_account(rows: &[&Value]) -> String {
    let mut changes: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        for address in row["account_diffs"].as_object().expect("diffs").keys() {
            *changes.entry(address).or_default() += 1;
        }
    }
    let busiest = changes.into_iter().max_by_key(|(_, count)| *count);
    busiest.expect("a change").0.to_owned()
}

/// What the table has to say about the accounts of a program that a transaction changed.
fn diffs_of(row: &Value, program: &str) -> Vec<String> {
    let diffs = row["account_diffs"].as_object().expect("diffs").iter();
    let owned = diffs.filter(|(_, diff)| diff["before"]["owner"] == program || diff["after"]["owner"] == program);
    let signature = row["signature"].as_str().expect("a signature");
    let (slot, index) = place(row);
    let lines = owned.map(|(address, diff)| {
        let field = |state: &str, name: &str| diff[state][name].as_u64().map(|value| value.to_string());
        let [before, after] = ["before", "after"].map(|state| field(state, "lamports").unwrap_or_default());
        let [len_before, len_after] = ["before", "after"].map(|state| field(state, "space").unwrap_or_default());
        format!("{slot},{index},{signature},{program},{address},{before},{after},{len_before},{len_after}")
    });
    lines.collect()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}
