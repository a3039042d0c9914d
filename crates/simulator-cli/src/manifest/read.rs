//! Reading a manifest, and turning it back into what the run was asked to do.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::document::{ArchiveEntry, Command, FORMAT, Features, FileEntry, ReplacementEntry, RunManifest, VERSION};
use super::paths::Base;
use crate::args::{AddressFile, FeaturesArg};
use crate::run::{Changes, Replacement};

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ManifestReadError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not the manifest of a run: its format is {found:?}, not {FORMAT:?}", path.display())]
    Format { path: PathBuf, found: String },
    #[error(
        "{} has version {found} of the format, and this tool reads version {VERSION}; use a newer one",
        path.display()
    )]
    Version { path: PathBuf, found: u32 },
    #[error("{} is not a whole manifest of a run: wrong at {at}", path.display())]
    Malformed {
        path: PathBuf,
        /// The member at which reading ended.
        at: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{} has no session: there is nothing to run again", path.display())]
    Empty { path: PathBuf },
    #[error(
        "{} has commands in an order that this tool cannot repeat: it replaces programs and accounts first, and then \
         continues to the end, once",
        path.display()
    )]
    Order { path: PathBuf },
}

/// A manifest, and where it was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundManifest {
    pub(crate) path: PathBuf,
    pub(crate) document: RunManifest,
    base: Base,
}

