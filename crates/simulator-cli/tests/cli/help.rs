//! What the binary says about itself.

use crate::support::Workspace;

fn outcome(args: &[&str]) -> String {
    Workspace::new().sim(args).to_string()
}

#[test]
fn help() {
    insta::assert_snapshot!(outcome(&["--help"]));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(outcome(&["run", "--help"]));
}

#[test]
fn help_of_serve() {
    insta::assert_snapshot!(outcome(&["serve", "--help"]));
}

#[test]
fn help_of_ranges() {
    insta::assert_snapshot!(outcome(&["ranges", "--help"]));
}

#[test]
fn help_of_archive() {
    let all = [
        &["archive", "--help"][..],
        &["archive", "import", "--help"],
        &["archive", "inspect", "--help"],
    ];
    let verify = outcome(&["archive", "verify", "--help"]);
    let texts = all.map(outcome).join("\n======\n");
    insta::assert_snapshot!(format!("{texts}\n======\n{verify}"));
}

#[test]
fn version() {
    let version = Workspace::new().sim(&["--version"]).succeeded().stdout;
    assert_eq!(version, concat!("sim ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn nothing_to_do() {
    insta::assert_snapshot!(outcome(&[]));
}
