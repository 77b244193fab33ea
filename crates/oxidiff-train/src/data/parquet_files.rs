//! Parquet files of a dataset from the hub, read row by row.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::RowGroupReader;
use parquet::file::serialized_reader::SerializedRowGroupReader;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::column::{Column, ColumnKind};
use super::error::{DataError, Result};

/// The rows of several Parquet files, one after the other.
///
/// Only the files' footers are in memory. Reading a value opens its file, skips to its page, and decodes that page.
#[derive(Debug)]
pub(super) struct ParquetFiles {
    files: Vec<ParquetFile>,
    /// Row groups in the order of their rows.
    groups: Vec<RowGroup>,
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Debug)]
struct ParquetFile {
    path: PathBuf,
    /// The size when the footer was read.
    bytes: u64,
    metadata: ParquetMetaData,
    /// For each column that can be read, the leaf that holds its values.
    leaves: Vec<Option<usize>>,
}

#[derive(Debug)]
struct RowGroup {
    first_row: usize,
    file: usize,
    /// The index in its file.
    index: usize,
}

/// The bytes in one row of a column.
#[derive(Debug)]
pub(super) struct ParquetValue {
    /// `None` if the value is null.
    pub values: Option<Vec<ByteArray>>,
    pub is_list: bool,
    origin: String,
    column: String,
}

impl ParquetValue {
    pub fn error(&self, message: &str) -> DataError {
        DataError::Value { origin: self.origin.clone(), column: self.column.clone(), message: message.to_owned() }
    }

    /// The strings, if the value is not null.
    pub fn texts(&self) -> Result<Option<Vec<String>>> {
        let text = |bytes: &ByteArray| {
            bytes.as_utf8().map(str::to_owned).map_err(|_| self.error("the text is not valid UTF-8"))
        };
        self.values.as_ref().map(|values| values.iter().map(text).collect()).transpose()
    }
}

impl ParquetFiles {
    /// Reads the footers of the files, which need to have the same columns.
    pub fn open(paths: Vec<PathBuf>) -> Result<Self> {
        let mut opened = Self { files: Vec::new(), groups: Vec::new(), columns: Vec::new(), rows: 0 };
        for path in paths {
            opened.add(path)?;
        }
        Ok(opened)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let broken = DataError::parquet(&path);
        let file = File::open(&path).map_err(DataError::io(&path))?;
        let bytes = file.metadata().map_err(DataError::io(&path))?.len();
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&file)
            .map_err(broken)?;
        let (columns, leaves): (Vec<_>, Vec<_>) = columns(&metadata).into_iter().unzip();
        if self.files.is_empty() {
            self.columns = columns;
        } else if self.columns != columns {
            let names = |columns: &[Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>().join(", ");
            let message = format!(
                "the columns ({}) are not those of {} ({}), or hold other values",
                names(&columns),
                self.files[0].path.display(),
                names(&self.columns)
            );
            return Err(DataError::file(&path, message));
        }
        for (index, group) in metadata.row_groups().iter().enumerate() {
            for leaf in leaves.iter().flatten() {
                check_codec(&path, group.column(*leaf).compression())?;
            }
            let rows = usize::try_from(group.num_rows())
                .map_err(|_| DataError::file(&path, format!("row group {index} has a negative number of rows")))?;
            if rows > 0 {
                self.groups.push(RowGroup { first_row: self.rows, file: self.files.len(), index });
                self.rows = self.rows.checked_add(rows).ok_or_else(|| DataError::file(&path, "too many rows"))?;
            }
        }
        self.files.push(ParquetFile { path, bytes, metadata, leaves });
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The value of a column of images or captions. `row` is below the number of rows.
    pub fn value(&self, row: usize, column: usize) -> Result<ParquetValue> {
        let group = &self.groups[self.groups.partition_point(|group| group.first_row <= row) - 1];
        self.leaf_reader(group, column)?.read(row - group.first_row)
    }

    /// All values of a column, from the first row.
    pub fn values(&self, column: usize) -> Result<Vec<ParquetValue>> {
        let mut values = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            let end = self.groups.get(at + 1).map_or(self.rows, |next| next.first_row);
            let mut reader = self.leaf_reader(group, column)?;
            for row in 0..end - group.first_row {
                values.push(reader.read(row)?);
            }
        }
        Ok(values)
    }

    fn leaf_reader<'a>(&'a self, group: &RowGroup, column: usize) -> Result<LeafReader<'a>> {
        let file = &self.files[group.file];
        let first_of_file = self.groups.iter().find(|first| first.file == group.file);
        let row_in_file = group.first_row - first_of_file.map_or(0, |first| first.first_row);
        LeafReader::new(file, group.index, row_in_file, column, &self.columns[column].name)
    }
}

/// Reads the values of one column in one row group, forwards.
struct LeafReader<'a> {
    path: &'a Path,
    name: &'a str,
    reader: ColumnReaderImpl<ByteArrayType>,
    leaf: Arc<ColumnDescriptor>,
    /// The file's row with which the group begins.
    first_row: usize,
    /// How many rows of the group are behind.
    passed: usize,
}

