//! Folders of images: the `imagefolder` of `datasets`, and kohya's caption files beside the images.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use super::column::{Caption, Column, ColumnKind};
use super::error::{DataError, Result};
use super::files::DataFile;
use super::metadata::{Cell, FILE_NAMES, Metadata, MetadataRow};

/// Extensions of the formats that are read.
const READ: [&str; 12] =
    ["apng", "bmp", "dib", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
/// Extensions of the other formats that `datasets` takes for images.
const NOT_READ: [&str; 49] = [
    "blp", "bufr", "bw", "cur", "dcx", "dds", "emf", "eps", "fit", "fits", "flc", "fli", "ftc", "ftu", "gbr",
    "grib", "icb", "icns", "ico", "iim", "im", "j2c", "j2k", "jp2", "jpc", "jpf", "jpx", "mpeg", "mpg",
    "msp", "pbm", "pcd", "pcx", "pgm", "pnm", "ppm", "ps", "psd", "pxr", "ras", "rgb", "rgba", "sgi", "tga",
    "vda", "vst", "wmf", "xbm", "xpm",
];
/// Extensions of caption files; the first that exists is read.
const CAPTIONS: [&str; 2] = ["txt", "caption"];
/// The end of the name of a metadata column that names images.
const FILE_NAME: &str = "file_name";
/// How many ignored files a warning names.
const NAMED: usize = 5;

/// The columns of a folder of images, with a value for each row.
#[derive(Debug)]
pub(super) struct ImageFolder {
    pub columns: Vec<Column>,
    pub values: Vec<Values>,
    pub rows: usize,
}

/// The values of one column.
#[derive(Debug)]
pub(super) enum Values {
    Images(Vec<PathBuf>),
    /// `None` where the metadata has no caption.
    Captions(Vec<Option<Caption>>),
    /// Indices into the column's names.
    Labels(Vec<usize>),
    Other,
}

/// Whether the file is an image, as far as its extension tells.
pub(super) fn is_image(file: &DataFile) -> bool {
    READ.contains(&file.extension().as_str())
}

pub(super) fn is_metadata(file: &DataFile) -> bool {
    FILE_NAMES.contains(&file.name())
}

impl ImageFolder {
    /// Reads the metadata among the files of a split, or finds the images' captions and labels.
    pub fn open(root: &Path, files: &[DataFile]) -> Result<Self> {
        let metadata: Vec<_> = files.iter().filter(|file| is_metadata(file)).collect();
        if metadata.is_empty() {
            Self::from_images(root, files)
        } else {
            Self::from_metadata(root, files, &metadata)
        }
    }

    /// Only the images that are not in subfolders, without captions and labels.
    pub fn plain(root: &Path, files: Vec<DataFile>) -> Result<Self> {
        let (deeper, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.relative.contains('/'));
        let images = images(root, &files)?;
        warn_of_ignored(root, files.iter().filter(|file| !is_image(file)).chain(&deeper));
        Ok(Self::of_images(&images))
    }

    fn of_images(images: &[&DataFile]) -> Self {
        let paths = images.iter().map(|file| file.path.clone()).collect();
        let column = Column { name: "image".to_owned(), kind: ColumnKind::Image };
        Self { columns: vec![column], values: vec![Values::Images(paths)], rows: images.len() }
    }

    fn from_images(root: &Path, files: &[DataFile]) -> Result<Self> {
        let images = images(root, files)?;
        let mut folder = Self::of_images(&images);
        let (captions, used) = beside(&images, files)?;
        if let Some(captions) = captions {
            folder.add("text", ColumnKind::Caption, captions);
        }
        if let Some((names, labels)) = labels(&images) {
            folder.add("label", ColumnKind::Label { names }, Values::Labels(labels));
        }
        let is_used = |file: &&DataFile| is_image(file) || used.contains(file.relative.as_str());
        warn_of_ignored(root, files.iter().filter(|file| !is_used(file)));
        Ok(folder)
    }

    fn add(&mut self, name: &str, kind: ColumnKind, values: Values) {
        self.columns.push(Column { name: name.to_owned(), kind });
        self.values.push(values);
    }

    fn from_metadata(root: &Path, files: &[DataFile], metadata_files: &[&DataFile]) -> Result<Self> {
        let mut metadata = Metadata::default();
        for file in metadata_files {
            let first = metadata_files[0];
            if file.extension() != first.extension() {
                let message = format!(
                    "the folder has metadata in several formats: {}, {}",
                    first.relative, file.relative
                );
                return Err(DataError::file(root, message));
            }
            metadata.read(&file.path)?;
        }
        let first = &metadata_files[0].path;
        if metadata.rows.is_empty() {
            return Err(DataError::file(first, "the metadata has no rows"));
        }
        let mut folder = Self { columns: Vec::new(), values: Vec::new(), rows: metadata.rows.len() };
        for (at, name) in metadata.columns.iter().enumerate() {
            let (name, kind, values) = metadata_column(&metadata, at, name)?;
            if folder.columns.iter().any(|column| column.name == name) {
                let message =
                    format!("two columns become `{name}`; the columns are: {}", metadata.columns.join(", "));
                return Err(DataError::file(first, message));
            }
            folder.add(&name, kind, values);
        }
        if !folder.columns.iter().any(|column| column.kind == ColumnKind::Image) {
            let message = format!(
                "no column `{FILE_NAME}` or `*_{FILE_NAME}` names images; the columns are: {}",
                metadata.columns.join(", ")
            );
            return Err(DataError::file(first, message));
        }
        warn_of_ignored(root, files.iter().filter(|file| !is_image(file) && !is_metadata(file)));
        Ok(folder)
    }
}

/// A column of the dataset from one of the metadata.
fn metadata_column(metadata: &Metadata, at: usize, name: &str) -> Result<(String, ColumnKind, Values)> {
    let all = |fits: fn(&Cell) -> bool| metadata.rows.iter().all(|row| fits(row.cell(at)));
    let is_file_name =
        name == FILE_NAME || name.strip_suffix(FILE_NAME).is_some_and(|rest| rest.ends_with('_'));
    if is_file_name && all(|cell| matches!(cell, Cell::Text(_) | Cell::Null)) {
        let image = name
            .strip_suffix(FILE_NAME)
            .map(|rest| rest.trim_end_matches('_'))
            .filter(|rest| !rest.is_empty());
        let paths = named_images(metadata, at, name)?;
        return Ok((image.unwrap_or("image").to_owned(), ColumnKind::Image, Values::Images(paths)));
    }
    if !all(|cell| matches!(cell, Cell::Text(_) | Cell::Texts(_) | Cell::Null))
        || all(|cell| *cell == Cell::Null)
    {
        return Ok((name.to_owned(), ColumnKind::Other, Values::Other));
    }
    let captions = metadata.rows.iter().map(|row| match row.cell(at) {
        Cell::Text(text) => Some(Caption::One(text.clone())),
        Cell::Texts(texts) if !texts.is_empty() => Some(Caption::Several(texts.clone())),
        _ => None,
    });
    Ok((name.to_owned(), ColumnKind::Caption, Values::Captions(captions.collect())))
}

/// The images that a column of file names mentions; those of `file_name` are distinct.
fn named_images(metadata: &Metadata, at: usize, column: &str) -> Result<Vec<PathBuf>> {
    let mut seen: HashMap<PathBuf, &MetadataRow> = HashMap::new();
    let mut paths = Vec::with_capacity(metadata.rows.len());
    for row in &metadata.rows {
        let Cell::Text(name) = row.cell(at) else {
            return Err(row.error(format!("there is no `{column}`")));
        };
        let relative =
            inside(name).map_err(|message| row.error(format!("`{column}` is {name:?}, {message}")))?;
        let path = row.file.parent().unwrap_or(Path::new("")).join(relative);
        if !path.is_file() {
            return Err(row.error(format!("`{column}` is {name:?}, but there is no file {}", path.display())));
        }
        if column == FILE_NAME
            && let Some(first) = seen.insert(path.clone(), row)
        {
            let message = format!(
                "`{column}` is {name:?} as in line {} of {}; give several captions of an image as a list",
                first.line,
                first.file.display()
            );
            return Err(row.error(message));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// The path without `.` and `..`, unless it leads out of the folder.
fn inside(name: &str) -> Result<PathBuf, &'static str> {
    if name.is_empty() {
        return Err("which names no file");
    }
    if name.contains("://") {
        return Err("an address; images need to be files in the folder");
    }
    let mut path = PathBuf::new();
    for part in Path::new(&name.replace('\\', "/")).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => path.push(part),
            Component::ParentDir if path.pop() => {}
            Component::ParentDir => return Err("which leads out of the folder of the metadata"),
            Component::RootDir | Component::Prefix(_) => {
                return Err("an absolute path; it needs to be relative to the folder of the metadata");
            }
        }
    }
    Ok(path)
}

/// The images among the files.
fn images<'a>(root: &Path, files: &'a [DataFile]) -> Result<Vec<&'a DataFile>> {
    for file in files {
        let extension = file.extension();
        if NOT_READ.contains(&extension.as_str()) {
            return Err(DataError::Unsupported {
                what: format!("{}, an image of the format `{extension}`,", file.path.display()),
                why: format!("convert it to one of: {}", READ.join(", ")),
            });
        }
        if extension == "zip" {
            return Err(DataError::Unsupported {
                what: format!("{}, an archive in an image folder,", file.path.display()),
                why: "unpack it".to_owned(),
            });
        }
    }
    let images: Vec<_> = files.iter().filter(|file| is_image(file)).collect();
    if images.is_empty() {
        return Err(DataError::file(
            root,
            format!("there are no images in this folder ({})", READ.join(", ")),
        ));
    }
    Ok(images)
}

