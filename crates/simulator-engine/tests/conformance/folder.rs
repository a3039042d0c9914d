//! A folder of fixtures, and what comes out of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use simulator_engine::conformance::{FixtureKind, FixtureOutcome, run_fixture};

/// How many failures and reasons are told.
const TOLD: usize = 20;

/// The folder that the user names, or ours.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("SIM_FIXTURES").map_or_else(ours, PathBuf::from)
}

/// The fixtures of this repository.
pub(crate) fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/fixtures")
}

/// All fixtures below a folder, with their names in it, sorted by name.
pub(crate) fn fixtures(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let paths = paths(folder);
    let read = paths.iter().map(|path| {
        let name = path.strip_prefix(folder).expect("it is below").display().to_string();
        (name, std::fs::read(path).expect("it can be read"))
    });
    read.collect()
}

/// Puts other fixtures in their place.
pub(crate) fn replace(folder: &Path, fixtures: &[(String, Vec<u8>)]) {
    std::fs::create_dir_all(folder).expect("it can be made");
    for path in paths(folder) {
        std::fs::remove_file(path).expect("it can be removed");
    }
    for (name, bytes) in fixtures {
        std::fs::write(folder.join(name), bytes).expect("it can be written");
    }
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "fix") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What came out, by kind.
#[derive(Default)]
pub(crate) struct Report {
    kinds: BTreeMap<FixtureKind, Counts>,
    failures: Vec<String>,
    reasons: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    unsupported: usize,
}

impl Report {
    /// Runs every fixture below a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut report = Self::default();
        for path in paths(folder) {
            let bytes = std::fs::read(&path).expect("it can be read");
            let (kind, outcome) = run_fixture(&bytes);
            report.add(&path, kind, outcome);
        }
        report
    }

    fn add(&mut self, path: &Path, kind: FixtureKind, outcome: FixtureOutcome) {
        let counts = self.kinds.entry(kind).or_default();
        match outcome {
            FixtureOutcome::Passed => counts.passed += 1,
            FixtureOutcome::Failed(mismatch) => {
                counts.failed += 1;
                self.failures.push(format!("{}: {mismatch}", path.display()));
            }
            FixtureOutcome::Unsupported(reason) => {
                counts.unsupported += 1;
                *self.reasons.entry(reason.to_string()).or_default() += 1;
            }
        }
    }

    pub(crate) fn passed(&self, kind: FixtureKind) -> usize {
        self.kinds.get(&kind).map_or(0, |counts| counts.passed)
    }

    pub(crate) fn failed(&self) -> usize {
        self.kinds.values().map(|counts| counts.failed).sum()
    }

    pub(crate) fn unsupported(&self) -> usize {
        self.kinds.values().map(|counts| counts.unsupported).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, counts) in &self.kinds {
            let Counts {
                passed,
                failed,
                unsupported,
            } = counts;
            writeln!(
                formatter,
                "{kind:?}: {passed} passed, {failed} failed, {unsupported} unsupported"
            )?;
        }
        for failure in self.failures.iter().take(TOLD) {
            writeln!(formatter, "failed: {failure}")?;
        }
        for (reason, count) in &self.reasons {
            writeln!(formatter, "unsupported, {count} times: {reason}")?;
        }
        Ok(())
    }
}
