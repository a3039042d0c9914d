//! Replacing the code of a program.
//!
//! A program of the upgradeable loader keeps its code in a second account, the ProgramData. Replacing that account
//! replaces the program; nothing needs to be deployed or signed.

mod elf;
mod program_data;
mod via_rpc;

pub use elf::{ElfError, check_elf};
pub use program_data::{PROGRAM_DATA_HEADER_LEN, build_program_injection, build_programdata_bytes};
pub use via_rpc::{ProgramModError, modify_program_via_rpc};
