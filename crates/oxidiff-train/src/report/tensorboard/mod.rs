//! The log that TensorBoard shows.

mod messages;
mod records;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use self::messages::{
    DataType, Dimension, EncodedImage, Event, PluginData, SessionLog, SessionStatus, Summary,
    SummaryMetadata, TaggedValue, TensorShape, TextTensor, Value, What,
};
use super::error::{ReportError, Result};

/// The version of the format: from 2 on, a session's start says which older events it replaces.
const FILE_VERSION: &str = "brain.Event:2";

/// An event file that is being written.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins an event file in `folder`. TensorBoard then forgets what older files in the folder say of `first_step` and
    /// later steps.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(ReportError::io(folder))?;
        let path = folder.join(file_name());
        let file = File::create_new(&path).map_err(ReportError::io(&path))?;
        let mut events = Self { path, file };
        events.write(first_step, What::FileVersion(FILE_VERSION.to_owned()))?;
        let start = SessionLog { status: SessionStatus::Start.into() };
        events.write(first_step, What::SessionLog(start))?;
        Ok(events)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Logs numbers.
    pub fn scalars<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f32)>) -> Result<()> {
        let value = values.into_iter().map(|(tag, value)| tagged(tag, Value::Simple(value))).collect();
        self.write(step, What::Summary(Summary { value }))
    }

    /// Logs an RGB image of this `size` (width and height), encoded as `png`.
    pub fn image(&mut self, step: u64, tag: &str, size: (u32, u32), png: Vec<u8>) -> Result<()> {
        let side = |pixels: u32| i32::try_from(pixels).map_err(|_| self.too_large());
        let image = EncodedImage {
            height: side(size.1)?,
            width: side(size.0)?,
            colorspace: 3,
            encoded_image_string: png,
        };
        self.write(step, What::Summary(Summary { value: vec![tagged(tag, Value::Image(image))] }))
    }

    /// Logs Markdown.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) -> Result<()> {
        let tensor = TextTensor {
            dtype: DataType::String.into(),
            tensor_shape: Some(TensorShape { dim: vec![Dimension { size: 1 }] }),
            string_val: vec![text.as_bytes().to_vec()],
        };
        let plugin_data = Some(PluginData { plugin_name: "text".to_owned() });
        let metadata = Some(SummaryMetadata { plugin_data });
        let value = TaggedValue { metadata, ..tagged(tag, Value::Tensor(tensor)) };
        self.write(step, What::Summary(Summary { value: vec![value] }))
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let step = i64::try_from(step).map_err(|_| self.too_large())?;
        let event = Event { wall_time: since_1970().as_secs_f64(), step, what: Some(what) };
        // One system call, so that a killed process loses nothing that was logged.
        self.file.write_all(&records::record(&event.encode_to_vec())).map_err(ReportError::io(&self.path))
    }

    fn too_large(&self) -> ReportError {
        ReportError::drawing(&self.path, "a step or an image is too large for the format")
    }
}

fn tagged(tag: &str, value: Value) -> TaggedValue {
    TaggedValue { tag: tag.to_owned(), metadata: None, value: Some(value) }
}

fn since_1970() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A name that no other file has, and that sorts by time, as TensorBoard reads the files of a folder in the order of their
/// names.
fn file_name() -> String {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let host = gethostname::gethostname().to_string_lossy().replace(std::path::is_separator, "_");
    let count = FILES.fetch_add(1, Ordering::Relaxed);
    let (seconds, process) = (since_1970().as_secs(), std::process::id());
    format!("events.out.tfevents.{seconds:010}.{host}.{process}.{count}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contents of the records of a file, whose checksums are compared.
    fn records(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], records::masked_checksum(&bytes[..8]));
            let contents = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], records::masked_checksum(contents));
            events.push(Event::decode(contents).unwrap());
            bytes = &bytes[16 + length..];
        }
        events
    }

    #[test]
    fn the_checksum_is_tensorflows() {
        // What every file by TensorFlow and PyTorch begins with: a version, in 24 bytes.
        assert_eq!(records::masked_checksum(&0x18_u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn events_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 41).unwrap();
        events.scalars(41, [("loss", 0.5), ("lr", 1e-4)]).unwrap();
        events.scalars(42, [("loss", f32::NAN)]).unwrap();
        events.image(42, "validation", (3, 2), vec![1, 2, 3]).unwrap();
        events.text(42, "validation/prompts", "a ü").unwrap();
        let found = records(&fs::read(events.path()).unwrap());
        assert_eq!(found.iter().map(|event| event.step).collect::<Vec<_>>(), [41, 41, 41, 42, 42, 42]);
        assert!(found.iter().all(|event| event.wall_time > 1.7e9));
        assert_eq!(found[0].what, Some(What::FileVersion("brain.Event:2".into())));
        assert_eq!(found[1].what, Some(What::SessionLog(SessionLog { status: 1 })));
        let Some(What::Summary(summary)) = &found[2].what else { panic!("{:?}", found[2]) };
        assert_eq!(summary.value, [tagged("loss", Value::Simple(0.5)), tagged("lr", Value::Simple(1e-4))]);
        let Some(What::Summary(summary)) = &found[3].what else { panic!("{:?}", found[3]) };
        assert!(matches!(summary.value[0].value, Some(Value::Simple(value)) if value.is_nan()));
        let Some(What::Summary(summary)) = &found[4].what else { panic!("{:?}", found[4]) };
        let Some(Value::Image(image)) = &summary.value[0].value else { panic!("{:?}", found[4]) };
        assert_eq!((image.width, image.height, &image.encoded_image_string[..]), (3, 2, &[1, 2, 3][..]));
        let Some(What::Summary(summary)) = &found[5].what else { panic!("{:?}", found[5]) };
        let Some(Value::Tensor(text)) = &summary.value[0].value else { panic!("{:?}", found[5]) };
        assert_eq!(text.string_val, ["a ü".as_bytes()]);
    }

    #[test]
    fn two_files_of_one_second_are_two() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (EventFile::create(folder.path(), 0), EventFile::create(folder.path(), 0));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(first.path() < second.path());
        assert!(first.path().file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("occupied");
        fs::write(&file, "").unwrap();
        let error = EventFile::create(&file.join("logs"), 0).unwrap_err().to_string();
        assert!(error.contains("occupied"), "{error}");
    }
}
