//! The files of a dataset's folder, in the order of `datasets`, and which of them belong to a split.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::error::{DataError, Result};

/// Files that belong to every dataset and hold no data.
const NO_DATA: [&str; 6] = [
    "README.md",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dummy_data.zip",
    "dataset_dict.json",
];
/// The words in the name of a file or folder that put it into a split.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];
/// What separates these words from the rest of the name.
const SEPARATORS: &str = "-._ 0123456789";

/// A file of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DataFile {
    pub path: PathBuf,
    /// The path below the dataset's folder, with `/` on every system.
    pub relative: String,
}

impl DataFile {
    pub fn name(&self) -> &str {
        self.relative.rsplit('/').next().unwrap_or(&self.relative)
    }

    /// The extension in lower case, without the dot.
    pub fn extension(&self) -> String {
        let extension = Path::new(self.name()).extension().unwrap_or_default();
        extension.to_string_lossy().to_lowercase()
    }

    fn folders(&self) -> impl Iterator<Item = &str> {
        let folder = self.relative.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/').filter(|name| !name.is_empty())
    }
}

/// All files below a folder, sorted by path. Hidden files, and folders that are hidden or start with `__`, are left out.
pub(super) fn list(root: &Path) -> Result<Vec<DataFile>> {
    if !root.is_dir() {
        let message = if root.exists() { "is not a folder" } else { "there is no such folder" };
        return Err(DataError::file(root, message));
    }
    let mut files = Vec::new();
    let visible = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || entry.file_type().is_dir() && name.starts_with("__"))
    };
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(visible) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_path_buf();
            DataError::Io { path, cause: error.into() }
        })?;
        if entry.file_type().is_file() && !NO_DATA.iter().any(|name| entry.file_name() == *name) {
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            files.push(DataFile { relative: parts.join("/"), path: entry.into_path() });
        }
    }
    files.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(files)
}

/// The files of one split, found as `datasets.load_dataset(folder)` finds them: by names such as
/// `data/train-00000-of-00002.parquet`, else by folders such as `train/`, else by files such as `train.parquet`; if no
/// name mentions a split, all are the split `train`.
///
/// A file that several patterns match comes once, where `datasets` repeats it.
pub(super) fn of_split(root: &Path, files: Vec<DataFile>, split: &str) -> Result<Vec<DataFile>> {
    let sharded: BTreeSet<&str> = files.iter().filter_map(shard_split).collect();
    if !sharded.is_empty() {
        let found = files.iter().filter(|file| shard_split(file) == Some(split)).cloned().collect();
        return non_empty(root, found, split, sharded.into_iter());
    }
    for matches in [in_folder, in_name] as [fn(&DataFile, &str) -> [bool; 2]; 2] {
        let has = |words: &[&str]| {
            files.iter().any(|file| words.iter().any(|word| matches(file, word).contains(&true)))
        };
        let found: Vec<_> = SPLITS.iter().filter(|(_, words)| has(words)).collect();
        if found.is_empty() {
            continue;
        }
        let words = found.iter().find(|(name, _)| *name == split).map_or(&[] as &[&str], |(_, words)| words);
        let mut ordered: Vec<DataFile> = Vec::new();
        for (word, pattern) in words.iter().flat_map(|word| [(word, 0), (word, 1)]) {
            for file in files.iter().filter(|file| matches(file, word)[pattern]) {
                if !ordered.contains(file) {
                    ordered.push(file.clone());
                }
            }
        }
        return non_empty(root, ordered, split, found.iter().map(|(name, _)| *name));
    }
    non_empty(root, if split == "train" { files } else { Vec::new() }, split, ["train"].into_iter())
}

fn non_empty<'a>(
    root: &Path,
    found: Vec<DataFile>,
    split: &str,
    splits: impl Iterator<Item = &'a str>,
) -> Result<Vec<DataFile>> {
    if found.is_empty() {
        let splits: Vec<_> = splits.collect();
        let message =
            format!("there is no data for the split `{split}`; the names mention: {}", splits.join(", "));
        return Err(DataError::file(root, message));
    }
    Ok(found)
}

