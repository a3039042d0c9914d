//! Where test data is.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies two folders below the root")
        .to_owned()
}

/// A ledger directory that ships with the project, such as `agave-small`.
pub fn sample(name: &str) -> PathBuf {
    workspace_root().join("samples").join(name)
}

/// A file of a server's certificate for `localhost` and `127.0.0.1`: `cert.pem`, its private key `key.pem`, and
/// `ca.pem` of the authority that signed it, which nobody trusts by himself. They hold until 2126.
pub fn tls(name: &str) -> PathBuf {
    workspace_root().join("crates/simulator-testkit/tls").join(name)
}

/// A larger recording that does not ship with the project, where somebody has put it beside the workspace, in
/// `../shared/data`. A test without it ends early; [`shared_ledger_or_skip`] says so.
pub fn shared_ledger(name: &str) -> Option<PathBuf> {
    let path = workspace_root().join("../shared/data").join(name);
    path.is_dir().then_some(path)
}

/// [`shared_ledger`], printing `skipped: NAME is not present` where there is none.
pub fn shared_ledger_or_skip(name: &str) -> Option<PathBuf> {
    let found = shared_ledger(name);
    if found.is_none() {
        say_skipped(name);
    }
    found
}

#[expect(clippy::print_stdout, reason = "this goes to the output of the test that is skipped")]
fn say_skipped(name: &str) {
    println!("skipped: {name} is not present");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace_and_its_sample() {
        assert!(workspace_root().join("Cargo.lock").is_file());
        assert!(sample("agave-small").join("blocks.jsonl.gz").is_file());
    }

    #[test]
    fn an_absent_recording_is_none() {
        assert_eq!(shared_ledger("no-such-recording"), None);
        assert_eq!(shared_ledger_or_skip("no-such-recording"), None);
    }
}
