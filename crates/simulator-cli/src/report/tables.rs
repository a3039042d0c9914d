//! Parquet tables: `transactions`, `divergences`, `account_diffs` and `slots`. `docs/cli.md` lists their columns.

mod table;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use self::table::{Cell, Column, Kind, Table};
use super::{AccountState, DivergenceRow, Facts, Sink, SlotRecord, SlotRow, TransactionRow};
use crate::output::OutputError;

const TRANSACTIONS: &[Column] = &[
    Column::required("slot", Kind::U64),
    Column::required("index", Kind::U32),
    Column::required("signature", Kind::Text),
    Column::required("success", Kind::Bool),
    Column::optional("error", Kind::Text),
    Column::required("fee", Kind::U64),
    Column::required("compute_units", Kind::U64),
    Column::required("logs", Kind::Text),
    Column::required("sol_changes", Kind::Text),
    Column::required("token_changes", Kind::Text),
    Column::required("verdict", Kind::Text),
    Column::optional("unverifiable_reason", Kind::Text),
];

const DIVERGENCES: &[Column] = &[
    Column::required("slot", Kind::U64),
    Column::required("index", Kind::U32),
    Column::required("signature", Kind::Text),
    Column::required("field", Kind::Text),
    Column::required("recorded", Kind::Text),
    Column::required("computed", Kind::Text),
    Column::required("class", Kind::Text),
    Column::optional("culprit", Kind::Text),
    Column::required("root", Kind::Bool),
];

const ACCOUNT_DIFFS: &[Column] = &[
    Column::required("slot", Kind::U64),
    Column::required("index", Kind::U32),
    Column::required("signature", Kind::Text),
    Column::required("address", Kind::Text),
    Column::optional("before_lamports", Kind::U64),
    Column::optional("before_owner", Kind::Text),
    Column::optional("before_executable", Kind::Bool),
    Column::optional("before_data", Kind::Bytes),
    Column::optional("after_lamports", Kind::U64),
    Column::optional("after_owner", Kind::Text),
    Column::optional("after_executable", Kind::Bool),
    Column::optional("after_data", Kind::Bytes),
];

const SLOTS: &[Column] = &[
    Column::required("slot", Kind::U64),
    Column::required("total", Kind::U64),
    Column::required("successes", Kind::U64),
    Column::required("failures", Kind::U64),
    Column::required("matched", Kind::U64),
    Column::required("diverged", Kind::U64),
    Column::required("unverifiable", Kind::U64),
    Column::required("compute_units", Kind::U64),
    Column::optional("bank_hash", Kind::Text),
];

/// Writes one file a table. Each gets its name when it is complete.
pub(crate) struct ParquetSink {
    transactions: Table,
    divergences: Table,
    account_diffs: Table,
    slots: Table,
}

impl ParquetSink {
    /// Begins the tables in a directory, which is made if it is not there.
    pub(crate) fn create(directory: &Path) -> Result<Self, OutputError> {
        std::fs::create_dir_all(directory).map_err(OutputError::at(directory))?;
        let table = |name: &str, columns| Table::create(&directory.join(name), columns);
        Ok(Self {
            transactions: table("transactions.parquet", TRANSACTIONS)?,
            divergences: table("divergences.parquet", DIVERGENCES)?,
            account_diffs: table("account_diffs.parquet", ACCOUNT_DIFFS)?,
            slots: table("slots.parquet", SLOTS)?,
        })
    }

    fn transaction(&mut self, row: &TransactionRow) -> Result<(), OutputError> {
        let error = (!row.error.is_null()).then(|| row.error.to_string());
        self.transactions.push(&[
            Cell::U64(row.slot),
            Cell::U32(row.index),
            Cell::Text(&row.signature),
            Cell::Bool(row.success),
            error.as_deref().map_or(Cell::Null, Cell::Text),
            Cell::U64(row.fee),
            Cell::U64(row.compute_units),
            Cell::Text(&json(&row.logs)),
            Cell::Text(&json(&row.sol_changes)),
            Cell::Text(&json(&row.token_changes)),
            Cell::Text(&row.verdict),
            row.unverifiable_reason.as_deref().map_or(Cell::Null, Cell::Text),
        ])?;
        self.account_diffs(row)
    }

    fn account_diffs(&mut self, row: &TransactionRow) -> Result<(), OutputError> {
        for (address, change) in row.account_diffs.iter().flatten() {
            let before = change.before.as_ref().map(StateBytes::of);
            let after = change.after.as_ref().map(StateBytes::of);
            let mut cells = vec![
                Cell::U64(row.slot),
                Cell::U32(row.index),
                Cell::Text(&row.signature),
                Cell::Text(address),
            ];
            cells.extend(StateBytes::cells(before.as_ref()));
            cells.extend(StateBytes::cells(after.as_ref()));
            self.account_diffs.push(&cells)?;
        }
        Ok(())
    }

    fn divergence(&mut self, row: &DivergenceRow) -> Result<(), OutputError> {
        self.divergences.push(&[
            Cell::U64(row.slot),
            Cell::U32(row.index),
            Cell::Text(&row.signature),
            Cell::Text(&row.field),
            Cell::Text(&row.recorded.to_string()),
            Cell::Text(&row.computed.to_string()),
            Cell::Text(&row.class),
            row.culprit.as_deref().map_or(Cell::Null, Cell::Text),
            Cell::Bool(row.root),
        ])
    }

    fn totals(&mut self, row: &SlotRow) -> Result<(), OutputError> {
        self.slots.push(&[
            Cell::U64(row.slot),
            Cell::U64(row.total),
            Cell::U64(row.successes),
            Cell::U64(row.failures),
            Cell::U64(row.matched),
            Cell::U64(row.diverged),
            Cell::U64(row.unverifiable),
            Cell::U64(row.compute_units),
            row.bank_hash.as_deref().map_or(Cell::Null, Cell::Text),
        ])
    }
}

impl Sink for ParquetSink {
    fn slot(&mut self, record: &SlotRecord) -> Result<(), OutputError> {
        record.transactions.iter().try_for_each(|row| self.transaction(row))?;
        record.divergences.iter().try_for_each(|row| self.divergence(row))?;
        self.totals(&record.totals)
    }

    fn finish(self: Box<Self>, _facts: &Facts) -> Result<(), OutputError> {
        let Self {
            transactions,
            divergences,
            account_diffs,
            slots,
        } = *self;
        [transactions, divergences, account_diffs, slots]
            .into_iter()
            .try_for_each(Table::finish)
    }
}

/// An account with its data as bytes.
struct StateBytes<'a> {
    state: &'a AccountState,
    data: Vec<u8>,
}

impl<'a> StateBytes<'a> {
    /// Data that is not base64 can only come from a server that breaks the protocol; it is kept as it is.
    fn of(state: &'a AccountState) -> Self {
        let data = STANDARD
            .decode(&state.data.0)
            .unwrap_or_else(|_| state.data.0.clone().into_bytes());
        Self { state, data }
    }

    fn cells<'s>(this: Option<&'s Self>) -> [Cell<'s>; 4] {
        let Some(Self { state, data }) = this else {
            return [Cell::Null; 4];
        };
        [
            Cell::U64(state.lamports),
            Cell::Text(&state.owner),
            Cell::Bool(state.executable),
            Cell::Bytes(data),
        ]
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps and lists of text and numbers have a JSON form")
}
