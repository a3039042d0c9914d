//! Runs the public conformance fixtures of the Firedancer team, which say what an instruction or a transaction does,
//! through this engine's own account store, sysvars, features and callbacks.
//!
//! A fixture is a Protobuf message (`InstrFixture`, `TxnFixture`, `ELFLoaderFixture` of the crate `protosol`): an input,
//! the effects, and the name of the function whose effects they are. Only built with the feature `conformance`, and for
//! tests only.

mod account;
mod bench;
mod elf;
mod instr;
mod mismatch;
mod txn;

use std::panic::{AssertUnwindSafe, catch_unwind};

use prost::Message;
use protosol::protos::FixtureMetadata;
use thiserror::Error;

use crate::runtime::SetupError;
use crate::sysvars::SysvarError;

pub use mismatch::Mismatch;

/// What a fixture is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FixtureKind {
    /// One instruction.
    Instruction,
    /// One transaction.
    Transaction,
    /// Loading a program from its ELF file. Nothing of our own is part of it but the choice of the virtual machine.
    ElfLoader,
    /// Something else.
    Other,
}

/// What came out of a fixture.
#[derive(Debug)]
pub enum FixtureOutcome {
    /// The effects are those of the fixture.
    Passed,
    /// They are not.
    Failed(Mismatch),
    /// The fixture cannot be run.
    Unsupported(Unsupported),
}

/// Why a fixture cannot be run.
#[derive(Debug, Error)]
pub enum Unsupported {
    /// It is not a fixture, or was cut off.
    #[error("it is not a fixture")]
    Decode(#[from] prost::DecodeError),
    /// There is nothing here that does what its function does.
    #[error("there is no harness for {0:?}")]
    Entrypoint(String),
    /// It does not say something that is needed.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// It says something that is none.
    #[error("its {0} is malformed")]
    Malformed(&'static str),
    /// No virtual machine can be set up over its accounts.
    #[error("no machine can be set up over its accounts")]
    Setup(#[from] SetupError),
}

/// The beginning that all fixtures share.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(message, optional, tag = "1")]
    metadata: Option<FixtureMetadata>,
}

/// Why a run ends early.
enum Stop {
    Mismatch(Mismatch),
    Unsupported(Unsupported),
}

/// Runs a fixture. A panic in the machine is a failure of the field `panic`.
#[must_use]
pub fn run_fixture(bytes: &[u8]) -> (FixtureKind, FixtureOutcome) {
    let (kind, entrypoint) = match kind(bytes) {
        Ok(found) => found,
        Err(reason) => return (FixtureKind::Other, FixtureOutcome::Unsupported(reason)),
    };
    let run = || match kind {
        FixtureKind::Instruction => instr::run(bytes),
        FixtureKind::Transaction => txn::run(bytes),
        FixtureKind::ElfLoader => elf::run(bytes),
        FixtureKind::Other => Err(Unsupported::Entrypoint(entrypoint).into()),
    };
    let outcome = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => FixtureOutcome::Passed,
        Ok(Err(Stop::Mismatch(mismatch))) => FixtureOutcome::Failed(mismatch),
        Ok(Err(Stop::Unsupported(reason))) => FixtureOutcome::Unsupported(reason),
        Err(_) => FixtureOutcome::Failed(Mismatch::new("panic", "none", "one, told on standard error")),
    };
    (kind, outcome)
}

fn kind(bytes: &[u8]) -> Result<(FixtureKind, String), Unsupported> {
    let metadata = Header::decode(bytes)?
        .metadata
        .ok_or(Unsupported::Missing("metadata"))?;
    let kind = match metadata.fn_entrypoint.as_str() {
        "sol_compat_instr_execute_v1" => FixtureKind::Instruction,
        "sol_compat_txn_execute_v1" => FixtureKind::Transaction,
        "sol_compat_elf_loader_v1" => FixtureKind::ElfLoader,
        _ => FixtureKind::Other,
    };
    Ok((kind, metadata.fn_entrypoint))
}

impl From<Mismatch> for Stop {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

impl<E: Into<Unsupported>> From<E> for Stop {
    fn from(reason: E) -> Self {
        Self::Unsupported(reason.into())
    }
}

impl From<SysvarError> for Unsupported {
    fn from(error: SysvarError) -> Self {
        Self::Setup(error.into())
    }
}