/// A caption for each image, if at least one has a caption file, and the caption files that were read.
///
/// As in kohya's scripts a caption is the file's first line, and that of an image without a file is empty.
fn beside<'a>(images: &[&DataFile], files: &'a [DataFile]) -> Result<(Option<Values>, BTreeSet<&'a str>)> {
    let texts: BTreeMap<&str, &DataFile> = files
        .iter()
        .filter(|file| CAPTIONS.contains(&file.extension().as_str()))
        .map(|file| (file.relative.as_str(), file))
        .collect();
    let mut used = BTreeSet::new();
    let mut captions = Vec::with_capacity(images.len());
    let (mut missing, mut cut) = (0, 0);
    for image in images {
        let stem = image.relative.rsplit_once('.').map_or(image.relative.as_str(), |(stem, _)| stem);
        let found =
            CAPTIONS.iter().find_map(|extension| texts.get_key_value(format!("{stem}.{extension}").as_str()));
        let Some((name, file)) = found else {
            missing += 1;
            captions.push(Some(Caption::One(String::new())));
            continue;
        };
        let text = std::fs::read_to_string(&file.path).map_err(DataError::io(&file.path))?;
        let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        captions.push(Some(Caption::One(lines.next().unwrap_or_default().to_owned())));
        cut += usize::from(lines.any(|line| !line.is_empty()));
        used.insert(*name);
    }
    if used.is_empty() {
        return Ok((None, used));
    }
    if missing > 0 {
        tracing::warn!("{missing} of {} images have no caption file; their captions are empty", images.len());
    }
    if cut > 0 {
        tracing::warn!("{cut} caption files have several lines; only the first is used");
    }
    Ok((Some(Values::Captions(captions)), used))
}

