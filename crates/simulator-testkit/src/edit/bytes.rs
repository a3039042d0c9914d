use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::text::FileError;

/// Copies a directory with everything in it. The copy can be changed, even where the original cannot.
pub fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::create_dir_all(to).map_err(FileError::io(to))?;
    for entry in fs::read_dir(from).map_err(FileError::io(from))? {
        let source = entry.map_err(FileError::io(from))?.path();
        let target = to.join(source.file_name().expect("an entry of a directory has a name"));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            // Read and written rather than copied, so that a read-only original does not give a read-only copy.
            let bytes = fs::read(&source).map_err(FileError::io(&source))?;
            fs::write(&target, bytes).map_err(FileError::io(&target))?;
        }
    }
    Ok(())
}

/// Cuts a file to its first `length` bytes, as a transfer that broke off would leave it.
pub fn truncate(file: &Path, length: u64) -> Result<(), FileError> {
    let opened = OpenOptions::new().write(true).open(file).map_err(FileError::io(file))?;
    opened.set_len(length).map_err(FileError::io(file))
}

/// Inverts every bit of the byte at `offset`.
///
/// # Panics
/// When the file is shorter than that.
pub fn flip_byte(file: &Path, offset: usize) -> Result<(), FileError> {
    let mut bytes = fs::read(file).map_err(FileError::io(file))?;
    let length = bytes.len();
    let byte = bytes
        .get_mut(offset)
        .unwrap_or_else(|| panic!("{} has only {length} bytes", file.display()));
    *byte = !*byte;
    fs::write(file, bytes).map_err(FileError::io(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_can_be_damaged_and_the_original_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (original, copied) = (folder.path().join("original"), folder.path().join("copied"));
        fs::create_dir_all(original.join("inner")).unwrap();
        fs::write(original.join("inner/file"), [1, 2, 3]).unwrap();

        copy(&original, &copied).unwrap();
        flip_byte(&copied.join("inner/file"), 1).unwrap();
        truncate(&copied.join("inner/file"), 2).unwrap();
        assert_eq!(fs::read(copied.join("inner/file")).unwrap(), [1, 0xfd]);
        assert_eq!(fs::read(original.join("inner/file")).unwrap(), [1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "has only 1 bytes")]
    fn a_byte_past_the_end_is_a_mistake_of_the_test() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, [1]).unwrap();
        let _ = flip_byte(&file, 1);
    }
}
