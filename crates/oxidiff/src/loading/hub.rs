//! From a name on the Hugging Face Hub to a local folder of files.
//!
//! Files lie in the cache that Python's `huggingface_hub` uses, in its layout: each program finds what the other
//! downloaded. The folder layout and the addresses come from `hf-hub`. The transfer does not: that crate's appends to
//! a partial file whatever the server answers, does not look at the length or the checksum of what arrived, and sends
//! the token to wherever a redirect leads.

mod environment;
mod pipeline;
mod transfer;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use ureq::http::{Method, StatusCode};

use crate::error::{Error, Result};
pub use pipeline::pipeline_files;
pub(crate) use pipeline::{is_configuration, model_files};
use transfer::{Client, Failure, Metadata, Part, backoff, percent_encode, transfer};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_REVISION: &str = "main";
pub(crate) const MODEL_INDEX: &str = "model_index.json";
/// How the pipeline is best called, where its author says so.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";
/// Smaller files are there before a progress bar could be read.
const PROGRESS_FROM_BYTES: u64 = 1 << 20;

/// What to fetch and from where.
///
/// What is not set comes from the environment, with the names and the precedence of Python's `huggingface_hub`:
/// `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` say where the cache is, `HF_ENDPOINT` where
/// the hub is, `HF_TOKEN`, `HF_TOKEN_PATH` and the file `$HF_HOME/token` who asks (not with
/// `HF_HUB_DISABLE_IMPLICIT_TOKEN`), `HF_HUB_OFFLINE` forbids the network, and `HF_HUB_DISABLE_PROGRESS_BARS` does
/// what it says. Proxies come from `HTTPS_PROXY` and its kin, certificates from `SSL_CERT_FILE` or
/// `REQUESTS_CA_BUNDLE`.
#[derive(Clone)]
pub struct HubOptions {
    /// A branch, a tag or a commit; `main` where absent.
    pub revision: Option<String>,
    /// The cache folder, which holds one folder per repository.
    pub cache_dir: Option<PathBuf>,
    /// The access token, for private and gated repositories.
    pub token: Option<String>,
    /// The hub's address.
    pub endpoint: Option<String>,
    /// Use what is in the cache, and no network.
    pub local_files_only: bool,
    /// Show a progress bar for each large file, if standard error is a terminal.
    pub progress: bool,
    /// How many attempts in a row may fail without any progress before a download is given up.
    pub max_retries: u32,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            revision: None,
            cache_dir: None,
            token: None,
            endpoint: None,
            local_files_only: false,
            progress: true,
            max_retries: 5,
        }
    }
}

/// Shows everything but the token.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("revision", &self.revision)
            .field("cache_dir", &self.cache_dir)
            .field("token", &self.token.as_ref().map(|_| "<hidden>"))
            .field("endpoint", &self.endpoint)
            .field("local_files_only", &self.local_files_only)
            .field("progress", &self.progress)
            .field("max_retries", &self.max_retries)
            .finish()
    }
}

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
    /// Where Python puts the lock files of this repository.
    locks: PathBuf,
    progress: bool,
    max_retries: u32,
}

/// Where files come from that are not in the cache.
#[derive(Debug)]
enum Source {
    Hub {
        client: Client,
        files: Vec<String>,
    },
    /// Nowhere, and why.
    CacheOnly {
        why: String,
    },
}

