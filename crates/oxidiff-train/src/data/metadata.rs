//! Metadata files of an image folder: `metadata.jsonl`, `metadata.csv` and `metadata.parquet`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::column::ColumnKind;
use super::error::{DataError, Result};
use super::parquet_files::{ParquetFiles, ParquetValue};

/// The names that `datasets` takes for metadata.
pub(super) const FILE_NAMES: [&str; 3] = ["metadata.csv", "metadata.jsonl", "metadata.parquet"];

/// Follows the rows of a CSV file.
const LAST_ROW: &str = "\n\u{0}end of the file\u{0}";

/// A value of a metadata file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Texts(Vec<String>),
    /// Numbers and structures, which training does not use.
    Other,
}

/// The rows of all metadata files of a dataset.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// In the order in which the files first mention them.
    pub columns: Vec<String>,
    pub rows: Vec<MetadataRow>,
}

#[derive(Debug)]
pub(super) struct MetadataRow {
    pub file: PathBuf,
    pub line: u64,
    /// By column; columns that are first mentioned further down are absent.
    cells: Vec<Cell>,
}

impl MetadataRow {
    pub fn cell(&self, column: usize) -> &Cell {
        self.cells.get(column).unwrap_or(&Cell::Null)
    }

    pub fn error(&self, message: impl Into<String>) -> DataError {
        DataError::metadata(&self.file, self.line, message)
    }
}

impl Metadata {
    /// Adds the rows of a file.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => self.read_csv(path),
            Some("parquet") => self.read_parquet(path),
            _ => self.read_jsonl(path),
        }
    }

    fn add(&mut self, path: &Path, line: u64, values: impl Iterator<Item = (String, Cell)>) {
        let mut cells = vec![Cell::Null; self.columns.len()];
        for (name, cell) in values {
            match self.columns.iter().position(|column| *column == name) {
                Some(column) => cells[column] = cell,
                None => {
                    self.columns.push(name);
                    cells.push(cell);
                }
            }
        }
        self.rows.push(MetadataRow { file: path.to_path_buf(), line, cells });
    }

    fn read_jsonl(&mut self, path: &Path) -> Result<()> {
        let file = BufReader::new(File::open(path).map_err(DataError::io(path))?);
        for (line, number) in file.lines().zip(1..) {
            let line = line.map_err(|cause| DataError::metadata(path, number, cause.to_string()))?;
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() {
                continue;
            }
            let row: Map<String, Value> = serde_json::from_str(line)
                .map_err(|cause| DataError::metadata(path, number, format!("not a JSON object: {cause}")))?;
            self.add(path, number, row.into_iter().map(|(name, value)| (name, Cell::from(value))));
        }
        Ok(())
    }

    /// An empty field is an empty text; in pandas it is a missing value, on which the scripts stop.
    fn read_csv(&mut self, path: &Path) -> Result<()> {
        let broken = |cause: csv::Error| {
            let line = cause.position().map_or(1, csv::Position::line);
            DataError::metadata(path, line, cause.to_string())
        };
        // The last row shows whether a quote before it is still open, which the parser takes for closed at the end of the file.
        let file = File::open(path).map_err(DataError::io(path))?;
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).from_reader(file.chain(LAST_ROW.as_bytes()));
        let names = reader.headers().map_err(broken)?.clone();
        if names.iter().eq([LAST_ROW.trim_start()]) {
            return Ok(());
        }
        for (at, name) in names.iter().enumerate() {
            if names.iter().take(at).any(|earlier| earlier == name) {
                return Err(DataError::metadata(path, 1, format!("there are two columns `{name}`")));
            }
        }
        let mut start = 1;
        for row in reader.records() {
            let row = row.map_err(broken)?;
            let line = row.position().map_or(1, csv::Position::line);
            if row.get(0).is_some_and(|field| row.len() == 1 && LAST_ROW.trim_start() == field) {
                return Ok(());
            }
            start = line;
            if row.len() != names.len() {
                let open = row.iter().next_back().is_some_and(|field| field.ends_with(LAST_ROW));
                let message = match open {
                    true => "a quote is not closed".to_owned(),
                    false => format!("has {} fields, but there are {} columns", row.len(), names.len()),
                };
                return Err(DataError::metadata(path, line, message));
            }
            let names = names.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned());
            let cells = row.iter().map(|field| Cell::Text(field.to_owned()));
            self.add(path, line, names.zip(cells));
        }
        Err(DataError::metadata(path, start, "a quote is not closed"))
    }

    fn read_parquet(&mut self, path: &Path) -> Result<()> {
        let table = ParquetFiles::open(vec![path.to_path_buf()])?;
        let names: Vec<_> = table.columns().iter().map(|column| column.name.clone()).collect();
        let columns = table.columns().iter().enumerate().map(|(at, column)| match column.kind {
            ColumnKind::Caption => table.values(at)?.into_iter().map(Cell::try_from).collect(),
            _ => Ok(vec![Cell::Other; table.len()]),
        });
        let mut columns: Vec<_> = columns.map(|cells| cells.map(Vec::into_iter)).collect::<Result<_>>()?;
        for row in 0..table.len() {
            let cells = columns.iter_mut().filter_map(Iterator::next);
            self.add(path, row as u64 + 1, names.iter().cloned().zip(cells));
        }
        Ok(())
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::Text(text),
            Value::Array(values) => {
                let texts = values.into_iter().map(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                });
                texts.collect::<Option<_>>().map_or(Self::Other, Self::Texts)
            }
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => Self::Other,
        }
    }
}

