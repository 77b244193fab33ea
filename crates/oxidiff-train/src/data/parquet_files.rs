//! Parquet files of a dataset from the hub, read row by row.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parquet::basic::{Compression, ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::RowGroupReader;
use parquet::file::serialized_reader::SerializedRowGroupReader;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::column::{Column, ColumnKind};
use super::error::{DataError, Result};
use super::spill::{Extent, Spill};

/// From a page of this size on, finding an image in it costs more than decoding the image.
const LARGE_PAGE: i64 = 4 << 20;

/// The rows of several Parquet files, one after the other.
///
/// Only the files' footers are in memory. Reading a value opens its file, skips to its page, and decodes that page.
///
/// PyArrow often puts all images of a row group into one page, which can only be decompressed as a whole. Images of such a
/// group go to a temporary file when the first of them is asked for, as `datasets` copies all data into its cache.
#[derive(Debug)]
pub(super) struct ParquetFiles {
    files: Vec<ParquetFile>,
    /// Row groups in the order of their rows.
    groups: Vec<RowGroup>,
    columns: Vec<Column>,
    rows: usize,
    spill: Spill,
    /// Held while a group is copied, so that no more than one large page is in memory.
    spilling: Mutex<()>,
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
    /// For each column where the temporary file has the values of its rows, once they are there.
    spilled: Vec<OnceLock<Vec<Option<Extent>>>>,
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
        DataError::Value {
            origin: self.origin.clone(),
            column: self.column.clone(),
            message: message.to_owned(),
        }
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
        let mut opened = Self {
            files: Vec::new(),
            groups: Vec::new(),
            columns: Vec::new(),
            rows: 0,
            spill: Spill::default(),
            spilling: Mutex::default(),
        };
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
            let names = |columns: &[Column]| {
                columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>().join(", ")
            };
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
            let rows = usize::try_from(group.num_rows()).map_err(|_| {
                DataError::file(&path, format!("row group {index} has a negative number of rows"))
            })?;
            if rows > 0 {
                self.groups.push(RowGroup {
                    first_row: self.rows,
                    file: self.files.len(),
                    index,
                    spilled: vec![OnceLock::new(); leaves.len()],
                });
                self.rows =
                    self.rows.checked_add(rows).ok_or_else(|| DataError::file(&path, "too many rows"))?;
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
        let at = self.groups.partition_point(|group| group.first_row <= row) - 1;
        let group = &self.groups[at];
        let row = row - group.first_row;
        let mut reader = self.leaf_reader(group, column)?;
        if self.columns[column].kind != ColumnKind::Image
            || !self.files[group.file].has_large_pages(group.index, column)
        {
            return reader.read(row);
        }
        if group.spilled[column].get().is_none() {
            let _alone = self.spilling.lock().unwrap_or_else(PoisonError::into_inner);
            if group.spilled[column].get().is_none() {
                let extents = self.copy(&mut reader, self.end(at) - group.first_row)?;
                // Only the holder of the lock sets it.
                group.spilled[column].get_or_init(|| extents);
            }
        }
        let extent = group.spilled[column].get().and_then(|extents| extents[row]);
        let bytes = extent.map(|extent| self.spill.read(extent)).transpose()?;
        Ok(reader.value(row, bytes.map(|bytes| vec![bytes.into()])))
    }

    /// Copies the values of a group to the temporary file.
    fn copy(&self, reader: &mut LeafReader, rows: usize) -> Result<Vec<Option<Extent>>> {
        let copy = |row| {
            let value = reader.read(row)?;
            value
                .values
                .as_deref()
                .and_then(<[_]>::first)
                .map(|bytes| self.spill.append(bytes.data()))
                .transpose()
        };
        (0..rows).map(copy).collect()
    }

    /// The row after the last one of a group.
    fn end(&self, group: usize) -> usize {
        self.groups.get(group + 1).map_or(self.rows, |next| next.first_row)
    }

