//! Checkpoints: folders `checkpoint-N`, from which a training goes on as if it had not stopped.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use oxidiff::training::StateFile;

use crate::error::{Error, Result};

/// The file of everything but the model.
pub(crate) const STATE: &str = "state.safetensors";

/// The checkpoints in the folder of a training.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    /// How many to keep; all if there is none.
    limit: Option<usize>,
}

impl Checkpoints {
    pub fn new(folder: &Path, limit: Option<usize>) -> Self {
        Self { folder: folder.to_path_buf(), limit }
    }

    /// The checkpoints and their steps, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read; one that does not exist has no checkpoints.
    pub fn all(&self) -> Result<Vec<(u64, PathBuf)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io(&self.folder))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io(&self.folder))?;
            let name = entry.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix("checkpoint-")?.parse().ok());
            if let Some(step) = step.filter(|_| entry.path().is_dir()) {
                all.push((step, entry.path()));
            }
        }
        all.sort();
        Ok(all)
    }

    /// The folder of a checkpoint that the user names: `latest`, a path, or the name of one in the training's folder. `None`
    /// when the latest is wanted and there is none.
    ///
    /// # Errors
    /// When a checkpoint with a name does not exist.
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        if name == "latest" {
            return Ok(self.all()?.pop().map(|(_, path)| path));
        }
        let path = PathBuf::from(name);
        let inside = path.file_name().map(|name| self.folder.join(name));
        [Some(path.clone()), inside].into_iter().flatten().find(|path| path.is_dir()).map(Some).ok_or_else(
            || {
                let folder = self.folder.display();
                Error::option(
                    "resume-from-checkpoint",
                    format!("{name} does not exist, neither by itself nor in {folder}"),
                )
            },
        )
    }

    /// Writes the checkpoint of a step, completely or not at all, and then removes those beyond the limit, the oldest first.
    /// `fill` adds the model to the folder and to the state.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn write(
        &self,
        step: u64,
        mut state: StateFile,
        fill: impl FnOnce(&Path, &mut StateFile) -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self.folder.join(format!("checkpoint-{step}"));
        let partial = self.aside(&path)?;
        let filled = fs::create_dir_all(&partial)
            .map_err(Error::io(&partial))
            .and_then(|()| fill(&partial, &mut state))
            .and_then(|()| Ok(state.write(&partial.join(STATE))?));
        if let Err(error) = filled {
            // The first error says more than that of removing the rest.
            let _ = remove_rest(&partial);
            return Err(error);
        }
        if path.is_dir() {
            self.remove(&path, "old")?;
        }
        fs::rename(&partial, &path).map_err(Error::io(&path))?;
        if let Some(limit) = self.limit {
            let mut others = self.all()?;
            others.retain(|(_, other)| *other != path);
            others.truncate((others.len() + 1).saturating_sub(limit));
            for (_, path) in others {
                self.remove(&path, "removed")?;
            }
        }
        Ok(path)
    }

    /// The first checkpoint after a step.
    ///
    /// # Errors
    /// As for [`Self::all`].
    pub fn after(&self, step: u64) -> Result<Option<PathBuf>> {
        Ok(self.all()?.into_iter().find(|(other, _)| *other > step).map(|(_, path)| path))
    }

    /// Removes all checkpoints after a step, or all without exception.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn clear(&self, after: Option<u64>) -> Result<()> {
        let mut all = self.all()?;
        all.retain(|(step, _)| after.is_none_or(|after| *step > after));
        all.iter().try_for_each(|(_, path)| self.remove(path, "removed"))
    }

    /// Removes a checkpoint, which is never there in part.
    fn remove(&self, path: &Path, word: &str) -> Result<()> {
        let hidden = hidden(path, word);
        remove_rest(&hidden)?;
        fs::rename(path, &hidden).map_err(Error::io(path))?;
        fs::remove_dir_all(&hidden).map_err(Error::io(&hidden))
    }

    /// The folder in which a checkpoint is put together, without what a killed process left in it.
    fn aside(&self, path: &Path) -> Result<PathBuf> {
        let partial = hidden(path, "partial");
        remove_rest(&partial)?;
        Ok(partial)
    }
}

/// `.checkpoint-N.word` beside `checkpoint-N`.
fn hidden(path: &Path, word: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{word}"))
}

fn remove_rest(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(checkpoints: &Checkpoints, step: u64) -> PathBuf {
        let fill = |folder: &Path, state: &mut StateFile| {
            state.put_u64("step", step);
            fs::write(folder.join("model"), [step as u8]).map_err(Error::io(folder))
        };
        checkpoints.write(step, StateFile::new(), fill).unwrap()
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        checkpoints.all().unwrap().into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn the_oldest_are_removed_first() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), Some(2));
        for step in [5, 10, 9, 100] {
            // Never the one that was written last.
            assert!(write(&checkpoints, step).is_dir());
        }
        assert_eq!(steps(&checkpoints), [10, 100]);
        assert_eq!(checkpoints.after(10).unwrap(), Some(folder.path().join("checkpoint-100")));
        assert_eq!(checkpoints.find("latest").unwrap().unwrap(), folder.path().join("checkpoint-100"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        checkpoints.clear(Some(10)).unwrap();
        assert_eq!(steps(&checkpoints), [10]);
        checkpoints.clear(None).unwrap();
        assert_eq!(checkpoints.find("latest").unwrap(), None);
    }

    #[test]
    fn what_a_killed_process_left_is_no_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), None);
        let partial = folder.path().join(".checkpoint-7.partial");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join("rest"), "rest").unwrap();
        assert_eq!(steps(&checkpoints), Vec::<u64>::new());
        let path = write(&checkpoints, 7);
        assert!(!path.join("rest").exists() && path.join(STATE).exists() && !partial.exists());
        // Again, over the first one.
        write(&checkpoints, 7);
        assert_eq!(steps(&checkpoints), [7]);
    }

    #[test]
    fn a_failure_leaves_the_old_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), Some(1));
        write(&checkpoints, 3);
        let failed = checkpoints.write(4, StateFile::new(), |folder, _| {
            fs::write(folder.join("model"), "half").unwrap();
            Err(Error::checkpoint(folder, "the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(steps(&checkpoints), [3]);
    }

    #[test]
    fn a_checkpoint_is_found_by_path_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), None);
        let path = write(&checkpoints, 3);
        for name in ["checkpoint-3", "elsewhere/checkpoint-3", path.to_str().unwrap()] {
            assert_eq!(checkpoints.find(name).unwrap().unwrap(), path);
        }
        let error = checkpoints.find("checkpoint-4").unwrap_err().to_string();
        assert!(error.starts_with("--resume-from-checkpoint: checkpoint-4 does not exist"), "{error}");
    }
}
