//! From a name on the Hugging Face Hub to a local folder of files.
//!
//! Files lie in the cache that Python's `huggingface_hub` uses, in its layout: each program finds what the other
//! downloaded. The folder layout and the addresses come from `hf-hub`. The transfer does not: that crate's appends to
//! a partial file whatever the server answers, does not look at the length or the checksum of what arrived, and sends
//! the token to wherever a redirect leads.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, CacheRepo, Repo};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use crate::error::{Error, Result};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_REVISION: &str = "main";
const MODEL_INDEX: &str = "model_index.json";
const USER_AGENT: &str = concat!("oxidiff/", env!("CARGO_PKG_VERSION"));
/// How long to wait for a connection, and for the next bytes on one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 10;
/// Smaller files are there before a progress bar could be read.
const PROGRESS_FROM_BYTES: u64 = 1 << 20;

/// What to fetch and from where.
///
/// What is not set comes from the environment, with the names and the precedence of Python's `huggingface_hub`:
/// `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` say where the cache is, `HF_ENDPOINT` where
/// the hub is, `HF_TOKEN`, `HF_TOKEN_PATH` and the file `$HF_HOME/token` who asks (not with
/// `HF_HUB_DISABLE_IMPLICIT_TOKEN`), `HF_HUB_OFFLINE` forbids the network, and `HF_HUB_DISABLE_PROGRESS_BARS` does
/// what it says.
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
            None => cache_dir_from_env()?,
        };
        let names = Repo::model(repo_id.to_owned());
        let folder = cache_dir.join(names.folder_name());
        let locks = cache_dir.join(".locks").join(names.folder_name());
        let names = Repo::with_revision(repo_id.to_owned(), hf_hub::RepoType::Model, revision.clone());
        let api_url = names.api_url();
        let mut repo = Self {
            id: repo_id.to_owned(),
            cache: Cache::new(cache_dir).repo(names),
            commit: String::new(),
            source: Source::CacheOnly { why: String::new() },
            locks,
            progress: options.progress && !env_flag("HF_HUB_DISABLE_PROGRESS_BARS"),
            max_retries: options.max_retries,
            revision,
        };

        let offline = if options.local_files_only {
            Some("`local_files_only` is set".to_owned())
        } else if env_flag("HF_HUB_OFFLINE") {
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

        let client = Client::new(options);
        match repo.ask_hub(&client, &api_url) {
            Ok(info) => {
                if info.sha != repo.revision
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
                Err(failure) if failure.is_transient() => {
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

/// Why a request or a download did not succeed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("status {code} {message}")]
    Status { code: u16, reason: String, message: String },
    #[error("{0}")]
    Broken(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Unusable(String),
    #[error("checksum mismatch")]
    Damaged,
    #[error("{}: {source}", path.display())]
    Local { path: PathBuf, source: io::Error },
}

impl Failure {
    fn status(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| header(headers, name).unwrap_or_default().to_owned();
        Self::Status { code: status.as_u16(), reason: text("x-error-code"), message: text("x-error-message") }
    }

    fn local(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Local { path, source }
    }

    /// Whether the same request may succeed a little later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Status { code, .. } => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Tls(_) => {
                Self::Unreachable(error.to_string())
            }
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                Self::Unreachable(error.to_string())
            }
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Self::Unreachable(error.to_string())
            }
            ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => {
                Self::Broken(error.to_string())
            }
            other => Self::Unusable(other.to_string()),
        }
    }
}

/// The hub's side of a connection: where it is and who asks.
struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

/// Shows everything but the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What the hub says about a file before sending it.
struct Metadata {
    /// Names the content: its SHA-256 where the file is large, a Git hash where it is small.
    etag: String,
    size: Option<u64>,
}

impl Metadata {
    fn sha256(&self) -> Option<Sha256> {
        let is_sha256 = self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sha256.then(Sha256::new)
    }
}

impl Client {
    fn new(options: &HubOptions) -> Self {
        let endpoint = options.endpoint.clone().or_else(|| env_text("HF_ENDPOINT"));
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let config = Agent::config_builder()
            .user_agent(USER_AGENT)
            // Lengths and ranges must count the bytes of the file itself.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Redirects are followed here, to decide at each one whether the token may go along.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .build();
        Self {
            agent: config.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: options.token.clone().or_else(token_from_env),
        }
    }

