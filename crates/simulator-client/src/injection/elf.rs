//! Whether a file can be the code of a program, as far as its form says.
//!
//! The runtime finds out only when the program is called, and then tells no more than that it is not deployed. A file
//! that was built for another machine, or cut off on its way, is better refused before anything is replaced by it.

use thiserror::Error;

/// Why a file cannot be the code of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It does not begin as an ELF file does.
    #[error("it is not an ELF file; give the program as `cargo build-sbf` writes it")]
    NotElf,
    /// It is an ELF file for another kind of machine than a 64-bit little-endian one.
    #[error("it is not a 64-bit little-endian ELF file; give the program as `cargo build-sbf` writes it")]
    OtherClass,
    /// It is an ELF file for another machine than Solana's.
    #[error(
        "it is built for another machine (ELF machine {machine}, Solana's are {BPF} and {SBPF}); build it with \
         `cargo build-sbf`"
    )]
    OtherMachine {
        /// The machine's number.
        machine: u16,
    },
    /// It is an ELF file, and not a shared object.
    #[error("it is no shared object (ELF type {kind}); build it with `cargo build-sbf`")]
    OtherKind {
        /// The type's number.
        kind: u16,
    },
    /// It ends before something that it says it has.
    #[error("it was cut off: {what} ends at byte {end}, and the file has {len}")]
    CutOff {
        /// What is not there, or not whole.
        what: &'static str,
        /// Where that ends.
        end: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// It holds nothing that could be loaded.
    #[error("it has nothing to load: neither a segment nor a section")]
    Empty,
}

/// The machines' numbers.
const BPF: u16 = 247;
const SBPF: u16 = 263;
/// The number of shared objects.
const SHARED_OBJECT: u16 = 3;
const MAGIC: [u8; 4] = *b"\x7fELF";
/// 64 bits, little-endian.
const CLASS: [u8; 2] = [2, 1];
const HEADER_LEN: usize = 64;
/// Bytes of an entry of the program header table, and of the section header table.
const SEGMENT_LEN: usize = 56;
const SECTION_LEN: usize = 64;
/// The type of a segment that is loaded; others are not looked at.
const LOAD: u32 = 1;
/// The type of a section that takes no room in the file.
const NO_BITS: u32 = 8;

/// Checks the form of a program: that it is a whole ELF file for Solana's machine. Whether its code passes the runtime's
/// verifier is not looked at.
///
/// # Errors
///
/// [`ElfError`].
pub fn check_elf(elf: &[u8]) -> Result<(), ElfError> {
    let file = File(elf);
    if !elf.starts_with(&MAGIC) {
        return Err(ElfError::NotElf);
    }
    file.whole("its header", 0, HEADER_LEN as u64)?;
    if elf[4..6] != CLASS {
        return Err(ElfError::OtherClass);
    }
    match file.u16(18) {
        BPF | SBPF => {}
        machine => return Err(ElfError::OtherMachine { machine }),
    }
    match file.u16(16) {
        SHARED_OBJECT => {}
        kind => return Err(ElfError::OtherKind { kind }),
    }
    let (segments, sections) = (file.u16(56), file.u16(60));
    if segments == 0 && sections == 0 {
        return Err(ElfError::Empty);
    }
    file.check_segments(file.u64(32), segments)?;
    file.check_sections(file.u64(40), sections)
}

/// An ELF file whose header is there.
struct File<'a>(&'a [u8]);