/// What tells a manifest of another version.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl FoundManifest {
    /// Reads a manifest.
    pub(crate) fn read(path: &Path) -> Result<Self, ManifestReadError> {
        let text = std::fs::read(path).map_err(|source| ManifestReadError::Read {
            path: path.to_owned(),
            source,
        })?;
        let document = parse(path, &text)?;
        if document.sessions.is_empty() {
            return Err(ManifestReadError::Empty { path: path.to_owned() });
        }
        let is_last = |(index, command): (usize, &Command)| {
            (*command == Command::ContinueToEnd) == (index + 1 == document.commands.len())
        };
        if document.commands.is_empty() || !document.commands.iter().enumerate().all(is_last) {
            return Err(ManifestReadError::Order { path: path.to_owned() });
        }
        Ok(Self {
            path: path.to_owned(),
            document,
            base: Base::of(path),
        })
    }

    /// Where its archives are, as seen from here.
    pub(crate) fn places(&self) -> Vec<String> {
        let archives = self.document.archives.iter();
        archives.map(|archive| self.place(archive)).collect()
    }

    /// Where an archive is, as seen from here.
    pub(crate) fn place(&self, archive: &ArchiveEntry) -> String {
        self.base.resolve_place(&archive.place)
    }

    /// Every file that was given, in the order in which it is named, and where it is as seen from here.
    pub(crate) fn files(&self) -> impl Iterator<Item = (PathBuf, &FileEntry)> {
        let listed = match &self.document.options.features {
            Features::Listed(file) => Some(file),
            Features::Accounts | Features::All => None,
        };
        let replaced = self.document.commands.iter().flat_map(|command| match command {
            Command::ReplaceProgram(entry) => std::slice::from_ref(entry),
            Command::ReplaceAccounts(entries) => entries,
            Command::ContinueToEnd => &[],
        });
        let files = listed.into_iter().chain(replaced.map(|entry| &entry.file));
        files.map(|file| (self.base.resolve(&file.path), file))
    }

    /// What the run changed.
    pub(crate) fn changes(&self) -> Changes {
        let options = &self.document.options;
        let commands = self.document.commands.iter();
        Changes {
            replacements: commands.filter_map(|command| self.replacement(command)).collect(),
            extra_compute_units: (options.extra_compute_units > 0).then_some(options.extra_compute_units),
            ignored_signers: options.ignored_signers.iter().map(|address| address.0).collect(),
            features: match &options.features {
                Features::Accounts => None,
                Features::All => Some(FeaturesArg::All),
                Features::Listed(file) => Some(FeaturesArg::File(self.base.resolve(&file.path))),
            },
        }
    }

    fn replacement(&self, command: &Command) -> Option<Replacement<AddressFile>> {
        match command {
            Command::ReplaceProgram(entry) => Some(Replacement::Program(self.address_file(entry))),
            Command::ReplaceAccounts(entries) => {
                let files = entries.iter().map(|entry| self.address_file(entry));
                Some(Replacement::Accounts(files.collect()))
            }
            Command::ContinueToEnd => None,
        }
    }

    fn address_file(&self, entry: &ReplacementEntry) -> AddressFile {
        AddressFile {
            address: entry.address.0,
            file: self.base.resolve(&entry.file.path),
        }
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<RunManifest, ManifestReadError> {
    // A manifest of another version has other members: that it is one says more than which of them is not known.
    if let Ok(Header { format, version }) = serde_json::from_slice(text) {
        let path = path.to_owned();
        if format != FORMAT {
            return Err(ManifestReadError::Format { path, found: format });
        }
        if version != VERSION {
            return Err(ManifestReadError::Version { path, found: version });
        }
    }
    let malformed = |at: String, source| ManifestReadError::Malformed {
        path: path.to_owned(),
        at,
        source,
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let manifest = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| malformed(error.path().to_string(), error.into_inner()))?;
    let end = json.end();
    end.map(|()| manifest)
        .map_err(|error| malformed("its end".to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    const SYSTEM: &str = "11111111111111111111111111111111";

    fn document() -> String {
        let digest = "ab".repeat(32);
        format!(
            r#"{{
  "format": "simulator run manifest",
  "version": 1,
  "tool": "sim 0.1.0",
  "engine": "engine",
  "archives": [{{"place": "../archive", "digest": "{digest}"}}],
  "range": {{"first_slot": 36, "last_slot": 59}},
  "options": {{"features": {{"listed": {{"path": "f.txt", "digest": "{digest}"}}}}, "extra_compute_units": 7, "ignored_signers": []}},
  "commands": [
    {{"replace_program": {{"address": "{SYSTEM}", "file": {{"path": "p.so", "digest": "{digest}"}}}}}},
    {{"replace_accounts": [{{"address": "{SYSTEM}", "file": {{"path": "a.json", "digest": "{digest}"}}}}]}},
    "continue_to_end"
  ],
  "sessions": [{{
    "range": {{"first_slot": 36, "last_slot": 59}}, "archive": "{digest}", "result_digest": "{digest}",
    "state": {{"accounts": 1, "digest": "{digest}"}},
    "bank_hashes": {{"agreed": 0, "differed": 0, "not_recorded": 0, "first_difference": null, "unavailable": null}},
    "unreproduced": [], "checkpoints": {{"interval": 1, "slots": []}}
  }}],
  "result_digest": "{digest}",
  "totals": {{"slots": 0, "total": 0, "successes": 0, "failures": 0, "matched": 0, "diverged": 0, "diverged_by_class": {{}},
    "unverifiable": 0, "unverifiable_by_reason": {{}}, "compute_units": 0}}
}}
"#
        )
    }

    fn read(text: &[u8]) -> Result<FoundManifest, ManifestReadError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.json");
        std::fs::write(&path, text).expect("written");
        FoundManifest::read(&path)
    }

    /// The error without the path of the temporary directory.
    fn refusal(text: &[u8]) -> String {
        let error = chain(&read(text).expect_err("not a manifest"));
        error[error.find("run.json").expect("it is named")..].to_owned()
    }

    #[test]
    fn a_manifest_says_what_was_run() {
        let found = read(document().as_bytes()).expect("a manifest");
        let names = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let files: Vec<_> = found.files().filter_map(|(path, _)| names(path)).collect();
        assert_eq!(files, ["f.txt", "p.so", "a.json"]);
        let changes = found.changes();
        assert_eq!(changes.extra_compute_units, Some(7));
        assert!(matches!(
            &changes.replacements[..],
            [Replacement::Program(_), Replacement::Accounts(accounts)] if accounts.len() == 1
        ));
        assert!(found.places()[0].ends_with("/../archive"), "{:?}", found.places());
    }

    #[test]
    fn what_was_cut_off_at_any_byte_is_refused() {
        let text = document();
        let end = text.trim_end().len();
        for length in 0..end {
            let error = read(&text.as_bytes()[..length]).expect_err("cut off");
            assert!(
                matches!(error, ManifestReadError::Malformed { .. }),
                "{length}: {error}"
            );
        }
        let told = refusal(&text.as_bytes()[..text.find("first_difference").expect("there")]);
        insta::assert_snapshot!(told);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| {
            let text = document();
            assert!(text.contains(from));
            refusal(text.replacen(from, to, 1).as_bytes())
        };
        let told = [
            with("\"simulator run manifest\"", "\"a novel\""),
            with("\"version\": 1", "\"version\": 2"),
            with("\"interval\": 1", "\"interval\": -1"),
            with("\"tool\"", "\"tool_\""),
            with(&"ab".repeat(32), "abc"),
            with(SYSTEM, "0x12"),
            with("\"continue_to_end\"", "\"rewind\""),
            with("\"continue_to_end\"", "\"continue_to_end\", \"continue_to_end\""),
            with("}\n}\n", "}\n}\n}"),
            refusal(b"\x00\xff garbage"),
            refusal(b"[]"),
            refusal(b""),
        ];
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