    /// Sends a request, for a file from byte `from` on, and follows redirects.
    ///
    /// A `HEAD` request stays with the hub: it alone knows a file's commit and checksum.
    fn send(&self, method: Method, url: &str, from: Option<u64>) -> Result<Response<Body>, Failure> {
        let endpoint = parse_uri(&self.endpoint)?;
        let mut uri = parse_uri(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::builder().method(&method).uri(&uri);
            if let Some(token) = self.token.as_ref().filter(|_| is_same_origin(&uri, &endpoint)) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if let Some(from) = from {
                request = request.header("range", format!("bytes={from}-"));
            }
            // The reason why a request cannot be built is not shown: it may quote the token.
            let request = request.body(()).map_err(|_| {
                Failure::Unusable("the access token has characters that cannot be sent".to_owned())
            })?;
            let response = self.agent.run(request)?;
            let location =
                header(response.headers(), "location").filter(|_| response.status().is_redirection());
            let Some(location) = location else { return Ok(response) };
            let next = join(&uri, location)?;
            if method == Method::HEAD && !is_same_origin(&next, &uri) {
                return Ok(response);
            }
            uri = next;
        }
        Err(Failure::Unusable(format!("{url} redirects more than {MAX_REDIRECTS} times")))
    }

    fn metadata(&self, url: &str) -> Result<Metadata, Failure> {
        let response = self.send(Method::HEAD, url, None)?;
        let (status, headers) = (response.status(), response.headers());
        if !status.is_success() && !status.is_redirection() {
            return Err(Failure::status(status, headers));
        }
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag")).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        // The tag becomes a file name.
        if etag.contains(['/', '\\']) || !is_relative_path(etag) {
            return Err(Failure::Unusable(format!(
                "{url} has the entity tag `{etag}`, which cannot name a file"
            )));
        }
        // Of a redirect, the length is that of its own body.
        let length = header(headers, "content-length").filter(|_| status.is_success());
        let size = header(headers, "x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Metadata { etag: etag.to_owned(), size })
    }
}

/// A file that is being downloaded.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    /// The checksum of what is in the file, where the whole file's is known.
    sha256: Option<Sha256>,
}

impl Part {
    fn open(path: PathBuf, mut sha256: Option<Sha256>) -> Result<Self, Failure> {
        let mut file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(Failure::local(&path))?;
        let len = match &mut sha256 {
            Some(sha256) => io::copy(&mut file, sha256).map_err(Failure::local(&path))?,
            None => file.metadata().map_err(Failure::local(&path))?.len(),
        };
        Ok(Self { path, file, len, sha256 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(Failure::local(&self.path))?;
        self.len += bytes.len() as u64;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(Failure::local(&self.path))?;
        self.len = 0;
        self.sha256 = self.sha256.as_ref().map(|_| Sha256::new());
        Ok(())
    }

    fn is_damaged(&self, etag: &str) -> bool {
        let actual = self.sha256.clone().map(|sha256| format!("{:x}", sha256.finalize()));
        actual.is_some_and(|actual| !actual.eq_ignore_ascii_case(etag))
    }

    fn persist(self, blob: &Path) -> Result<(), Failure> {
        self.file.sync_all().map_err(Failure::local(&self.path))?;
        fs::rename(&self.path, blob).map_err(Failure::local(blob))
    }
}

/// Downloads what is missing of a file; afterwards its length is right.
fn transfer(
    client: &Client,
    url: &str,
    part: &mut Part,
    size: &mut Option<u64>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    if size.is_some_and(|size| part.len > size) {
        part.restart()?;
    }
    if *size == Some(part.len) {
        return Ok(());
    }

    let response = client.send(Method::GET, url, (part.len > 0).then_some(part.len))?;
    let headers = response.headers();
    let announced = match response.status() {
        // The whole file, even though only the rest may have been asked for.
        StatusCode::OK => {
            part.restart()?;
            header(headers, "content-length").and_then(|length| length.parse().ok())
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = header(headers, "content-range").and_then(|range| range.strip_prefix("bytes "));
            let (range, total) = range.and_then(|range| range.split_once('/')).unwrap_or_default();
            if range.split('-').next().and_then(|from| from.parse().ok()) != Some(part.len) {
                part.restart()?;
                return Err(Failure::Broken(
                    "the server sent another part of the file than the missing one".into(),
                ));
            }
            total.parse().ok()
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            part.restart()?;
            return Err(Failure::Broken("the file is shorter than its downloaded part".into()));
        }
        status => return Err(Failure::status(status, headers)),
    };
    let Some(total) = size.or(announced) else {
        return Err(Failure::Unusable(format!("{url} does not say how long the file is")));
    };
    *size = Some(total);

    bar.set_length(total);
    bar.set_position(part.len);
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(Failure::Broken(error.to_string())),
        };
        part.append(&buffer[..count])?;
        bar.set_position(part.len);
        if part.len > total {
            part.restart()?;
            return Err(Failure::Broken(format!("more than the announced {total} bytes arrived")));
        }
    }
    if part.len < total {
        return Err(Failure::Broken(format!("{} of {total} bytes arrived", part.len)));
    }
    Ok(())
}

fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100 << failures.min(6))
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

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parse_uri(url: &str) -> Result<Uri, Failure> {
    match url.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() && uri.authority().is_some() => Ok(uri),
        _ => Err(Failure::Unusable(format!("`{url}` is not a web address"))),
    }
}

fn is_same_origin(a: &Uri, b: &Uri) -> bool {
    (a.scheme(), a.authority()) == (b.scheme(), b.authority())
}

/// Where a redirect from `base` leads.
fn join(base: &Uri, location: &str) -> Result<Uri, Failure> {
    let scheme = base.scheme_str().unwrap_or_default();
    let authority = base.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if location.contains("://") {
        parse_uri(location)
    } else if location.starts_with("//") {
        parse_uri(&format!("{scheme}:{location}"))
    } else if location.starts_with('/') {
        parse_uri(&format!("{scheme}://{authority}{location}"))
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        parse_uri(&format!("{scheme}://{authority}{folder}/{location}"))
    }
}

fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn env_text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn env_flag(name: &str) -> bool {
    env_text(name).is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

fn home_dir() -> Result<PathBuf> {
    std::env::home_dir().ok_or_else(|| Error::MissingFile {
        path: PathBuf::from("~"),
        message: "there is no home folder for the cache: set HF_HOME".to_owned(),
    })
}

/// A folder from the environment; Python expands `~` in these.
fn env_folder(name: &str) -> Result<Option<PathBuf>> {
    let Some(value) = env_text(name) else { return Ok(None) };
    Ok(Some(match value.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            home_dir()?.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(value),
    }))
}

fn hf_home() -> Result<PathBuf> {
    if let Some(folder) = env_folder("HF_HOME")? {
        return Ok(folder);
    }
    let cache = match env_folder("XDG_CACHE_HOME")? {
        Some(folder) => folder,
        None => home_dir()?.join(".cache"),
    };
    Ok(cache.join("huggingface"))
}

fn cache_dir_from_env() -> Result<PathBuf> {
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
        if let Some(folder) = env_folder(name)? {
            return Ok(folder);
        }
    }
    Ok(hf_home()?.join("hub"))
}

