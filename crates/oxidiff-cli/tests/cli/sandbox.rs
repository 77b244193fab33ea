//! Runs the binary in its own empty folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The root of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// An empty folder to run the binary in; it is removed with the value.
pub struct Sandbox(TempDir);

/// How a run of the binary ended.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `oxidiff` with `arguments` in this folder.
    pub fn run<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.run_with(&[], arguments)
    }

    /// As [`Self::run`], with these environment variables.
    pub fn run_with<A: AsRef<std::ffi::OsStr>>(
        &self,
        variables: &[(&str, &str)],
        arguments: impl IntoIterator<Item = A>,
    ) -> Run {
        Run::of(self.command().args(arguments).envs(variables.iter().copied()))
    }

    /// Runs a shell script in this folder, with the environment that `oxidiff` would have.
    #[cfg(unix)]
    pub fn shell(&self, script: &str) -> Run {
        let mut command = Command::new("sh");
        self.prepare(&mut command);
        Run::of(command.args(["-c", script]))
    }

    /// `oxidiff` without arguments, to be run in this folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxidiff"));
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            // No test needs the network: a name that is not a folder is looked up in an empty cache.
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HOME", self.0.path())
            .env_remove("HF_HUB_CACHE")
            .env_remove("HUGGINGFACE_HUB_CACHE");
    }

    /// The names of everything in this folder, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Requires that the run succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Requires an error that contains all of `words`: exit code 1, nothing on standard output, no panic.
    #[track_caller]
    pub fn failed_with(self, words: &[&str]) {
        let Self { code, stdout, stderr } = self;
        assert_eq!(code, Some(1), "stdout: {stdout}stderr: {stderr}");
        assert_eq!(stdout, "");
        assert!(!stderr.contains("panicked"), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "`{word}` is not in: {stderr}");
        }
    }
}

/// Copies a folder with all of its contents.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
