//! A dataset: rows of images and captions, read when they are asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::DynamicImage;

use super::column::{Caption, Column, ColumnKind, Role};
use super::decode::{decode, to_rgb};
use super::error::{DataError, Result};
use super::files::{self, DataFile};
use super::image_folder::{ImageFolder, Values, is_image, is_metadata};
use super::parquet_files::ParquetFiles;
use super::shuffle::permutation;

/// Larger files are not images.
const MOST_BYTES: u64 = 1 << 30;

/// How to open a dataset.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The split to read, found in the names of folders and files as `datasets.load_dataset(folder)` does. Without a
    /// split all files are read: the scripts' `--train_data_dir` of text-to-image.
    pub split: Option<String>,
}

/// A dataset for training. Images and the captions of Parquet files stay on the disk until they are asked for.
#[derive(Debug)]
pub struct Dataset {
    root: PathBuf,
    source: Source,
    columns: Vec<Column>,
    /// The source's row of each row.
    order: Option<Vec<u32>>,
    rows: usize,
}

#[derive(Debug)]
enum Source {
    Folder(Vec<Values>),
    Parquet(ParquetFiles),
}

impl Dataset {
    /// Opens a folder of images or of Parquet files. The files' most frequent extension tells which.
    ///
    /// In an image folder `metadata.jsonl`, `metadata.csv` or `metadata.parquet` names each row's image in the column
    /// `file_name`, which becomes the column `image`; columns `NAME_file_name` become `NAME`. Without metadata the images
    /// are sorted by path, a caption file (`.txt` or `.caption`) beside an image gives the column `text`, and folders for
    /// classes give the column `label`.
    ///
    /// Images of Parquet files with large pages are copied to a temporary file as they are asked for, at most as many bytes
    /// as the dataset has. The folder of temporary files is the system's; on Unix `TMPDIR` chooses another.
    ///
    /// # Errors
    /// When the folder has no data or no such split, when a metadata or Parquet file is damaged, when metadata names an
    /// image that is absent, named before, or outside of the folder, or when an image has a format that is not read.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let root = path.as_ref();
        let mut files = files::list(root)?;
        if let Some(split) = &options.split {
            let everything = files.clone();
            files = files::of_split(root, files, split)?;
            let lost = everything.iter().find(|file| is_metadata(file) && !file.relative.contains('/'));
            if let Some(lost) = lost.filter(|_| !files.iter().any(is_metadata)) {
                let place = root.display();
                tracing::warn!("{place}: {} is outside of the split `{split}` and not used", lost.relative);
            }
        }
        if extension_of_most(&files).as_deref() != Some("parquet") {
            return Ok(Self::from_folder(root, ImageFolder::open(root, &files)?));
        }
        let paths = files.into_iter().filter(|file| file.extension() == "parquet" && !is_metadata(file));
        let table = ParquetFiles::open(paths.map(|file| file.path).collect())?;
        let (columns, rows) = (table.columns().to_vec(), table.len());
        if rows == 0 {
            return Err(DataError::file(root, "the Parquet files have no rows"));
        }
        Ok(Self { root: root.to_path_buf(), source: Source::Parquet(table), columns, order: None, rows })
    }

    /// Opens the images of a folder, without those of its subfolders: the instance and class images of DreamBooth, and the
    /// images of textual inversion.
    ///
    /// The images are sorted by name. The scripts take them in the order of the file system, which differs between
    /// machines. Images are upright as in DreamBooth's script, where that of textual inversion ignores EXIF data.
    ///
    /// # Errors
    /// When the folder has no images, or an image has a format that is not read.
    pub fn open_plain_folder(path: impl AsRef<Path>) -> Result<Self> {
        let root = path.as_ref();
        Ok(Self::from_folder(root, ImageFolder::plain(root, files::list(root)?)?))
    }

    /// The number of images that [`Self::open_plain_folder`] finds, which may be none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn images_in_plain_folder(path: impl AsRef<Path>) -> Result<usize> {
        let files = files::list(path.as_ref())?;
        Ok(files.iter().filter(|file| !file.relative.contains('/') && is_image(file)).count())
    }

    fn from_folder(root: &Path, folder: ImageFolder) -> Self {
        let ImageFolder { columns, values, rows } = folder;
        Self { root: root.to_path_buf(), source: Source::Folder(values), columns, order: None, rows }
    }

    /// Shuffles the rows and keeps the first `count`, at least 1: the scripts' `--max_train_samples`, in the order of
    /// `dataset.shuffle(seed).select(range(count))`.
    ///
    /// # Errors
    /// When the dataset has fewer rows, or more than 2³² - 1.
    pub fn shuffled_first(self, seed: u64, count: usize) -> Result<Self> {
        let refuse = |message| Err(DataError::InvalidArgument { argument: "max_train_samples", message });
        if count == 0 || count > self.rows {
            return refuse(format!(
                "{count} of the {} samples of {} were asked for",
                self.rows,
                self.root.display()
            ));
        }
        let Ok(rows) = u32::try_from(self.rows) else {
            return refuse(format!("{} has too many samples to shuffle", self.root.display()));
        };
        let mut order = permutation(seed, rows);
        order.truncate(count);
        if let Some(before) = &self.order {
            order.iter_mut().for_each(|row| *row = before[*row as usize]);
        }
        Ok(Self { order: Some(order), rows: count, ..self })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows; an opened dataset has some.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The columns, in the order of `datasets`.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The index of the column for a role: the one with the given name, or else the one with the role's default name, or
    /// else the one where the scripts look for a column without a name: the first for images, the second for captions, the
    /// third for conditioning images.
    ///
    /// # Errors
    /// When there is no such column, or it does not hold what the role needs.
    pub fn choose(&self, role: Role, name: Option<&str>) -> Result<usize> {
        let wanted = name.unwrap_or(role.default_name());
        let named = self.columns.iter().position(|column| column.name == wanted);
        let positioned = || {
            let fits = self.columns.get(role.position()).is_some_and(|column| role.fits(&column.kind));
            fits.then_some(role.position())
        };
        let found = if name.is_none() { named.or_else(positioned) } else { named };
        match found {
            Some(at) if role.fits(&self.columns[at].kind) => Ok(at),
            Some(_) => Err(self.column_error(wanted, role.needs())),
            None => Err(self.column_error(wanted, "does not exist")),
        }
    }

    /// The image in a row, upright according to its EXIF data, converted to three channels of 8 bits as Pillow does: the
    /// scripts' `image.convert("RGB")`.
    ///
    /// # Errors
    /// When the row has no image, it cannot be decoded, or the column does not hold images.
    ///
    /// # Panics
    /// When there is no such row or column.
    pub fn image(&self, row: usize, column: usize) -> Result<DynamicImage> {
        self.image_unconverted(row, column).map(|image| DynamicImage::ImageRgb8(to_rgb(image)))
    }

    /// As [`image`](Self::image), with the channels and bits that the image has.
    ///
    /// # Errors
    /// As [`image`](Self::image).
    ///
    /// # Panics
    /// As [`image`](Self::image).
    pub fn image_unconverted(&self, row: usize, column: usize) -> Result<DynamicImage> {
        let row = self.source_row(row);
        match &self.source {
            Source::Folder(values) => match &values[column] {
                Values::Images(paths) => decode(&read(&paths[row])?, || paths[row].display().to_string()),
                _ => Err(self.column_error(&self.columns[column].name, Role::Image.needs())),
            },
            Source::Parquet(_) if self.columns[column].kind != ColumnKind::Image => {
                Err(self.column_error(&self.columns[column].name, Role::Image.needs()))
            }
            Source::Parquet(table) => {
                let value = table.value(row, column)?;
                match value.values.as_deref() {
                    Some([bytes]) => decode(bytes.data(), || value.error("the image").to_string()),
                    _ => {
                        Err(value
                            .error("there are no bytes of an image; files and addresses are not followed"))
                    }
                }
            }
        }
    }

    /// The caption in a row.
    ///
    /// # Errors
    /// When the row has no caption, or the column does not hold captions.
    ///
    /// # Panics
    /// When there is no such row or column.
    pub fn text(&self, row: usize, column: usize) -> Result<Caption> {
        let row = self.source_row(row);
        let missing = "there is no caption";
        match &self.source {
            Source::Folder(values) => match &values[column] {
                Values::Captions(captions) => captions[row].clone().ok_or_else(|| DataError::Value {
                    origin: format!("{}, row {row}", self.root.display()),
                    column: self.columns[column].name.clone(),
                    message: missing.to_owned(),
                }),
                _ => Err(self.column_error(&self.columns[column].name, Role::Caption.needs())),
            },
            Source::Parquet(_) if self.columns[column].kind != ColumnKind::Caption => {
                Err(self.column_error(&self.columns[column].name, Role::Caption.needs()))
            }
            Source::Parquet(table) => {
                let value = table.value(row, column)?;
                let texts =
                    value.texts()?.filter(|texts| !texts.is_empty()).ok_or_else(|| value.error(missing))?;
                match (value.is_list, &texts[..]) {
                    (false, [text]) => Ok(Caption::One(text.clone())),
                    _ => Ok(Caption::Several(texts)),
                }
            }
        }
    }

    /// The class in a row: an index into the names of [`ColumnKind::Label`].
    ///
    /// # Errors
    /// When the column does not hold labels.
    ///
    /// # Panics
    /// When there is no such row or column.
    pub fn label(&self, row: usize, column: usize) -> Result<usize> {
        match &self.source {
            Source::Folder(values) if let Values::Labels(labels) = &values[column] => {
                Ok(labels[self.source_row(row)])
            }
            _ => Err(self.column_error(&self.columns[column].name, "does not hold labels")),
        }
    }

    fn source_row(&self, row: usize) -> usize {
        self.order.as_ref().map_or(row, |order| order[row] as usize)
    }

    fn column_error(&self, column: &str, message: &str) -> DataError {
        let names: Vec<_> = self.columns.iter().map(|column| column.name.as_str()).collect();
        DataError::Column {
            column: column.to_owned(),
            message: message.to_owned(),
            columns: names.join(", "),
        }
    }
}