/// The classes that the images' folders name, if the images are in several folders, all at the same depth.
fn labels(images: &[&DataFile]) -> Option<(Vec<String>, Vec<usize>)> {
    let depth = |file: &DataFile| file.relative.matches('/').count();
    let folder = |file: &DataFile| file.relative.rsplit('/').nth(1).map(str::to_owned);
    if images.windows(2).any(|pair| depth(pair[0]) != depth(pair[1])) {
        return None;
    }
    let classes: Vec<String> = images.iter().map(|file| folder(file)).collect::<Option<_>>()?;
    let mut names = classes.clone();
    names.sort_unstable();
    names.dedup();
    let label = |class: &String| names.binary_search(class).ok();
    let labels = classes.iter().map(label).collect::<Option<_>>()?;
    (names.len() > 1).then_some((names, labels))
}

fn warn_of_ignored<'a>(root: &Path, ignored: impl Iterator<Item = &'a DataFile>) {
    let ignored: Vec<_> = ignored.map(|file| file.relative.as_str()).collect();
    if !ignored.is_empty() {
        let named = ignored[..ignored.len().min(NAMED)].join(", ");
        let rest = if ignored.len() > NAMED { ", ..." } else { "" };
        tracing::warn!("{}: ignored {} files: {named}{rest}", root.display(), ignored.len());
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::super::files::list;
    use super::*;

    /// A folder with the named files: images where the text is empty.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if text.is_empty() {
                RgbImage::new(2, 2).save(path).unwrap()
            } else {
                std::fs::write(path, text).unwrap()
            }
        }
        folder
    }

    fn open(files: &[(&str, &str)]) -> Result<ImageFolder> {
        let folder = folder(files);
        ImageFolder::open(folder.path(), &list(folder.path())?)
    }

    fn names(folder: &ImageFolder) -> Vec<&str> {
        folder.columns.iter().map(|column| column.name.as_str()).collect()
    }

    fn captions(folder: &ImageFolder) -> Vec<Option<&[String]>> {
        let Some(Values::Captions(captions)) =
            folder.values.iter().find(|values| matches!(values, Values::Captions(_)))
        else {
            panic!("no captions in {folder:?}");
        };
        captions.iter().map(|caption| caption.as_ref().map(Caption::all)).collect()
    }

    fn image_names(values: &Values) -> Vec<String> {
        let Values::Images(paths) = values else { panic!("no images: {values:?}") };
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    /// The columns and their order are those of `datasets` 5.2.0 for the same folder.
    #[test]
    fn metadata_gives_order_and_columns() {
        let text = concat!(
            r#"{"text": "two", "file_name": "2.png", "conditioning_image_file_name": "c/1.png", "n": 1}"#,
            "\n",
            r#"{"file_name": "./c/../1.png", "text": ["a", "b"], "extra": "e", "conditioning_image_file_name": "c\\1.png"}"#,
        );
        let files = [("1.png", ""), ("2.png", ""), ("3.png", ""), ("c/1.png", ""), ("metadata.jsonl", text)];
        let folder = open(&files).unwrap();
        assert_eq!(names(&folder), ["text", "image", "conditioning_image", "n", "extra"]);
        assert_eq!(folder.rows, 2);
        assert_eq!(image_names(&folder.values[1]), ["2.png", "1.png"]);
        assert_eq!(image_names(&folder.values[2]), ["1.png", "1.png"]);
        assert_eq!(
            captions(&folder),
            [Some(&["two".to_owned()][..]), Some(&["a".to_owned(), "b".to_owned()][..])]
        );
        assert_eq!(folder.columns[3].kind, ColumnKind::Other);
    }

    #[test]
    fn metadata_in_subfolders_is_relative_to_them() {
        let files = [
            ("a/1.png", ""),
            ("b/1.png", ""),
            ("a/metadata.csv", "file_name,text\n1.png,A"),
            ("b/metadata.csv", "text,file_name\nB,1.png"),
        ];
        let folder = open(&files).unwrap();
        assert_eq!(names(&folder), ["image", "text"]);
        assert_eq!(captions(&folder), [Some(&["A".to_owned()][..]), Some(&["B".to_owned()][..])]);
    }

    #[test]
    fn metadata_errors_name_file_line_and_column() {
        let error = |row: &str| {
            let text = format!("{{\"file_name\": \"1.png\"}}\n{row}\n");
            open(&[("1.png", ""), ("metadata.jsonl", &text)]).unwrap_err().to_string()
        };
        for (row, expected) in [
            (r#"{"file_name": "2.png"}"#, "`file_name` is \"2.png\", but there is no file"),
            (r#"{"file_name": "../1.png"}"#, "leads out of the folder"),
            (r#"{"file_name": "a\\..\\..\\1.png"}"#, "leads out of the folder"),
            (r#"{"file_name": "/etc/passwd"}"#, "an absolute path"),
            (r#"{"file_name": "file:///etc/passwd"}"#, "an address"),
            (r#"{"file_name": ""}"#, "names no file"),
            (r#"{"file_name": "./1.png"}"#, "as in line 1 of"),
            (r#"{"text": "no image"}"#, "there is no `file_name`"),
        ] {
            let message = error(row);
            assert!(
                message.contains("metadata.jsonl, line 2: ") && message.contains(expected),
                "{row}: {message}"
            );
        }
        let message = open(&[("1.png", ""), ("metadata.csv", "name,text\n1.png,a")]).unwrap_err().to_string();
        assert!(message.ends_with("names images; the columns are: name, text"), "{message}");
        let both = [("1.png", ""), ("metadata.csv", "file_name\n1.png"), ("a/metadata.jsonl", "{}")];
        assert!(open(&both).unwrap_err().to_string().contains("in several formats"));
        let twice = [("1.png", ""), ("metadata.csv", "file_name,image\n1.png,x")];
        assert!(open(&twice).unwrap_err().to_string().contains("two columns become `image`"));
    }

    #[test]
    fn captions_stand_beside_images() {
        let files = [
            ("b.png", ""),
            ("a.JPG.png", ""),
            ("c/d.png", ""),
            ("b.txt", " a bee \nmore"),
            ("c/d.caption", "dee"),
            ("other.txt", "x"),
        ];
        let folder = open(&files).unwrap();
        assert_eq!(names(&folder), ["image", "text"]);
        assert_eq!(image_names(&folder.values[0]), ["a.JPG.png", "b.png", "d.png"]);
        let expected = ["", "a bee", "dee"].map(str::to_owned);
        assert_eq!(captions(&folder), expected.each_ref().map(|text| Some(std::slice::from_ref(text))));
    }

    #[test]
    fn folders_at_one_depth_are_classes() {
        let folder = open(&[("dog/1.png", ""), ("cat/1.png", ""), ("dog/2.png", "")]).unwrap();
        assert_eq!(
            folder.columns[1].kind,
            ColumnKind::Label { names: vec!["cat".to_owned(), "dog".to_owned()] }
        );
        assert!(matches!(&folder.values[1], Values::Labels(labels) if labels == &[0, 1, 1]));
        assert_eq!(names(&open(&[("dog/1.png", ""), ("top.png", "")]).unwrap()), ["image"]);
        assert_eq!(names(&open(&[("dog/1.png", ""), ("dog/2.png", "")]).unwrap()), ["image"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let error = |files: &[(&str, &str)]| open(files).unwrap_err().to_string();
        assert!(
            error(&[("a.png", ""), ("b.PSD", "x")])
                .contains("b.PSD, an image of the format `psd`, is not supported")
        );
        assert!(error(&[("a.png", ""), ("b.zip", "x")]).contains("unpack it"));
        assert!(error(&[("a.md", "x")]).contains("there are no images in this folder"));
        let folder = folder(&[("b.png", ""), ("a.png", ""), ("a.txt", "x"), ("sub/c.png", "")]);
        let plain = ImageFolder::plain(folder.path(), list(folder.path()).unwrap()).unwrap();
        assert_eq!(
            (names(&plain), image_names(&plain.values[0])),
            (vec!["image"], vec!["a.png".to_owned(), "b.png".to_owned()])
        );
    }
}
