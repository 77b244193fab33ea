//! From a name on the Hugging Face Hub to a local folder of files.
//!
//! Files are kept in the cache of Python's `huggingface_hub`, in its layout, so each program finds what the other
//! downloaded. The folder layout and the addresses come from `hf-hub`. The transfer does not: that crate appends any answer of
//! the server to a partial file, checks neither the length nor the checksum of the result, and sends the token wherever a
//! redirect leads.

mod absolute_form;
mod cache;
mod client;
mod environment;
mod explanation;
mod failure;
mod names;
mod needed_files;
mod no_proxy;
mod options;
mod progress;
mod proxy;
mod redirect;
mod timeouts;
mod transfer;

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;

use self::cache::{link, list_folder, lock};
use self::client::{Client, Metadata, percent_encode};
use self::failure::Failure;
use self::names::{is_commit, is_relative_path, validate_repo_id};
use self::needed_files::pipeline_files;
pub(crate) use self::needed_files::{component_names, is_configuration, model_files, model_weights};
pub use self::options::HubOptions;
use self::progress::Progress;
use self::transfer::{Part, backoff, transfer};
use crate::error::{Error, Result};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_REVISION: &str = "main";
pub(crate) const MODEL_INDEX: &str = "model_index.json";
/// The name of the file with the author's recommended arguments of a call.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

/// A model repository at one commit, in the cache and on the hub.
///
/// ```no_run
/// use oxidiff::{HubOptions, HubRepo};
///
/// let repo = HubRepo::open("stable-diffusion-v1-5/stable-diffusion-v1-5", &HubOptions::default())?;
/// let index = repo.get("model_index.json")?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Debug)]
pub struct HubRepo {
    id: String,
    revision: String,
    commit: String,
    source: Source,
    cache: CacheRepo,
    /// The folder of this repository's lock files, the same as Python's.
    locks: PathBuf,
    progress: Progress,
    max_retries: u32,
}

/// The source of files that are not in the cache.
#[derive(Debug)]
enum Source {
    Hub {
        client: Box<Client>,
        files: Vec<String>,
    },
    /// None, and why.
    CacheOnly {
        why: String,
    },
}

/// The answer of the hub about a repository at a revision.
#[derive(Deserialize)]
struct RepoInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl HubRepo {
    /// Resolves a revision to a commit and its list of files.
    ///
    /// Asks the hub once. If the hub cannot be reached or refuses, the cached files of this revision are used with a
    /// warning, as in diffusers.
    ///
    /// # Errors
    /// When `repo_id` is not the name of a repository, the repository or revision does not exist or may not be read, or
    /// neither hub nor cache has it. The error says what may help.
    pub fn open(repo_id: &str, options: &HubOptions) -> Result<Self> {
        validate_repo_id(repo_id)?;
        let revision = options.revision.clone().unwrap_or_else(|| DEFAULT_REVISION.to_owned());
        if !is_relative_path(&revision) {
            return Err(hub_error(repo_id, format!("`{revision}` is not the name of a revision")));
        }

        let cache_dir = match &options.cache_dir {
            Some(folder) => folder.clone(),
            None => environment::cache_dir()?,
        };
        let names = Repo::model(repo_id.to_owned());
        let folder = cache_dir.join(names.folder_name());
        let locks = cache_dir.join(".locks").join(names.folder_name());
        let names = Repo::with_revision(repo_id.to_owned(), RepoType::Model, revision.clone());
        let api_url = names.api_url();
        let mut repo = Self {
            id: repo_id.to_owned(),
            cache: Cache::new(cache_dir).repo(names),
            commit: String::new(),
            source: Source::CacheOnly { why: String::new() },
            locks,
            progress: Progress::new(options.progress && !environment::flag("HF_HUB_DISABLE_PROGRESS_BARS")),
            max_retries: options.max_retries,
            revision,
        };

        let offline = if options.local_files_only {
            Some("`local_files_only` is set".to_owned())
        } else if environment::flag("HF_HUB_OFFLINE") {
            Some("HF_HUB_OFFLINE is set".to_owned())
        } else {
            None
        };
        let cached = repo.cached_commit(&folder);
        if let Some(why) = offline {
            let Some(commit) = cached else {
                return Err(repo.error(format!(
                    "revision `{}` is not in the cache ({}), and it may not be downloaded because {why}",
                    repo.revision,
                    folder.display()
                )));
            };
            repo.commit = commit;
            repo.source = Source::CacheOnly { why };
            return Ok(repo);
        }

        let endpoint = options.endpoint.clone().or_else(|| environment::text("HF_ENDPOINT"));
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let token = options.token.clone().or_else(environment::token);
        let client = Client::new(&endpoint, token, repo.progress.clone())
            .map_err(|failure| repo.error(failure.to_string()))?;
        match repo.ask_hub(&client, &api_url, cached.is_some()) {
            Ok(info) => {
                if info.sha != repo.revision
                    && cached.as_ref() != Some(&info.sha)
                    && let Err(error) = repo.cache.create_ref(&info.sha)
                {
                    // A read-only cache may already hold everything.
                    tracing::debug!("{}: could not record the commit of {}: {error}", repo.id, repo.revision);
                }
                repo.commit = info.sha;
                let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
                repo.source = Source::Hub { client: Box::new(client), files };
                Ok(repo)
            }
            Err(error) => {
                let Some(commit) = cached else { return Err(error) };
                tracing::warn!("{error}. Continuing with the files in the cache");
                repo.commit = commit;
                repo.source = Source::CacheOnly { why: error.to_string() };
                Ok(repo)
            }
        }
    }