/// The split in `data/SPLIT-00000-of-00001.parquet`, where more may stand before the extension.
fn shard_split(file: &DataFile) -> Option<&str> {
    let name = file.relative.strip_prefix("data/").filter(|name| !name.contains('/'))?;
    let is_number =
        |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    name.rmatch_indices("-of-").find_map(|(middle, of)| {
        let (before, after) = (&name[..middle], &name[middle + of.len()..]);
        let start = middle.checked_sub(6)?;
        let fits = before.as_bytes()[start] == b'-'
            && is_number(before.get(start + 1..))
            && is_number(after.get(..5))
            && after[5..].contains('.');
        (fits && start > 0).then(|| &name[..start])
    })
}

/// Whether a folder above the file is named by the word: at the start of the folder's name, or later in it.
fn in_folder(file: &DataFile, word: &str) -> [bool; 2] {
    let found = |test: fn(&str, &str, bool) -> bool| file.folders().any(|name| test(name, word, true));
    [found(starts_with), found(contains)]
}

/// Whether the file is named by the word: at the start of its name, or later in it.
fn in_name(file: &DataFile, word: &str) -> [bool; 2] {
    [starts_with(file.name(), word, false), contains(file.name(), word, false)]
}

fn starts_with(name: &str, word: &str, may_end: bool) -> bool {
    name.strip_prefix(word).is_some_and(|rest| rest.starts_with(is_separator) || may_end && rest.is_empty())
}

fn contains(name: &str, word: &str, may_end: bool) -> bool {
    name.match_indices(word)
        .any(|(at, _)| name[..at].ends_with(is_separator) && starts_with(&name[at..], word, may_end))
}

fn is_separator(character: char) -> bool {
    SEPARATORS.contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, []).unwrap();
        }
        folder
    }

    fn split(names: &[&str], split: &str) -> Result<Vec<String>> {
        let folder = folder(names);
        let files = of_split(folder.path(), list(folder.path())?, split)?;
        Ok(files.into_iter().map(|file| file.relative).collect())
    }

    /// The orders in these tests are those of `datasets` 5.2.0 for the same folders.
    #[test]
    fn files_are_sorted_by_path() {
        let names =
            ["b/z.png", "b-c/a.png", "b.c/a.png", "B/q.png", "top.png", ".h/x.png", "__m/x.png", "b/.x.png"];
        let folder = folder(&names);
        let files: Vec<_> = list(folder.path()).unwrap().into_iter().map(|file| file.relative).collect();
        assert_eq!(files, ["B/q.png", "b-c/a.png", "b.c/a.png", "b/z.png", "top.png"]);
    }

    #[test]
    fn folders_name_splits() {
        let names = [
            "train/train-1/x.png",
            "train/b.png",
            "training/a.png",
            "test/t.png",
            "o/train/z.png",
            "a_train/y.png",
            "constrain/c.png",
        ];
        let train =
            ["o/train/z.png", "train/b.png", "train/train-1/x.png", "a_train/y.png", "training/a.png"];
        assert_eq!(split(&names, "train").unwrap(), train);
        assert_eq!(split(&names, "test").unwrap(), ["test/t.png"]);
        let error = split(&names, "validation").unwrap_err().to_string();
        assert!(error.ends_with("split `validation`; the names mention: train, test"), "{error}");
    }

    #[test]
    fn files_name_splits() {
        let shards = [
            "data/train-00001-of-00002-abc.parquet",
            "data/train-00000-of-00002.parquet",
            "data/odd-00000-of-00001.parquet",
        ];
        assert_eq!(split(&shards, "train").unwrap(), [shards[1], shards[0]]);
        assert_eq!(split(&shards, "odd").unwrap(), [shards[2]]);
        assert!(split(&shards, "test").is_err());
        assert_eq!(split(&["my_val.parquet", "train.parquet"], "validation").unwrap(), ["my_val.parquet"]);
        assert_eq!(split(&["b.png", "a.png"], "train").unwrap(), ["a.png", "b.png"]);
        assert!(split(&["b.png", "a.png"], "test").is_err());
        assert!(split(&[], "train").is_err());
    }
}