fn token_from_env() -> Option<String> {
    if env_flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return None;
    }
    let from_file = || {
        let path = match env_folder("HF_TOKEN_PATH").ok()? {
            Some(path) => path,
            None => hf_home().ok()?.join("token"),
        };
        fs::read_to_string(path).ok()
    };
    let token = env_text("HF_TOKEN").or_else(|| env_text("HUGGING_FACE_HUB_TOKEN")).or_else(from_file)?;
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// Of a repository's `files`, those that the pipeline of `model_index` needs.
///
/// That is `model_index.json` and, of each component with a class, its configuration and its safetensors weights: those
/// of `variant` (such as `fp16`) where the component has them, else the plain ones.
///
/// # Errors
/// When a component has no files, or has weights but none in safetensors; when `variant` is given and no component has
/// it.
pub fn pipeline_files(files: &[String], model_index: &Value, variant: Option<&str>) -> Result<Vec<String>> {
    let Some(index) = model_index.as_object() else {
        return Err(Error::config(MODEL_INDEX, ".", "not a JSON object"));
    };
    let ignored: Vec<&str> = index
        .get("_ignore_files")
        .and_then(Value::as_array)
        .map_or(Vec::new(), |names| names.iter().filter_map(Value::as_str).collect());
    let files: Vec<&str> = files.iter().map(String::as_str).filter(|file| !ignored.contains(file)).collect();
    if !files.contains(&MODEL_INDEX) {
        let message = "this is not a diffusers pipeline".to_owned();
        return Err(Error::MissingFile { path: PathBuf::from(MODEL_INDEX), message });
    }

    let mut needed = vec![MODEL_INDEX.to_owned()];
    let mut has_variant = false;
    let mut plain_components = Vec::new();
    let mut other_variants = BTreeSet::new();
    for component in component_names(index) {
        let names: Vec<&str> = files
            .iter()
            .filter_map(|file| file.strip_prefix(component)?.strip_prefix('/'))
            .filter(|name| !name.contains('/'))
            .collect();
        if names.is_empty() {
            let message =
                format!("{MODEL_INDEX} lists this component, but the repository has no such folder");
            return Err(Error::MissingFile { path: PathBuf::from(component), message });
        }
        let weights = |wanted: Option<&str>| -> Vec<&str> {
            names.iter().copied().filter(|name| weights_variant(name) == Some(wanted)).collect()
        };

        let mut chosen = variant.map(|variant| weights(Some(variant))).unwrap_or_default();
        if chosen.is_empty() {
            chosen = weights(None);
            if variant.is_some() && !chosen.is_empty() {
                plain_components.push(component);
            }
        } else {
            has_variant = true;
        }
        if chosen.is_empty()
            && let Some(other) = names.iter().find(|name| is_other_weights(name))
        {
            return Err(Error::unsupported(
                format!("`{component}/{other}`"),
                "the component has no weights in the safetensors format, the only one that is read",
            ));
        }
        other_variants.extend(names.iter().filter_map(|name| weights_variant(name)?));
        needed.extend(
            names
                .iter()
                .filter(|name| is_configuration(name) || chosen.contains(name))
                .map(|name| format!("{component}/{name}")),
        );
    }

    if let Some(variant) = variant {
        if !has_variant {
            let others = Vec::from_iter(other_variants).join("`, `");
            let others = if others.is_empty() { "none".to_owned() } else { format!("`{others}`") };
            let message =
                format!("no component has weights of variant `{variant}`; variants there are: {others}");
            return Err(Error::argument("variant", message));
        }
        if !plain_components.is_empty() {
            tracing::warn!(
                "no variant `{variant}` of {}: using the plain weights",
                plain_components.join(", ")
            );
        }
    }
    Ok(needed)
}

/// The components of a pipeline that have a class: `"unet": ["diffusers", "UNet2DConditionModel"]`.
fn component_names(index: &serde_json::Map<String, Value>) -> impl Iterator<Item = &str> {
    index
        .iter()
        .filter(|(name, value)| {
            let class = value.as_array().filter(|value| value.len() >= 2).map(|value| &value[1]);
            !name.starts_with('_') && class.is_some_and(|class| !class.is_null())
        })
        .map(|(name, _)| name.as_str())
}

/// Whether a file is safetensors weights or their index, and of which variant: `Some(None)` for the plain ones.
fn weights_variant(name: &str) -> Option<Option<&str>> {
    let rest = ["diffusion_pytorch_model", "pytorch_model", "model"]
        .into_iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;

    if let Some(rest) = rest.strip_suffix(".json") {
        // `.safetensors.index`, `.safetensors.index.fp16` or, in old repositories, `.safetensors.fp16.index`.
        let rest = rest.strip_prefix(".safetensors.")?;
        return match rest.strip_prefix("index") {
            Some("") => Some(None),
            Some(variant) => variant.strip_prefix('.').map(Some),
            None => rest.strip_suffix(".index").map(Some),
        };
    }

    // ``, `-00001-of-00002`, `.fp16`, `.fp16-00001-of-00002` or, in old repositories, `-00001-of-00002.fp16`.
    let rest = rest.strip_suffix(".safetensors")?;
    match rest.strip_prefix('.') {
        Some(variant) => Some(Some(split_shard(variant).map_or(variant, |(variant, _)| variant))),
        None if rest.is_empty() => Some(None),
        None => match split_shard(rest)? {
            ("", "") => Some(None),
            ("", variant) => variant.strip_prefix('.').map(Some),
            _ => None,
        },
    }
}

