//! What to fetch from the hub, and how.

use std::fmt;
use std::path::PathBuf;

/// What to fetch and from where.
///
/// What is not set comes from the environment, with the names and the precedence of Python's `huggingface_hub`:
/// `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` say where the cache is, `HF_ENDPOINT` where
/// the hub is, `HF_TOKEN`, `HF_TOKEN_PATH` and the file `$HF_HOME/token` who asks (not with
/// `HF_HUB_DISABLE_IMPLICIT_TOKEN`), `HF_HUB_OFFLINE` forbids the network, and `HF_HUB_DISABLE_PROGRESS_BARS` does
/// what it says. `HF_HUB_ETAG_TIMEOUT` and `HF_HUB_DOWNLOAD_TIMEOUT` say for how many seconds (10 by default) a server may
/// stay silent that is asked about files, or for a file. Certificates come from `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE`.
///
/// The proxy for `https` addresses is that of `HTTPS_PROXY`, the one for `http` addresses that of `HTTP_PROXY`, or else
/// that of `ALL_PROXY`; hosts that `NO_PROXY` lists (names, with all below them, addresses, networks as in `10.0.0.0/8`, each
/// with a port or without, or `*`) have none. Each of these may have its name in lower case, which comes first. A proxy is
/// an address such as `http://user:password@host:8080`; it may also begin with `https`, `socks4`, `socks4a`, `socks5` or
/// `socks5h`.
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