impl TryFrom<ParquetValue> for Cell {
    type Error = DataError;

    fn try_from(value: ParquetValue) -> Result<Self> {
        Ok(match (value.is_list, value.texts()?) {
            (_, None) => Self::Null,
            (true, Some(texts)) => Self::Texts(texts),
            (false, Some(texts)) => texts.into_iter().next().map_or(Self::Null, Self::Text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Metadata> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut metadata = Metadata::default();
        metadata.read(&path)?;
        Ok(metadata)
    }

    #[test]
    fn jsonl_rows_may_differ_in_their_columns() {
        let text = concat!(
            "\u{feff}{\"text\": \"one\", \"file_name\": \"1.png\", \"n\": 1}\n\n",
            "{\"file_name\": \"2.png\", \"text\": [\"a\", \"b\"], \"extra\": null}\n"
        );
        let metadata = read("metadata.jsonl", text).unwrap();
        assert_eq!(metadata.columns, ["text", "file_name", "n", "extra"]);
        let [first, second] = &metadata.rows[..] else { panic!("{metadata:?}") };
        assert_eq!((first.line, second.line), (1, 3));
        assert_eq!(first.cell(0), &Cell::Text("one".to_owned()));
        assert_eq!((first.cell(2), first.cell(3)), (&Cell::Other, &Cell::Null));
        assert_eq!(second.cell(0), &Cell::Texts(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(second.cell(2), &Cell::Null);
    }

    #[test]
    fn csv_fields_may_be_quoted() {
        let metadata =
            read("metadata.csv", "file_name,text\n1.png,\"a \"\"big\"\",\ncat\"\n2.png,\n").unwrap();
        assert_eq!(metadata.columns, ["file_name", "text"]);
        assert_eq!(metadata.rows[0].cell(1), &Cell::Text("a \"big\",\ncat".to_owned()));
        assert_eq!(metadata.rows[1].cell(1), &Cell::Text(String::new()));
        assert_eq!(metadata.rows[1].line, 4);
    }

    #[test]
    fn errors_name_the_line() {
        let error = |name, text| read(name, text).unwrap_err().to_string();
        let message = error("metadata.jsonl", "{\"file_name\": \"1.png\"}\n{\"file_name\": \"2.p\n");
        assert!(message.contains("metadata.jsonl, line 2: not a JSON object"), "{message}");
        let message = error("metadata.jsonl", "[1]\n");
        assert!(message.contains("line 1: not a JSON object"), "{message}");
        let message = error("metadata.csv", "file_name,text\n1.png,a\n2.png\n");
        assert!(message.contains("metadata.csv, line 3:"), "{message}");
        for text in [
            "file_name,text\n1.png,\"a\n2.png,b\n",
            "file_name,text\n0.png,\n1.png,\"a\n2.png\n",
            "file_name,\"text\n",
        ] {
            let message = error("metadata.csv", text);
            let line = text.split_once('"').map_or(0, |(before, _)| before.lines().count());
            assert!(message.contains(&format!("line {line}: a quote is not closed")), "{message}");
        }
        assert!(read("metadata.csv", "").unwrap().rows.is_empty());
        let message = error("metadata.csv", "file_name,file_name\n");
        assert!(message.contains("line 1: there are two columns `file_name`"), "{message}");
        assert!(error("metadata.parquet", "PAR1").contains("metadata.parquet: "));
    }
}