    /// The names of all files at the revision, relative to the repository; without the hub, those in the cache.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn list_files(&self) -> Result<Vec<String>> {
        match &self.source {
            Source::Hub { files, .. } => Ok(files.clone()),
            Source::CacheOnly { .. } => {
                let mut files = Vec::new();
                list_folder(&self.snapshot_folder(), "", &mut files)?;
                files.sort();
                Ok(files)
            }
        }
    }

    /// The path of a file in the snapshot folder, downloaded if it is not there yet.
    ///
    /// An interrupted download resumes where it stopped, even in another process. The file appears in the snapshot folder only
    /// when it is complete.
    ///
    /// # Errors
    /// When the repository has no such file, it cannot be downloaded, or the download is not what the hub announced.
    pub fn get(&self, file: &str) -> Result<PathBuf> {
        if !is_relative_path(file) {
            return Err(self.error(format!("`{file}` is not the name of a file in a repository")));
        }
        let pointer = self.snapshot_folder().join(file);
        if pointer.is_file() {
            return Ok(pointer);
        }
        match &self.source {
            Source::CacheOnly { why } => Err(self.error(format!(
                "`{file}` is not in the cached snapshot {}, and it cannot be downloaded: {why}",
                self.snapshot_folder().display()
            ))),
            Source::Hub { files, .. } if !files.iter().any(|name| name == file) => {
                Err(self.error(format!("there is no file `{file}` at revision `{}`", self.revision)))
            }
            Source::Hub { client, .. } => {
                self.download(client, file, &pointer)?;
                Ok(pointer)
            }
        }
    }

    /// Fetches the files that the repository's pipeline needs, and no others; returns the snapshot folder.
    ///
    /// `variant` selects the weights, such as `fp16`.
    ///
    /// # Errors
    /// When the repository holds no pipeline, or none with weights of this variant, or a file cannot be downloaded.
    pub fn get_pipeline(&self, variant: Option<&str>) -> Result<PathBuf> {
        self.get_pipeline_without(variant, &[])
    }

    /// As [`Self::get_pipeline`], without the weights of the components `replaced`.
    ///
    /// # Errors
    /// As for [`Self::get_pipeline`].
    pub(crate) fn get_pipeline_without(&self, variant: Option<&str>, replaced: &[&str]) -> Result<PathBuf> {
        let path = self.get(MODEL_INDEX)?;
        let index = fs::read(&path).map_err(Error::io(&path))?;
        let index: Value = serde_json::from_slice(&index)
            .map_err(|error| Error::config(path.display().to_string(), ".", format!("not JSON: {error}")))?;
        for file in pipeline_files(&self.list_files()?, &index, variant, replaced)? {
            self.get(&file)?;
        }
        Ok(self.snapshot_folder())
    }

    /// The folder in the cache with the files of this commit that were fetched so far.
    pub fn snapshot_folder(&self) -> PathBuf {
        self.cache.pointer_path(&self.commit)
    }

    /// The commit of this revision, if its snapshot is in the cache.
    fn cached_commit(&self, folder: &Path) -> Option<String> {
        let commit = if is_commit(&self.revision) {
            self.revision.clone()
        } else {
            fs::read_to_string(folder.join("refs").join(&self.revision)).ok()?.trim().to_owned()
        };
        (is_relative_path(&commit) && self.cache.pointer_path(&commit).is_dir()).then_some(commit)
    }

    fn ask_hub(&self, client: &Client, api_url: &str, is_cached: bool) -> Result<RepoInfo> {
        let url = format!("{}/api/{api_url}", client.endpoint);
        let body = self
            .retry(is_cached, || client.list(&url))
            .map_err(|failure| self.explain(client, failure, None))?;
        let info: RepoInfo = serde_json::from_slice(&body)
            .map_err(|error| self.error(format!("{url} did not answer with a list of files: {error}")))?;
        if !is_relative_path(&info.sha) {
            return Err(self.error(format!("{url} calls its commit `{}`", info.sha)));
        }
        Ok(info)
    }

    fn download(&self, client: &Client, file: &str, pointer: &Path) -> Result<()> {
        let url = format!("{}/{}/resolve/{}/{}", client.endpoint, self.id, self.commit, percent_encode(file));
        let metadata = self
            .retry(false, || client.metadata(&url))
            .map_err(|failure| self.explain(client, failure, Some(file)))?;

        let blob = self.cache.blob_path(&metadata.etag);
        for folder in [blob.parent(), pointer.parent(), Some(&*self.locks)].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let path = self.locks.join(format!("{}.lock", metadata.etag));
        let what = format!("another process that downloads {file} (lock file {})", path.display());
        let _lock = self.progress.waiting(&what, || lock(&path))?;
        // Another process may have been faster, or another file may have the same content.
        if !blob.is_file() {
            let bar = self.progress.of_download(file, metadata.size);
            self.fetch(client, &url, metadata, &blob, &bar)
                .map_err(|failure| self.explain(client, failure, Some(file)))?;
            bar.finish_and_clear();
        }
        link(&blob, pointer).map_err(Error::io(pointer))
    }

    /// Downloads to `blob` through a partial file that survives the process.
    fn fetch(
        &self,
        client: &Client,
        url: &str,
        mut metadata: Metadata,
        blob: &Path,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        // The name of the partial files of huggingface_hub, or of its versions that resumed them.
        let mut path = blob.as_os_str().to_owned();
        path.push(".incomplete");
        let mut part = Part::open(PathBuf::from(path), metadata.sha256())?;

        let mut failures = 0;
        let mut damaged = false;
        loop {
            let before = part.len;
            let result = transfer(client, url, &mut part, &mut metadata.size, bar).and_then(|()| {
                if part.is_damaged(&metadata.etag) {
                    part.restart()?;
                    return Err(Failure::Damaged);
                }
                Ok(())
            });
            match result {
                Ok(()) => break,
                // The part that an earlier process left may be damaged. If a whole download is, it is the server's fault.
                Err(Failure::Damaged) if !damaged => damaged = true,
                // The network may come back, too.
                Err(failure) if failure.is_transient() || matches!(failure, Failure::Unreachable(_)) => {
                    failures = if part.len > before { 0 } else { failures + 1 };
                    if failures > self.max_retries {
                        return Err(failure);
                    }
                    self.pause(&failure, failures);
                }
                Err(failure) => return Err(failure),
            }
        }
        part.persist(blob)
    }

    /// Repeats requests that may succeed a little later. If the answer `is_cached`, a silent server is given only one try.
    fn retry<T>(
        &self,
        is_cached: bool,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut failures = 0;
        loop {
            match attempt() {
                Err(failure @ Failure::Silent(_)) if is_cached => return Err(failure),
                Err(failure) if failure.is_transient() && failures < self.max_retries => {
                    failures += 1;
                    self.pause(&failure, failures);
                }
                result => return result,
            }
        }
    }

    /// Waits for a server to recover from `failure`, the latest of several.
    fn pause(&self, failure: &Failure, failures: u32) {
        tracing::info!("{}: {failure}; trying again", self.id);
        let what = format!("the next attempt after a failure: {failure}");
        self.progress.waiting(&what, || std::thread::sleep(backoff(failures)));
    }

    fn error(&self, message: String) -> Error {
        hub_error(&self.id, message)
    }
}

fn hub_error(repo: &str, message: String) -> Error {
    Error::Hub { repo: repo.to_owned(), message }
}