/// What the hub says about a repository at a revision.
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
    /// Finds out which commit a revision is and which files it has.
    ///
    /// Asks the hub once. If the hub cannot be asked or refuses, what was cached of this revision is used, as diffusers
    /// does, with a warning.
    ///
    /// # Errors
    /// When `repo_id` is not a repository's name, when the repository or revision does not exist or may not be read,
    /// or when neither hub nor cache has it. The error says what may help.
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
            progress: options.progress && !environment::flag("HF_HUB_DISABLE_PROGRESS_BARS"),
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
        let client = Client::new(&endpoint, options.token.clone().or_else(environment::token));
        match repo.ask_hub(&client, &api_url) {
            Ok(info) => {
                if info.sha != repo.revision
                    && cached.as_ref() != Some(&info.sha)
                    && let Err(error) = repo.cache.create_ref(&info.sha)
                {
                    // A cache that cannot be written may hold all that is needed.
                    tracing::debug!("{}: could not note the commit of {}: {error}", repo.id, repo.revision);
                }
                repo.commit = info.sha;
                let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
                repo.source = Source::Hub { client, files };
                Ok(repo)
            }
            Err(error) => {
                let Some(commit) = cached else { return Err(error) };
                tracing::warn!("{error}. Going on with what is in the cache");
                repo.commit = commit;
                repo.source = Source::CacheOnly { why: error.to_string() };
                Ok(repo)
            }
        }
    }

    /// The names of all files at the revision, relative to the repository; without a hub, of those in the cache.
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
    /// A download that breaks off goes on where it stopped, also in another process. The file appears in the snapshot
    /// folder only when it is whole.
    ///
    /// # Errors
    /// When the repository has no such file, when it cannot be downloaded, or when what arrives is not what the hub
    /// announced.
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

    /// Fetches what the repository's pipeline needs, and nothing else; returns the snapshot folder.
    ///
    /// `variant` chooses among the weights, `fp16` for instance.
    ///
    /// # Errors
    /// When the repository holds no pipeline, or not one with safetensors weights of this variant, or when a file
    /// cannot be downloaded.
    pub fn get_pipeline(&self, variant: Option<&str>) -> Result<PathBuf> {
        let path = self.get(MODEL_INDEX)?;
        let index = fs::read(&path).map_err(Error::io(&path))?;
        let index: Value = serde_json::from_slice(&index)
            .map_err(|error| Error::config(path.display().to_string(), ".", format!("not JSON: {error}")))?;
        for file in pipeline_files(&self.list_files()?, &index, variant)? {
            self.get(&file)?;
        }
        Ok(self.snapshot_folder())
    }

    /// The folder in the cache that has the files of this commit, as far as they were fetched.
    pub fn snapshot_folder(&self) -> PathBuf {
        self.cache.pointer_path(&self.commit)
    }

    /// The commit whose snapshot the cache has for this revision.
    fn cached_commit(&self, folder: &Path) -> Option<String> {
        let commit = if is_commit(&self.revision) {
            self.revision.clone()
        } else {
            fs::read_to_string(folder.join("refs").join(&self.revision)).ok()?.trim().to_owned()
        };
        (is_relative_path(&commit) && self.cache.pointer_path(&commit).is_dir()).then_some(commit)
    }

    fn ask_hub(&self, client: &Client, api_url: &str) -> Result<RepoInfo> {
        let url = format!("{}/api/{api_url}", client.endpoint);
        let body = self
            .retry(|| {
                let mut response = client.send(Method::GET, &url, None)?;
                match response.status() {
                    StatusCode::OK => Ok(response.body_mut().with_config().limit(256 << 20).read_to_vec()?),
                    status => Err(Failure::status(status, response.headers())),
                }
            })
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
            .retry(|| client.metadata(&url))
            .map_err(|failure| self.explain(client, failure, Some(file)))?;

        let blob = self.cache.blob_path(&metadata.etag);
        for folder in [blob.parent(), pointer.parent(), Some(&*self.locks)].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let _lock = lock(&self.locks.join(format!("{}.lock", metadata.etag)))?;
        // Another process may have been faster, or another file have the same content.
        if !blob.is_file() {
            let bar = self.progress_bar(file, metadata.size);
            self.fetch(client, &url, metadata, &blob, &bar)
                .map_err(|failure| self.explain(client, failure, Some(file)))?;
            bar.finish_and_clear();
        }
        link(&blob, pointer).map_err(Error::io(pointer))
    }

    /// Downloads to `blob`, by way of a partial file that outlives the process.
    fn fetch(
        &self,
        client: &Client,
        url: &str,
        mut metadata: Metadata,
        blob: &Path,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        // This is how huggingface_hub names its partial files, or did while it resumed them.
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
                // What an earlier process left may have been bad; what arrived in one go is what the server has.
                Err(Failure::Damaged) if !damaged => damaged = true,
                // A network may come back, too.
                Err(failure) if failure.is_transient() || matches!(failure, Failure::Unreachable(_)) => {
                    failures = if part.len > before { 0 } else { failures + 1 };
                    if failures > self.max_retries {
                        return Err(failure);
                    }
                    tracing::info!("{}: {failure}; trying again", self.id);
                    std::thread::sleep(backoff(failures));
                }
                Err(failure) => return Err(failure),
            }
        }
        part.persist(blob)
    }

    fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut failures = 0;
        loop {
            match attempt() {
                Err(failure) if failure.is_transient() && failures < self.max_retries => {
                    failures += 1;
                    tracing::info!("{}: {failure}; trying again", self.id);
                    std::thread::sleep(backoff(failures));
                }
                result => return result,
            }
        }
    }

    fn progress_bar(&self, file: &str, size: Option<u64>) -> ProgressBar {
        if !self.progress || size.is_some_and(|size| size < PROGRESS_FROM_BYTES) {
            return ProgressBar::hidden();
        }
        let style = "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        ProgressBar::new(size.unwrap_or(0))
            .with_style(
                ProgressStyle::with_template(style).expect("the template is valid").progress_chars("=> "),
            )
            .with_message(file.to_owned())
    }

    fn error(&self, message: String) -> Error {
        hub_error(&self.id, message)
    }

    /// Turns a failed request into an error that says what may help; `file` is what was asked for, if not the list.
    fn explain(&self, client: &Client, failure: Failure, file: Option<&str>) -> Error {
        let prefix = file.map(|file| format!("`{file}`: ")).unwrap_or_default();
        let message = match failure {
            Failure::Local { path, source } => return Error::Io { path, source },
            Failure::Damaged => "what the hub sends does not have the announced checksum".to_owned(),
            Failure::Status { code, reason, message } => match (code, reason.as_str()) {
                (404, "RevisionNotFound") => format!("there is no revision `{}`", self.revision),
                (404, "EntryNotFound") => format!("there is no such file at revision `{}`", self.revision),
                (404, _) if file.is_some() => {
                    format!("there is no such file at revision `{}`", self.revision)
                }
                (401 | 403 | 404, _) => {
                    let token = if client.token.is_some() {
                        "the access token that was sent does not open it"
                    } else {
                        "no access token was sent; set HF_TOKEN to one that may read it"
                    };
                    format!(
                        "the repository does not exist, or it is private or gated ({code} from {}): {token}",
                        client.endpoint
                    )
                }
                _ => {
                    format!("{} answered with status {code} {message}", client.endpoint).trim_end().to_owned()
                }
            },
            Failure::Broken(why) if file.is_some() => {
                format!("the download broke off: {why}. The next attempt will go on from there")
            }
            Failure::Broken(why) | Failure::Unreachable(why) => format!(
                "{} cannot be reached: {why}. Without a network, set HF_HUB_OFFLINE=1 to use what is in the cache, or \
                 give a local folder instead of a name",
                client.endpoint
            ),
            Failure::Unusable(why) => why,
        };
        self.error(prefix + &message)
    }
}