/// Splits a name around its first `-00001-of-00002`.
fn split_shard(name: &str) -> Option<(&str, &str)> {
    const SHAPE: &str = "-00000-of-00000";
    let is_shard = |text: &str| {
        text.bytes()
            .zip(SHAPE.bytes())
            .all(|(byte, shape)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
    };
    (0..name.len()).find_map(|start| {
        let shard = name.get(start..start + SHAPE.len())?;
        is_shard(shard).then(|| (&name[..start], &name[start + SHAPE.len()..]))
    })
}

fn is_configuration(name: &str) -> bool {
    let is_index = name.contains(".index.");
    (name.ends_with(".json") && !is_index) || name.ends_with(".txt") || name.ends_with(".model")
}

fn is_other_weights(name: &str) -> bool {
    ["bin", "ckpt", "pt", "pth", "msgpack", "h5", "onnx", "pb"]
        .into_iter()
        .any(|extension| name.rsplit_once('.').is_some_and(|(_, actual)| actual == extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE_DIFFUSION: &[&str] = &[
        ".gitattributes",
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "model_index.json",
        "safety_checker/config.json",
        "safety_checker/model.fp16.safetensors",
        "safety_checker/model.safetensors",
        "safety_checker/pytorch_model.bin",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/flax_model.msgpack",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/openvino_model.bin",
        "text_encoder/openvino_model.xml",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/onnx/model.onnx",
        "v1-5-pruned-emaonly.ckpt",
        "v1-5-pruned-emaonly.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    fn index() -> Value {
        serde_json::json!({
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "requires_safety_checker": true,
            "safety_checker": [null, null],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        })
    }

    fn select(files: &[&str], index: &Value, variant: Option<&str>) -> Result<Vec<String>> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        pipeline_files(&files, index, variant).map(|mut files| {
            files.sort();
            files
        })
    }

    fn unet_only(files: &[&str], variant: Option<&str>) -> Result<Vec<String>> {
        let index = serde_json::json!({"unet": ["diffusers", "UNet2DConditionModel"]});
        select(&[&["model_index.json", "unet/config.json"], files].concat(), &index, variant)
    }

    #[test]
    fn a_pipeline_needs_configurations_and_plain_safetensors() {
        let expected = [
            "feature_extractor/preprocessor_config.json",
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(select(STABLE_DIFFUSION, &index(), None).unwrap(), expected);
    }

    #[test]
    fn a_component_without_the_variant_keeps_its_plain_weights() {
        let files = select(STABLE_DIFFUSION, &index(), Some("fp16")).unwrap();
        let weights: Vec<_> = files.iter().filter(|file| file.ends_with(".safetensors")).collect();
        let expected = [
            "text_encoder/model.fp16.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(weights, expected);
    }

    #[test]
    fn a_variant_that_no_component_has_is_an_error() {
        let error = select(STABLE_DIFFUSION, &index(), Some("bf16")).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { argument: "variant", .. }));
        let message = error.to_string();
        assert!(message.contains("`bf16`") && message.contains("`fp16`, `non_ema`"), "{message}");
    }

    #[test]
    fn shards_come_with_their_index() {
        let files = [
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.bin.index.json",
        ];
        let head = ["model_index.json", "unet/config.json"];
        let plain = [&head[..], &[files[0], files[1], files[5]]].concat();
        assert_eq!(unet_only(&files, None).unwrap(), plain);
        let variant = [&head[..], &files[2..5]].concat();
        assert_eq!(unet_only(&files, Some("fp16")).unwrap(), variant);
    }

    #[test]
    fn shards_may_have_the_old_variant_names() {
        let files = [
            "unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors.fp16.index.json",
        ];
        let expected = [&["model_index.json", "unet/config.json"], &files[..]].concat();
        assert_eq!(unet_only(&files, Some("fp16")).unwrap(), expected);
    }

    #[test]
    fn pickled_weights_alone_are_an_error() {
        let error = unet_only(&["unet/diffusion_pytorch_model.bin"], None).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }));
        assert!(error.to_string().contains("unet/diffusion_pytorch_model.bin"), "{error}");
    }

    #[test]
    fn a_listed_component_must_have_a_folder() {
        let index = serde_json::json!({"vae": ["diffusers", "AutoencoderKL"]});
        let error = select(&["model_index.json"], &index, None).unwrap_err();
        assert!(matches!(error, Error::MissingFile { ref path, .. } if path == Path::new("vae")));
        let error = select(&["vae/config.json"], &index, None).unwrap_err();
        assert!(
            matches!(error, Error::MissingFile { ref path, .. } if path == Path::new("model_index.json"))
        );
    }
}