impl File<'_> {
    fn check_segments(&self, table: u64, count: u16) -> Result<(), ElfError> {
        let entries = self.table("its program header table", table, count, SEGMENT_LEN)?;
        for at in entries {
            if self.u32(at) == LOAD {
                self.whole("one of its segments", self.u64(at + 8), self.u64(at + 32))?;
            }
        }
        Ok(())
    }

    fn check_sections(&self, table: u64, count: u16) -> Result<(), ElfError> {
        let entries = self.table("its section header table", table, count, SECTION_LEN)?;
        for at in entries {
            if self.u32(at + 4) != NO_BITS {
                self.whole("one of its sections", self.u64(at + 24), self.u64(at + 32))?;
            }
        }
        Ok(())
    }

    /// Where the entries of a table begin that is there as a whole.
    fn table(
        &self,
        what: &'static str,
        start: u64,
        count: u16,
        entry_len: usize,
    ) -> Result<impl Iterator<Item = usize> + use<>, ElfError> {
        let count = usize::from(count);
        self.whole(what, start, (count * entry_len) as u64)?;
        // A table without entries may be said to begin anywhere.
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        Ok((0..count).map(move |entry| start + entry * entry_len))
    }

    fn whole(&self, what: &'static str, start: u64, bytes: u64) -> Result<(), ElfError> {
        let (end, len) = (start.saturating_add(bytes), self.0.len() as u64);
        if bytes > 0 && end > len {
            return Err(ElfError::CutOff { what, end, len });
        }
        Ok(())
    }

    /// Numbers that are there: the part of the file has been checked.
    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(|bytes| bytes.first_chunk::<N>())
            .copied()
            .unwrap_or([0; N])
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.number(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.number(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.number(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one segment of 8 bytes at its end.
    fn elf() -> Vec<u8> {
        let mut elf = vec![0; HEADER_LEN + SEGMENT_LEN + 8];
        let len = elf.len() as u64;
        let mut set = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, b"\x7fELF\x02\x01\x01");
        set(16, &SHARED_OBJECT.to_le_bytes());
        set(18, &SBPF.to_le_bytes());
        set(32, &(HEADER_LEN as u64).to_le_bytes());
        set(56, &1u16.to_le_bytes());
        set(HEADER_LEN, &LOAD.to_le_bytes());
        set(HEADER_LEN + 8, &(len - 8).to_le_bytes());
        set(HEADER_LEN + 32, &8u64.to_le_bytes());
        elf
    }

    fn changed(at: usize, bytes: &[u8]) -> Result<(), ElfError> {
        let mut elf = elf();
        elf[at..at + bytes.len()].copy_from_slice(bytes);
        check_elf(&elf)
    }

    #[test]
    fn says_what_a_file_is_instead_of_a_program() {
        assert_eq!(check_elf(&elf()), Ok(()));
        assert_eq!(changed(18, &BPF.to_le_bytes()), Ok(()));
        assert_eq!(check_elf(b"#!/bin/sh"), Err(ElfError::NotElf));
        assert_eq!(changed(4, &[1]), Err(ElfError::OtherClass));
        // A library for the developer's own machine.
        assert_eq!(changed(18, &[62, 0]), Err(ElfError::OtherMachine { machine: 62 }));
        assert_eq!(changed(16, &[2, 0]), Err(ElfError::OtherKind { kind: 2 }));
        assert_eq!(changed(56, &[0, 0]), Err(ElfError::Empty));
    }

    #[test]
    fn notices_wherever_a_file_was_cut_off() {
        let elf = elf();
        for len in 4..elf.len() {
            let error = check_elf(&elf[..len]).unwrap_err();
            assert!(matches!(error, ElfError::CutOff { .. }), "{len}: {error}");
        }
        assert_eq!(
            check_elf(&elf[..elf.len() - 1]).unwrap_err().to_string(),
            "it was cut off: one of its segments ends at byte 128, and the file has 127"
        );
    }

    #[test]
    fn wild_numbers_are_errors() {
        let wild = u64::MAX.to_le_bytes();
        for at in [32, HEADER_LEN + 8, HEADER_LEN + 32] {
            assert!(matches!(changed(at, &wild), Err(ElfError::CutOff { .. })));
        }
        assert_eq!(changed(40, &wild), Ok(()), "it has no sections, wherever they would be");
        let sections = [&wild[..], &[0; 12], &[1, 0]].concat();
        assert!(matches!(changed(40, &sections), Err(ElfError::CutOff { .. })));
    }

    #[test]
    fn a_section_without_content_is_nowhere_in_the_file() {
        let mut elf = elf();
        let table = elf.len() as u64;
        elf.extend([0; SECTION_LEN]);
        elf[40..48].copy_from_slice(&table.to_le_bytes());
        elf[60] = 1;
        let at = elf.len() - SECTION_LEN;
        elf[at + 32..at + 40].copy_from_slice(&1_000_000u64.to_le_bytes());
        assert!(check_elf(&elf).is_err());
        elf[at + 4..at + 8].copy_from_slice(&NO_BITS.to_le_bytes());
        assert_eq!(check_elf(&elf), Ok(()));
    }
}
