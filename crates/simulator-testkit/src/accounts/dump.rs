use std::collections::BTreeMap;
use std::path::Path;

use solana_pubkey::Pubkey;

use super::AccountRecord;
use crate::text::{self, FileError, Writer};

/// Accounts by address.
pub type AccountDump = BTreeMap<Pubkey, AccountRecord>;

/// Reads a dump, plain or packed. Of an address that comes twice the last line counts.
pub fn read(path: &Path) -> Result<AccountDump, FileError> {
    text::lines(path)?
        .map(|line| {
            let record: AccountRecord = line?.parse(path)?;
            Ok((record.address, record))
        })
        .collect()
}

/// Writes a dump in the order given, packed as the name says.
pub fn write<'a>(path: &Path, records: impl IntoIterator<Item = &'a AccountRecord>) -> Result<(), FileError> {
    let mut writer = Writer::create(path)?;
    for record in records {
        writer.json(record)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    #[test]
    fn the_sample_survives_byte_for_byte() {
        let source = paths::sample("agave-small").join("accounts-start.jsonl.gz");
        let dump = read(&source).unwrap();
        assert_eq!(dump.len(), 578);

        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("accounts.jsonl.zst");
        write(&copy, dump.values()).unwrap();
        let lines = |path: &Path| {
            text::lines(path)
                .unwrap()
                .map(|line| line.unwrap().text)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&copy), lines(&source));
    }
}