impl<'a> LeafReader<'a> {
    fn new(file: &'a ParquetFile, group: usize, first_row: usize, column: usize, name: &'a str) -> Result<Self> {
        let path = file.path.as_path();
        let broken = DataError::parquet(path);
        let Some(index) = file.leaves[column] else {
            let message = format!("column `{name}` holds neither images nor captions");
            return Err(DataError::file(path, message));
        };
        // The readers of one open file would share its position, so each has its own.
        let opened = File::open(path).map_err(DataError::io(path))?;
        if opened.metadata().map_err(DataError::io(path))?.len() != file.bytes {
            return Err(DataError::file(path, "the file changed after it was opened"));
        }
        let pages = file.metadata.page_index_for_row_group(group);
        let properties = Arc::new(ReaderProperties::builder().build());
        let group = file.metadata.row_group(group);
        let rows = SerializedRowGroupReader::new(Arc::new(opened), group, pages, properties).map_err(&broken)?;
        let ColumnReader::ByteArrayColumnReader(reader) = rows.get_column_reader(index).map_err(&broken)? else {
            return Err(broken(ParquetError::General(format!("column `{name}` does not hold bytes"))));
        };
        Ok(Self { path, name, reader, leaf: group.schema_descr().column(index), first_row, passed: 0 })
    }

    /// Reads the value in a row that was not passed yet, counted from the group's first.
    fn read(&mut self, row: usize) -> Result<ParquetValue> {
        let broken = DataError::parquet(self.path);
        let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
        let to_skip = row - self.passed;
        let skipped = self.reader.skip_records(to_skip).map_err(&broken)?;
        let read = self.reader.read_records(1, Some(&mut definition), Some(&mut repetition), &mut values);
        let (rows, _, _) = read.map_err(&broken)?;
        if (skipped, rows) != (to_skip, 1) {
            return Err(broken(ParquetError::EOF(format!("column `{}` ends before row {row} of its group", self.name))));
        }
        self.passed = row + 1;
        let is_list = self.leaf.max_rep_level() > 0;
        let empty = empty_list_level(&self.leaf);
        let is_null = match definition.first() {
            Some(level) if is_list => *level < empty,
            _ => values.is_empty(),
        };
        let origin = format!("{}, row {}", self.path.display(), self.first_row + row);
        let holes = is_list && definition.iter().filter(|level| **level > empty).count() != values.len();
        let value = ParquetValue { values: (!is_null).then_some(values), is_list, origin, column: self.name.to_owned() };
        if holes { Err(value.error("an element of the list is null")) } else { Ok(value) }
    }
}

/// The definition level of an empty list: one for each optional group down to the list.
fn empty_list_level(leaf: &ColumnDescriptor) -> i16 {
    let element_levels = i16::from(leaf.self_type().is_optional());
    leaf.max_def_level() - element_levels - 1
}

/// The file's columns with the leaves that hold their values.
fn columns(metadata: &ParquetMetaData) -> Vec<(Column, Option<usize>)> {
    let schema = metadata.file_metadata().schema_descr();
    let images = image_columns(metadata);
    let root = schema.root_schema().get_fields();
    root.iter()
        .enumerate()
        .map(|(at, field)| {
            let (kind, leaf) = column_kind(schema, at, images.iter().any(|name| name == field.name()));
            (Column { name: field.name().to_owned(), kind }, leaf)
        })
        .collect()
}

/// The names of the columns that `datasets` marks as images in the file's metadata.
fn image_columns(metadata: &ParquetMetaData) -> Vec<String> {
    let entries = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let text = entries.filter(|entry| entry.key == "huggingface").find_map(|entry| entry.value.as_deref());
    let info: serde_json::Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let features = info["info"]["features"].as_object().into_iter().flatten();
    features.filter(|(_, feature)| feature["_type"] == "Image").map(|(name, _)| name.clone()).collect()
}

/// What a column holds, and in which leaf. Images are structures with a field `bytes`, or bytes that are not text.
fn column_kind(schema: &SchemaDescriptor, at: usize, is_image: bool) -> (ColumnKind, Option<usize>) {
    let leaves = (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == at);
    let leaves: Vec<_> = leaves.map(|leaf| (leaf, schema.column(leaf))).collect();
    let single = |leaf: &ColumnDescriptor| leaf.path().parts().len() == 1;
    let bytes = leaves.iter().find(|(_, leaf)| {
        leaf.physical_type() == Physical::BYTE_ARRAY
            && leaf.max_rep_level() == 0
            && (leaf.path().parts().len() == 2 && leaf.name() == "bytes" || single(leaf) && (is_image || !is_text(leaf)))
    });
    if let Some((leaf, _)) = bytes {
        return (ColumnKind::Image, Some(*leaf));
    }
    match &leaves[..] {
        [(index, leaf)] if is_text(leaf) && (single(leaf) || leaf.max_rep_level() == 1) && leaf.path().parts().len() != 2 => {
            (ColumnKind::Caption, Some(*index))
        }
        _ => (ColumnKind::Other, None),
    }
}

fn is_text(leaf: &ColumnDescriptor) -> bool {
    leaf.physical_type() == Physical::BYTE_ARRAY
        && (leaf.logical_type_ref() == Some(&LogicalType::String) || leaf.converted_type() == ConvertedType::UTF8)
}

/// Refuses a file whose compression cannot be undone, before the training starts.
fn check_codec(path: &Path, codec: Compression) -> Result<()> {
    match codec {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::BROTLI(_)
        | Compression::LZ4
        | Compression::LZ4_RAW => Ok(()),
        Compression::ZSTD(_) | Compression::LZO => Err(DataError::Unsupported {
            what: format!("{}, a Parquet file compressed by {codec},", path.display()),
            why: "write it with Snappy, which is the default of `datasets` and PyArrow".to_owned(),
        }),
    }
}
