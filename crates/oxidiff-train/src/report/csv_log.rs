//! The log of metrics as a table that spreadsheets and pandas read.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, StringRecord, Writer};

use super::error::{ReportError, Result};
use super::step::Row;
use super::whole_file::write_whole;

/// The columns that every log begins with.
pub(super) const COLUMNS: [&str; 6] = ["step", "epoch", "loss", "lr", "images_per_second", "seconds"];

/// An open table of metrics, one row a step.
#[derive(Debug)]
pub(super) struct CsvLog {
    path: PathBuf,
    file: File,
    /// The columns after the usual ones.
    extra: Vec<String>,
}

impl CsvLog {
    /// Opens the log at `path` to go on after `start_step`, and returns the rows up to there. Later rows are dropped: a
    /// training that resumes at a checkpoint writes them again.
    pub fn open(path: &Path, start_step: u64) -> Result<(Self, Vec<Row>)> {
        let mut table = Table::read(path)?;
        table.keep_until(start_step);
        let rows = table.rows.iter().map(|(row, _)| row.clone()).collect();
        write_whole(path, &table.to_bytes())?;
        Ok((Self { path: path.to_owned(), file: append_to(path)?, extra: table.extra }, rows))
    }

    /// Appends a step. It is in the file when this returns.
    pub fn write(&mut self, row: &Row, extra: &[(&str, f32)]) -> Result<()> {
        let new: Vec<_> = extra
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !self.extra.iter().any(|e| e == name))
            .collect();
        if !new.is_empty() {
            self.widen(&new)?;
        }
        let values = self.extra.iter().map(|column| {
            extra
                .iter()
                .find(|(name, _)| name == column)
                .map_or(String::new(), |(_, value)| value.to_string())
        });
        let line = to_bytes([fields(row).into_iter().chain(values)]);
        // One system call, so that a killed process leaves a whole row or the beginning of one.
        self.file.write_all(&line).map_err(ReportError::io(&self.path))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds columns, empty in the rows so far.
    fn widen(&mut self, new: &[&str]) -> Result<()> {
        let mut table = Table::read(&self.path)?;
        table.extra.extend(new.iter().map(|&name| name.to_owned()));
        write_whole(&self.path, &table.to_bytes())?;
        (self.file, self.extra) = (append_to(&self.path)?, table.extra);
        Ok(())
    }
}

fn append_to(path: &Path) -> Result<File> {
    File::options().append(true).open(path).map_err(ReportError::io(path))
}

/// A log in memory.
#[derive(Debug, Default)]
struct Table {
    extra: Vec<String>,
    /// Each row, and its further values.
    rows: Vec<(Row, Vec<String>)>,
}

impl Table {
    /// Reads a log. There may be none, and its end may have been cut off.
    fn read(path: &Path) -> Result<Self> {
        let contents = match fs::read(path) {
            Ok(contents) => contents,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(ReportError::io(path)(error)),
        };
        // What follows the last line break was being written when the process was killed.
        let whole = contents.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        Self::parse(path, &contents[..whole])
    }

    fn parse(path: &Path, contents: &[u8]) -> Result<Self> {
        let mut lines = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(contents);
        let mut table = Self::default();
        for (index, record) in lines.byte_records().enumerate() {
            let line = record
                .as_ref()
                .map_or_else(csv::Error::position, ByteRecord::position)
                .map_or(index as u64 + 1, csv::Position::line);
            let wrong = |reason: String| ReportError::Metrics { path: path.to_owned(), line, reason };
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let record =
                StringRecord::from_byte_record(record).map_err(|_| wrong("is no text in UTF-8".into()))?;
            if index == 0 {
                table.extra = further_columns(&record).map_err(wrong)?;
                continue;
            }
            let row = table.parse_row(&record).map_err(wrong)?;
            table.rows.push(row);
        }
        Ok(table)
    }

    fn parse_row(&self, record: &StringRecord) -> Result<(Row, Vec<String>), String> {
        let expected = COLUMNS.len() + self.extra.len();
        if record.len() != expected {
            return Err(format!("has {} values, the header names {expected}", record.len()));
        }
        let row = Row {
            step: number(record, 0)?,
            epoch: number(record, 1)?,
            loss: number(record, 2)?,
            learning_rate: number(record, 3)?,
            images_per_second: number(record, 4)?,
            seconds: number(record, 5)?,
        };
        if let Some((last, _)) = self.rows.last()
            && row.step <= last.step
        {
            return Err(format!("step {} follows step {}", row.step, last.step));
        }
        Ok((row, record.iter().skip(COLUMNS.len()).map(str::to_owned).collect()))
    }

    fn keep_until(&mut self, step: u64) {
        self.rows.retain(|(row, _)| row.step <= step);
        if self.rows.is_empty() {
            self.extra.clear();
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let header = COLUMNS.map(str::to_owned).into_iter().chain(self.extra.iter().cloned()).collect();
        let rows = self.rows.iter().map(|(row, values)| {
            let mut fields: Vec<_> = fields(row).into_iter().chain(values.iter().cloned()).collect();
            fields.resize(COLUMNS.len() + self.extra.len(), String::new());
            fields
        });
        to_bytes(std::iter::once(header).chain(rows))
    }
}

fn further_columns(header: &StringRecord) -> Result<Vec<String>, String> {
    if !header.iter().take(COLUMNS.len()).eq(COLUMNS) {
        return Err(format!("the columns do not begin with {}", COLUMNS.join(",")));
    }
    Ok(header.iter().skip(COLUMNS.len()).map(str::to_owned).collect())
}

fn number<T: std::str::FromStr>(record: &StringRecord, column: usize) -> Result<T, String> {
    let value = &record[column];
    value.parse().map_err(|_| format!("{} is {value:?}, which is no such number", COLUMNS[column]))
}

fn fields(row: &Row) -> [String; COLUMNS.len()] {
    [
        row.step.to_string(),
        row.epoch.to_string(),
        row.loss.to_string(),
        row.learning_rate.to_string(),
        format!("{:.3}", row.images_per_second),
        format!("{:.3}", row.seconds),
    ]
}

fn to_bytes(records: impl IntoIterator<Item = impl IntoIterator<Item = String>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::from_writer(&mut bytes);
    for record in records {
        writer.write_record(record.into_iter().collect::<Vec<_>>()).expect("the records have one length");
    }
    writer.flush().expect("memory can be written");
    drop(writer);
    bytes
}
