//! Loading programs.

use prost::Message;
use protosol::protos::ElfLoaderFixture;
use solana_svm::conformance::elf_loader::execute_elf_loader;

use super::mismatch::same;
use super::{Stop, Unsupported};

/// Loads a program and compares what the loader says of it.
pub(super) fn run(bytes: &[u8]) -> Result<(), Stop> {
    let ElfLoaderFixture { input, output, .. } = ElfLoaderFixture::decode(bytes)?;
    let input = input.ok_or(Unsupported::Missing("input"))?;
    let expected = output.ok_or(Unsupported::Missing("output"))?;
    let found = execute_elf_loader(&input);
    same("err_code", &expected.err_code, &found.err_code)?;
    same("text_cnt", &expected.text_cnt, &found.text_cnt)?;
    same("text_off", &expected.text_off, &found.text_off)?;
    same("entry_pc", &expected.entry_pc, &found.entry_pc)?;
    same("rodata_hash", &expected.rodata_hash, &found.rodata_hash)?;
    Ok(same("calldests_hash", &expected.calldests_hash, &found.calldests_hash)?)
}