    /// All values of a column, from the first row.
    pub fn values(&self, column: usize) -> Result<Vec<ParquetValue>> {
        let mut values = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            let mut reader = self.leaf_reader(group, column)?;
            for row in 0..self.end(at) - group.first_row {
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

impl ParquetFile {
    /// Whether a page of the column may be large; without an index of pages the whole group may be one.
    fn has_large_pages(&self, group: usize, column: usize) -> bool {
        let Some(leaf) = self.leaves[column] else { return false };
        if self.metadata.row_group(group).column(leaf).uncompressed_size() < LARGE_PAGE {
            return false;
        }
        let pages = self.metadata.page_index_for_row_group(group);
        let large = |page: &PageLocation| i64::from(page.compressed_page_size) >= LARGE_PAGE;
        pages.page_locations(leaf).is_none_or(|pages| pages.iter().any(large))
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
    fn new(
        file: &'a ParquetFile,
        group: usize,
        first_row: usize,
        column: usize,
        name: &'a str,
    ) -> Result<Self> {
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
        let rows =
            SerializedRowGroupReader::new(Arc::new(opened), group, pages, properties).map_err(&broken)?;
        let ColumnReader::ByteArrayColumnReader(reader) = rows.get_column_reader(index).map_err(&broken)?
        else {
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
            return Err(broken(ParquetError::EOF(format!(
                "column `{}` ends before row {row} of its group",
                self.name
            ))));
        }
        self.passed = row + 1;
        let is_list = self.leaf.max_rep_level() > 0;
        let empty = empty_list_level(&self.leaf);
        let is_null = match definition.first() {
            Some(level) if is_list => *level < empty,
            _ => values.is_empty(),
        };
        let holes = is_list && definition.iter().filter(|level| **level > empty).count() != values.len();
        let value = self.value(row, (!is_null).then_some(values));
        if holes { Err(value.error("an element of the list is null")) } else { Ok(value) }
    }

    fn value(&self, row: usize, values: Option<Vec<ByteArray>>) -> ParquetValue {
        let origin = format!("{}, row {}", self.path.display(), self.first_row + row);
        ParquetValue { values, is_list: self.leaf.max_rep_level() > 0, origin, column: self.name.to_owned() }
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
            && (leaf.path().parts().len() == 2 && leaf.name() == "bytes"
                || single(leaf) && (is_image || !is_text(leaf)))
    });
    if let Some((leaf, _)) = bytes {
        return (ColumnKind::Image, Some(*leaf));
    }
    match &leaves[..] {
        [(index, leaf)]
            if is_text(leaf)
                && (single(leaf) || leaf.max_rep_level() == 1)
                && leaf.path().parts().len() != 2 =>
        {
            (ColumnKind::Caption, Some(*index))
        }
        _ => (ColumnKind::Other, None),
    }
}

fn is_text(leaf: &ColumnDescriptor) -> bool {
    leaf.physical_type() == Physical::BYTE_ARRAY
        && (leaf.logical_type_ref() == Some(&LogicalType::String)
            || leaf.converted_type() == ConvertedType::UTF8)
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

#[cfg(test)]
mod tests {
    use parquet::basic::ZstdLevel;
    use parquet::data_type::Int64Type;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::{Caption, Dataset, OpenOptions, Role};
    use super::*;

    const SCHEMA: &str = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional binary text (UTF8);
        optional group captions (LIST) { repeated group list { optional binary element (UTF8); } }
        optional int64 number;
        required binary raw;
    }";
    const ROWS: usize = 23;

    fn properties() -> parquet::file::properties::WriterPropertiesBuilder {
        // Several pages in each row group.
        WriterProperties::builder()
            .set_data_page_row_count_limit(3)
            .set_write_batch_size(1)
            .set_dictionary_enabled(false)
    }

    /// Writes row groups of up to ten rows: in row N the bytes `image N` and the text `text N`, both null in row 7, and
    /// N % 4 captions, null in row 8.
    fn write(path: &Path, first: usize, rows: usize, properties: WriterProperties) {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let mut file =
            SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
        let all: Vec<usize> = (first..first + rows).collect();
        for rows in all.chunks(10) {
            let bytes = |rows: &[usize], name: &str| -> Vec<ByteArray> {
                rows.iter().map(|row| format!("{name} {row}").into_bytes().into()).collect()
            };
            let present: Vec<usize> = rows.iter().copied().filter(|row| *row != 7).collect();
            let levels =
                |full: i16| rows.iter().map(|row| if *row == 7 { 0 } else { full }).collect::<Vec<_>>();
            let (mut captions, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
            for row in rows {
                let count = if *row == 8 { 0 } else { row % 4 };
                captions.extend((0..count).map(|at| ByteArray::from(format!("{row}.{at}").into_bytes())));
                definition.extend(if count > 0 { vec![3; count] } else { vec![i16::from(*row != 8)] });
                repetition.extend((0..count.max(1)).map(|at| i16::from(at > 0)));
            }
            let mut group = file.next_row_group().unwrap();
            let mut add = |values: &[ByteArray], definition: Option<&[i16]>, repetition: Option<&[i16]>| {
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<ByteArrayType>().write_batch(values, definition, repetition).unwrap();
                column.close().unwrap();
            };
            add(&bytes(&present, "image"), Some(&levels(2)), None);
            add(&bytes(&present, "path"), Some(&levels(2)), None);
            add(&bytes(&present, "text"), Some(&levels(1)), None);
            add(&captions, Some(&definition), Some(&repetition));
            let mut column = group.next_column().unwrap().unwrap();
            let numbers: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
            column.typed::<Int64Type>().write_batch(&numbers, Some(&vec![1; rows.len()]), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&bytes(rows, "raw"), None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        file.close().unwrap();
    }

    fn strings(value: ParquetValue) -> Option<Vec<String>> {
        value.texts().unwrap()
    }

    fn check(table: &ParquetFiles) {
        let kinds: Vec<_> =
            table.columns().iter().map(|column| (column.name.as_str(), column.kind.clone())).collect();
        use ColumnKind::{Caption, Image, Other};
        let expected =
            [("image", Image), ("text", Caption), ("captions", Caption), ("number", Other), ("raw", Image)];
        assert_eq!(kinds, expected);
        assert_eq!(table.len(), ROWS);
        let one = |name: &str, row: usize| (row != 7).then(|| vec![format!("{name} {row}")]);
        // In an order that goes back and forth between files and row groups.
        for row in (0..ROWS).map(|at| at * 7 % ROWS) {
            assert_eq!(strings(table.value(row, 0).unwrap()), one("image", row));
            assert_eq!(strings(table.value(row, 1).unwrap()), one("text", row));
            let captions = (row != 8).then(|| (0..row % 4).map(|at| format!("{row}.{at}")).collect());
            assert_eq!(strings(table.value(row, 2).unwrap()), captions, "row {row}");
            assert_eq!(strings(table.value(row, 4).unwrap()), Some(vec![format!("raw {row}")]));
        }
        let texts: Vec<_> = table.values(1).unwrap().into_iter().map(strings).collect();
        assert_eq!(texts, (0..ROWS).map(|row| one("text", row)).collect::<Vec<_>>());
        assert!(table.value(0, 3).unwrap_err().to_string().contains("column `number` holds neither"));
    }

    #[test]
    fn rows_are_read_from_any_page_group_and_file() {
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::BROTLI(Default::default()),
            Compression::LZ4_RAW,
        ];
        for (codec, indexed) in codecs.into_iter().zip([true, false, true, false, true]) {
            let folder = tempfile::tempdir().unwrap();
            let paths = [folder.path().join("a.parquet"), folder.path().join("b.parquet")];
            let properties =
                || properties().set_compression(codec).set_offset_index_disabled(!indexed).build();
            write(&paths[0], 0, 13, properties());
            write(&paths[1], 13, ROWS - 13, properties());
            check(&ParquetFiles::open(paths.to_vec()).unwrap());
        }
    }

    #[test]
    fn images_of_large_pages_are_copied_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let schema = Arc::new(parse_message_type("message schema { optional binary image; }").unwrap());
        let properties =
            WriterProperties::builder().set_dictionary_enabled(false).set_data_page_size_limit(usize::MAX);
        let mut file =
            SerializedFileWriter::new(File::create(&path).unwrap(), schema, properties.build().into())
                .unwrap();
        // Rows of 3 MB, but for the second one, which is null.
        let image = |row: u8| (row != 1).then(|| vec![row; 3_000_000]);
        for rows in [0..3, 3..5] {
            let mut group = file.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let values: Vec<ByteArray> = rows.clone().filter_map(image).map(ByteArray::from).collect();
            let levels: Vec<i16> = rows.map(|row| i16::from(row != 1)).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        file.close().unwrap();
        let table = ParquetFiles::open(vec![path]).unwrap();
        let copied = || table.groups.iter().map(|group| group.spilled[0].get().is_some()).collect::<Vec<_>>();
        assert!(table.files[0].has_large_pages(0, 0) && table.files[0].has_large_pages(1, 0));
        assert_eq!(copied(), [false, false]);
        std::thread::scope(|scope| {
            for start in 0..2 {
                let table = &table;
                scope.spawn(move || {
                    for row in [4, 2, 0, 1, 2].into_iter().cycle().skip(start).take(5) {
                        let value = table.value(row, 0).unwrap();
                        let bytes = value.values.map(|values| values[0].data().to_vec());
                        assert!(bytes == image(row as u8), "row {row}");
                        assert!(value.origin.ends_with(&format!("a.parquet, row {row}")), "{}", value.origin);
                    }
                });
            }
        });
        assert_eq!(copied(), [true, true]);
    }

    #[test]
    fn damaged_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let open = || ParquetFiles::open(vec![path.clone()]);
        write(&path, 0, ROWS, properties().build());
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 3, 11, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = open().unwrap_err().to_string();
            assert!(error.contains("a.parquet: "), "{length} bytes: {error}");
        }
        std::fs::write(&path, &whole).unwrap();
        let table = open().unwrap();
        let mut broken = whole.clone();
        broken[4..200].fill(0xff);
        std::fs::write(&path, &broken).unwrap();
        assert!(table.value(0, 0).unwrap_err().to_string().contains("a.parquet: "));
        std::fs::write(&path, [whole, vec![0]].concat()).unwrap();
        assert!(table.value(0, 0).unwrap_err().to_string().ends_with("the file changed after it was opened"));
    }

    #[test]
    fn files_of_other_columns_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("a.parquet"), folder.path().join("b.parquet")];
        write(&paths[0], 0, 3, properties().build());
        let schema = Arc::new(parse_message_type("message schema { optional binary text (UTF8); }").unwrap());
        let file = File::create(&paths[1]).unwrap();
        SerializedFileWriter::new(file, schema, Arc::default()).unwrap().close().unwrap();
        let error = ParquetFiles::open(paths.to_vec()).unwrap_err().to_string();
        assert!(error.contains("b.parquet: the columns (text) are not those of"), "{error}");
    }

    #[test]
    fn unsupported_compression_is_refused_when_opening() {
        let error = check_codec(Path::new("a.parquet"), Compression::ZSTD(ZstdLevel::default())).unwrap_err();
        assert!(error.to_string().contains("a.parquet, a Parquet file compressed by ZSTD"), "{error}");
    }

    /// `tests/data/hub.parquet` was written by `datasets` 5.2.0, `Dataset.to_parquet`: three PNG images of one colour each.
    #[test]
    fn a_file_of_datasets_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let file = include_bytes!("../../tests/data/hub.parquet");
        std::fs::write(folder.path().join("data/train-00000-of-00001.parquet"), file).unwrap();
        let dataset = Dataset::open(folder.path(), &OpenOptions { split: Some("train".to_owned()) }).unwrap();
        let names: Vec<_> = dataset.columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["image", "text", "captions", "label"]);
        let (image, text) =
            (dataset.choose(Role::Image, None).unwrap(), dataset.choose(Role::Caption, None).unwrap());
        for (row, (color, name)) in
            [([255, 0, 0], "red"), ([0, 255, 0], "green"), ([0, 0, 255], "blue")].iter().enumerate()
        {
            let image = dataset.image(row, image).unwrap().into_rgb8();
            assert_eq!((image.dimensions(), &image.get_pixel(3, 2).0), ((4, 3), color));
            assert_eq!(dataset.text(row, text).unwrap(), Caption::One((*name).to_owned()));
            let several = Caption::Several(vec![format!("a {name} image"), format!("all {name}")]);
            assert_eq!(dataset.text(row, 2).unwrap(), several);
        }
    }
}
