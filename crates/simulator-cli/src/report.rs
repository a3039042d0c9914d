//! What a run tells its user: a JSON object, JSON lines, Parquet tables, or a table to read.

mod document;
mod facts;
mod lines;
mod rows;
mod sink;
mod spool;
mod table;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use document::{DocumentSink, Transactions};
pub(crate) use facts::{BankHashes, Facts, Metadata, Summary, Unreproduced};
pub(crate) use lines::LinesSink;
pub(crate) use rows::{AccountChange, AccountState, DivergenceRow, SlotRecord, SlotRow, TransactionRow};
pub(crate) use sink::{Sink, Sinks};
pub(crate) use spool::Spool;
pub(crate) use table::{FirstDivergences, Grouped, print_table};
pub(crate) use tables::ParquetSink;