fn hub_error(repo: &str, message: String) -> Error {
    Error::Hub { repo: repo.to_owned(), message }
}

/// Takes the lock that huggingface_hub takes too; it is released when the file is dropped.
fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path).map_err(Error::io(path))?;
    match file.lock() {
        // Some network file systems have no locks. The checksum then tells if two processes got in each other's way.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        result => result.map_err(Error::io(path))?,
    }
    Ok(file)
}

/// Makes `pointer` show `blob`, by a relative link so that the cache can be moved.
fn link(blob: &Path, pointer: &Path) -> io::Result<()> {
    if pointer.symlink_metadata().is_ok() {
        if pointer.is_file() {
            return Ok(());
        }
        // A link to a blob that is gone.
        fs::remove_file(pointer)?;
    }
    // Both lie in the repository's folder: `blobs/<etag>` and `snapshots/<commit>/<file>`.
    let repository = blob.ancestors().nth(2).expect("a blob lies in a folder of the repository");
    let depth =
        pointer.strip_prefix(repository).expect("a snapshot lies in the repository").components().count();
    let mut target = PathBuf::from_iter(std::iter::repeat_n("..", depth - 1));
    target.push("blobs");
    target.push(blob.file_name().expect("a blob has a name"));

    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&target, pointer);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(&target, pointer);
    #[cfg(not(any(unix, windows)))]
    let linked = Err(io::Error::from(io::ErrorKind::Unsupported));
    // Windows allows symbolic links only to some users.
    linked.or_else(|_| fs::hard_link(blob, pointer)).or_else(|_| fs::copy(blob, pointer).map(drop))
}

fn list_folder(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            list_folder(&path, &format!("{name}/"), files)?;
        } else if path.is_file() {
            files.push(name);
        }
    }
    Ok(())
}

/// The rules of the hub for names: `name` or `owner/name`.
fn validate_repo_id(repo_id: &str) -> Result<()> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !name.starts_with(['-', '.'])
            && !name.ends_with(['-', '.'])
    };
    let valid = repo_id.len() <= 96
        && repo_id.split('/').count() <= 2
        && repo_id.split('/').all(is_name)
        && !repo_id.contains("--")
        && !repo_id.contains("..")
        && !repo_id.ends_with(".git");
    if valid {
        return Ok(());
    }
    Err(hub_error(
        repo_id,
        "neither a local folder nor the name of a repository, which is `name` or `owner/name` of letters, digits, `-`, \
         `_` and `.`"
            .to_owned(),
    ))
}

/// Whether a name from outside stays inside the folder it is looked up in.
fn is_relative_path(path: &str) -> bool {
    !path.contains(['\\', ':', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
