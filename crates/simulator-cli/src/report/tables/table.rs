//! One Parquet file: rows are collected by column and written in groups, so that memory stays within a group.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::output::{OutputError, WholeFile};

/// A group is written when it has this many rows,
const GROUP_ROWS: usize = 65_536;
/// or this many bytes of values.
const GROUP_BYTES: usize = 16 << 20;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    kind: Kind,
    repetition: Repetition,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U32,
    U64,
    Text,
    Bytes,
}

/// One value of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Null,
    Bool(bool),
    U32(u32),
    U64(u64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A file that is being written.
pub(super) struct Table {
    writer: SerializedFileWriter<WholeFile>,
    path: PathBuf,
    columns: Vec<Buffer>,
    rows: usize,
    bytes: usize,
}

impl Column {
    /// A column that has a value in every row.
    pub(super) const fn required(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repetition: Repetition::REQUIRED,
        }
    }

    /// A column that may be null.
    pub(super) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repetition: Repetition::OPTIONAL,
        }
    }

    fn schema(&self) -> ParquetResult<TypePtr> {
        let (physical, logical) = match self.kind {
            Kind::Bool => (PhysicalType::BOOLEAN, None),
            Kind::U32 => (
                PhysicalType::INT32,
                Some(LogicalType::Integer {
                    bit_width: 32,
                    is_signed: false,
                }),
            ),
            Kind::U64 => (
                PhysicalType::INT64,
                Some(LogicalType::Integer {
                    bit_width: 64,
                    is_signed: false,
                }),
            ),
            Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Bytes => (PhysicalType::BYTE_ARRAY, None),
        };
        let builder = Type::primitive_type_builder(self.name, physical);
        Ok(Arc::new(
            builder
                .with_repetition(self.repetition)
                .with_logical_type(logical)
                .build()?,
        ))
    }
}

impl Table {
    /// Begins a file.
    pub(super) fn create(path: &Path, columns: &[Column]) -> Result<Self, OutputError> {
        let file = WholeFile::create(path)?;
        Ok(Self {
            writer: writer(file, columns).map_err(at(path))?,
            path: path.to_owned(),
            columns: columns.iter().map(Buffer::new).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row, one cell a column.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), OutputError> {
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "a row has as many cells as the table has columns"
        );
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += column.push(*cell);
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()
        } else {
            Ok(())
        }
    }

    /// Writes what is left and gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), OutputError> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.into_inner().map_err(at(&self.path))?.publish()
    }

    fn write_group(&mut self) -> Result<(), OutputError> {
        self.try_write_group().map_err(at(&self.path))?;
        self.columns.iter_mut().for_each(Buffer::clear);
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    fn try_write_group(&mut self) -> ParquetResult<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &self.columns {
            let mut writer = group.next_column()?.expect("the schema has these columns");
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }
}

/// Values of one column that wait for their group.
struct Buffer {
    values: Values,
    /// 1 for a value, 0 for null; kept for optional columns only.
    levels: Option<Vec<i16>>,
}

enum Values {
    Bool(Vec<bool>),
    U32(Vec<i32>),
    U64(Vec<i64>),
    Bytes(Vec<ByteArray>),
}

impl Buffer {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::U32 => Values::U32(Vec::new()),
            Kind::U64 => Values::U64(Vec::new()),
            Kind::Text | Kind::Bytes => Values::Bytes(Vec::new()),
        };
        Self {
            values,
            levels: (column.repetition == Repetition::OPTIONAL).then(Vec::new),
        }
    }

    /// Adds a cell and says how many bytes it takes.
    fn push(&mut self, cell: Cell<'_>) -> usize {
        let is_null = matches!(cell, Cell::Null);
        match &mut self.levels {
            Some(levels) => levels.push(i16::from(!is_null)),
            None => assert!(!is_null, "the column is required"),
        }
        self.values.push(cell)
    }

    fn clear(&mut self) {
        self.values.clear();
        if let Some(levels) = &mut self.levels {
            levels.clear();
        }
    }

    fn write(&self, writer: &mut ColumnWriter<'_>) -> ParquetResult<()> {
        let levels = self.levels.as_deref();
        match (&self.values, writer) {
            (Values::Bool(values), ColumnWriter::BoolColumnWriter(writer)) => write(writer, values, levels),
            (Values::U32(values), ColumnWriter::Int32ColumnWriter(writer)) => write(writer, values, levels),
            (Values::U64(values), ColumnWriter::Int64ColumnWriter(writer)) => write(writer, values, levels),
            (Values::Bytes(values), ColumnWriter::ByteArrayColumnWriter(writer)) => write(writer, values, levels),
            _ => unreachable!("schema and buffers are made from the same columns"),
        }
    }
}

impl Values {
    fn push(&mut self, cell: Cell<'_>) -> usize {
        match (self, cell) {
            (_, Cell::Null) => return 0,
            (Self::Bool(values), Cell::Bool(value)) => values.push(value),
            // Parquet stores unsigned numbers in the signed type of the same width.
            (Self::U32(values), Cell::U32(value)) => values.push(value.cast_signed()),
            (Self::U64(values), Cell::U64(value)) => values.push(value.cast_signed()),
            (Self::Bytes(values), Cell::Text(text)) => values.push(ByteArray::from(text)),
            (Self::Bytes(values), Cell::Bytes(bytes)) => values.push(ByteArray::from(bytes.to_vec())),
            (_, cell) => unreachable!("{cell:?} is not of the column's kind"),
        }
        cell.bytes()
    }

    fn clear(&mut self) {
        match self {
            Self::Bool(values) => values.clear(),
            Self::U32(values) => values.clear(),
            Self::U64(values) => values.clear(),
            Self::Bytes(values) => values.clear(),
        }
    }
}

impl Cell<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::U32(_) => 4,
            Self::U64(_) => 8,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

fn writer(file: WholeFile, columns: &[Column]) -> ParquetResult<SerializedFileWriter<WholeFile>> {
    let fields = columns.iter().map(Column::schema).collect::<ParquetResult<Vec<_>>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("sim ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
}

fn write<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> ParquetResult<()> {
    writer.write_batch(values, levels, None).map(|_| ())
}

fn at(path: &Path) -> impl FnOnce(ParquetError) -> OutputError + use<> {
    let at = OutputError::at(path);
    move |error| at(io::Error::other(error))
}
