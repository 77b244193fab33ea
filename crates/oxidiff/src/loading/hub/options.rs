//! What to fetch from the hub, and how.

use std::fmt;
use std::path::PathBuf;

/// What to fetch and from where.
///
/// Defaults come from the environment, with the names and the precedence of Python's `huggingface_hub`: `HF_HUB_CACHE`,
/// `HUGGINGFACE_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` set the cache folder, `HF_ENDPOINT` the address of the hub, and
/// `HF_TOKEN`, `HF_TOKEN_PATH` or the file `$HF_HOME/token` the access token (unless `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set).
/// `HF_HUB_OFFLINE` forbids the network, and `HF_HUB_DISABLE_PROGRESS_BARS` hides progress bars. `HF_HUB_ETAG_TIMEOUT` and
/// `HF_HUB_DOWNLOAD_TIMEOUT` set how many seconds (10 by default) a server may stay silent when asked about files, or for a
/// file. Certificates come from `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE`.
///
/// `HTTPS_PROXY` sets the proxy for `https` addresses, `HTTP_PROXY` that for `http` addresses, and `ALL_PROXY` that for both
/// if they are not set. Hosts in `NO_PROXY` are reached directly: names with all their subdomains, addresses, networks such
/// as `10.0.0.0/8`, each with or without a port, or `*`. Lower-case names of these variables take precedence. A proxy is an
/// address such as `http://user:password@host:8080`; it may also begin with `https`, `socks4`, `socks4a`, `socks5` or
/// `socks5h`.
#[derive(Clone)]
pub struct HubOptions {
    /// A branch, a tag or a commit; `main` by default.
    pub revision: Option<String>,
    /// The cache folder, which holds one folder per repository.
    pub cache_dir: Option<PathBuf>,
    /// The access token, for private and gated repositories.
    pub token: Option<String>,
    /// The hub's address.
    pub endpoint: Option<String>,
    /// Use only the cache, not the network.
    pub local_files_only: bool,
    /// Show a progress bar for each large file, if standard error is a terminal.
    pub progress: bool,
    /// How many attempts in a row may fail without progress before a download is abandoned.
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
