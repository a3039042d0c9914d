//! Options from the environment and from `sim.toml`.

use crate::support::{Outcome, Workspace};

fn run(workspace: &Workspace, args: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let mut command = workspace.command(args);
    command.envs(variables.iter().copied());
    command.output().expect("the binary runs").into()
}

#[test]
fn options_come_from_all_three_places() {
    let workspace = Workspace::with_archive();
    workspace.write("sim.toml", "archive = \"no/such\"\nend-slot = 38\njson = true\n");
    let outcome = run(
        &workspace,
        &["run", "--start-slot", "37"],
        &[("SIM_ARCHIVE", "archive"), ("SIM_START_SLOT", "99")],
    );
    let report: serde_json::Value = serde_json::from_str(&outcome.succeeded().stdout).expect("JSON");
    assert_eq!(report["metadata"]["start_slot"], 37);
    assert_eq!(report["metadata"]["end_slot"], 38);
}

#[test]
fn unknown_key() {
    let workspace = Workspace::new();
    workspace.write("sim.toml", "achive = \"typo\"\n");
    insta::assert_snapshot!(run(&workspace, &["run"], &[]));
}

#[test]
fn broken_file() {
    let workspace = Workspace::new();
    workspace.write("sim.toml", "archive = \n");
    insta::assert_snapshot!(run(&workspace, &["run"], &[]));
}

#[test]
fn wrong_value_in_the_environment() {
    insta::assert_snapshot!(run(&Workspace::new(), &["run"], &[("SIM_PARALLEL", "0")]));
}

#[test]
fn log_filter_that_is_none() {
    insta::assert_snapshot!(run(&Workspace::new(), &["run"], &[("SIM_LOG", "x=y=z")]));
}