/// The most frequent extension of images and Parquet files, and `parquet` in a draw.
fn extension_of_most(files: &[DataFile]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for file in files.iter().filter(|file| !is_metadata(file)) {
        let extension = file.extension();
        if is_image(file) || extension == "parquet" {
            *counts.entry(extension).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .max_by_key(|(extension, count)| (*count, extension == "parquet"))
        .map(|(extension, _)| extension)
}

/// Reads a file up to a limit: a device such as `/dev/zero` never ends.
fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::metadata(path).map_err(DataError::io(path))?.len();
    if bytes > MOST_BYTES {
        return Err(DataError::file(path, format!("no image has more than {} MiB", MOST_BYTES >> 20)));
    }
    std::fs::read(path).map_err(DataError::io(path))
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    /// Ten images whose brightness is ten times their number, with captions.
    fn numbered() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut metadata = "file_name,text\n".to_owned();
        for number in 0..10 {
            RgbImage::from_pixel(2, 2, Rgb([number * 10; 3]))
                .save(folder.path().join(format!("{number}.png")))
                .unwrap();
            metadata.push_str(&format!("{number}.png,number {number}\n"));
        }
        std::fs::write(folder.path().join("metadata.csv"), metadata).unwrap();
        folder
    }

    fn open(folder: &Path) -> Dataset {
        Dataset::open(folder, &OpenOptions::default()).unwrap()
    }

    #[test]
    fn rows_have_images_and_captions() {
        let folder = numbered();
        let dataset = open(folder.path());
        let (image, text) =
            (dataset.choose(Role::Image, None).unwrap(), dataset.choose(Role::Caption, None).unwrap());
        assert_eq!(dataset.len(), 10);
        for row in 0..10 {
            assert_eq!(dataset.image(row, image).unwrap().as_rgb8().unwrap().as_raw(), &[row as u8 * 10; 12]);
            assert_eq!(dataset.text(row, text).unwrap(), Caption::One(format!("number {row}")));
        }
        assert!(
            dataset
                .text(0, image)
                .unwrap_err()
                .to_string()
                .contains("column `image` should contain either strings")
        );
        assert!(
            dataset.image(0, text).unwrap_err().to_string().contains("column `text` should contain images")
        );
        assert!(dataset.label(0, text).is_err());
    }

    /// `datasets` 5.2.0 shuffles ten rows with seed 42 into 5, 6, 0, 7, ...
    #[test]
    fn the_first_samples_are_those_of_datasets() {
        let folder = numbered();
        let dataset = open(folder.path()).shuffled_first(42, 4).unwrap();
        let texts: Vec<_> =
            (0..dataset.len()).map(|row| dataset.text(row, 1).unwrap().all()[0].clone()).collect();
        assert_eq!(texts, ["number 5", "number 6", "number 0", "number 7"]);
        let pixel = dataset.image(3, 0).unwrap().into_rgb8().into_raw()[0];
        assert_eq!(pixel, 70);
        let error = dataset.shuffled_first(42, 5).unwrap_err().to_string();
        assert!(error.starts_with("`max_train_samples`: 5 of the 4 samples"), "{error}");
    }

    #[test]
    fn columns_are_chosen_by_name_default_and_position() {
        let folder = tempfile::tempdir().unwrap();
        RgbImage::new(1, 1).save(folder.path().join("a.png")).unwrap();
        let row = r#"{"picture_file_name": "a.png", "caption": "A", "edges_file_name": "a.png", "score": 1}"#;
        std::fs::write(folder.path().join("metadata.jsonl"), row).unwrap();
        let dataset = open(folder.path());
        let roles = [Role::Image, Role::Caption, Role::Conditioning];
        assert_eq!(roles.map(|role| dataset.choose(role, None).unwrap()), [0, 1, 2]);
        assert_eq!(dataset.choose(Role::Conditioning, Some("picture")).unwrap(), 0);
        let error = |role, name| dataset.choose(role, Some(name)).unwrap_err().to_string();
        let columns = "the dataset's columns are: picture, caption, edges, score";
        assert_eq!(error(Role::Caption, "text"), format!("column `text` does not exist; {columns}"));
        assert_eq!(
            error(Role::Caption, "score"),
            format!("column `score` should contain either strings or lists of strings; {columns}")
        );
    }

    #[test]
    fn damaged_images_name_their_file() {
        let folder = numbered();
        std::fs::write(folder.path().join("3.png"), "no image").unwrap();
        let png = std::fs::read(folder.path().join("4.png")).unwrap();
        std::fs::write(folder.path().join("4.png"), &png[..png.len() - 30]).unwrap();
        let dataset = open(folder.path());
        for row in [3, 4] {
            let error = dataset.image(row, 0).unwrap_err().to_string();
            assert!(error.contains(&format!("{row}.png: ")), "{error}");
        }
        std::fs::remove_file(folder.path().join("5.png")).unwrap();
        assert!(matches!(dataset.image(5, 0), Err(DataError::Io { path, .. }) if path.ends_with("5.png")));
    }

    #[test]
    fn folders_open_by_split() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train/a.png", "train/b.png", "test/c.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::new(1, 1).save(path).unwrap();
        }
        let rows = |split: &str| {
            let split = Some(split.to_owned());
            Dataset::open(folder.path(), &OpenOptions { split }).map(|dataset| dataset.len())
        };
        assert_eq!((rows("train").unwrap(), rows("test").unwrap()), (2, 1));
        assert!(rows("validation").is_err());
        assert_eq!(open(folder.path()).len(), 3);
        assert!(Dataset::open(folder.path().join("absent"), &OpenOptions::default()).is_err());
        assert!(Dataset::open_plain_folder(folder.path()).is_err());
        assert_eq!(Dataset::open_plain_folder(folder.path().join("train")).unwrap().len(), 2);
    }
}
