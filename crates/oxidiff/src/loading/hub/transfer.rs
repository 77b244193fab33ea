//! HTTP with the hub, and files that survive an interrupted download.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::{environment, is_relative_path};

const USER_AGENT: &str = concat!("oxidiff/", env!("CARGO_PKG_VERSION"));
/// How long to wait for a connection, and for the next bytes on one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 10;

/// Why a request or a download did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
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
    pub(super) fn status(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| header(headers, name).unwrap_or_default().to_owned();
        Self::Status { code: status.as_u16(), reason: text("x-error-code"), message: text("x-error-message") }
    }

    fn local(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Local { path, source }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Status { code, .. } => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, UnexpectedEof,
        };

        let text = error.to_string();
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => Self::Unreachable(text),
            ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => Self::Broken(text),
            ureq::Error::Io(error) => match error.kind() {
                BrokenPipe | ConnectionAborted | ConnectionReset | Interrupted | TimedOut | UnexpectedEof => {
                    Self::Broken(text)
                }
                // A name that is not known, a refused connection, a certificate that is not trusted.
                _ => Self::Unreachable(text),
            },
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Tls(_) => {
                Self::Unreachable(text)
            }
            _ => Self::Unusable(text),
        }
    }
}

/// The hub's side of a connection: where it is and who asks.
pub(super) struct Client {
    agent: Agent,
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
}

/// Shows everything but the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The certificates to trust: built-in ones, or those that the environment names, as behind a company's proxy.
fn root_certs() -> RootCerts {
    let Some(path) = environment::text("SSL_CERT_FILE").or_else(|| environment::text("REQUESTS_CA_BUNDLE"))
    else {
        return RootCerts::WebPki;
    };
    match fs::read(&path) {
        Ok(pem) => RootCerts::from(parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })),
        Err(error) => {
            tracing::warn!("{path}: {error}; using the built-in certificates");
            RootCerts::WebPki
        }
    }
}

/// What the hub says about a file before sending it.
pub(super) struct Metadata {
    /// Names the content: its SHA-256 where the file is large, a Git hash where it is small.
    pub(super) etag: String,
    pub(super) size: Option<u64>,
}

impl Metadata {
    pub(super) fn sha256(&self) -> Option<Sha256> {
        let is_sha256 = self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sha256.then(Sha256::new)
    }
}

impl Client {
    pub(super) fn new(endpoint: &str, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .user_agent(USER_AGENT)
            // Lengths and ranges must count the bytes of the file itself.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Redirects are followed here, to decide at each one whether the token may go along.
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(root_certs()).build())
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .build();
        Self { agent: config.into(), endpoint: endpoint.trim_end_matches('/').to_owned(), token }
    }

    /// Sends a request, for a file from byte `from` on, and follows redirects.
    ///
    /// A `HEAD` request stays with the hub: it alone knows a file's commit and checksum.
    pub(super) fn send(
        &self,
        method: Method,
        url: &str,
        from: Option<u64>,
    ) -> Result<Response<Body>, Failure> {
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

    pub(super) fn metadata(&self, url: &str) -> Result<Metadata, Failure> {
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
pub(super) struct Part {
    path: PathBuf,
    file: File,
    pub(super) len: u64,
    /// The checksum of what is in the file, where the whole file's is known.
    sha256: Option<Sha256>,
}

impl Part {
    pub(super) fn open(path: PathBuf, mut sha256: Option<Sha256>) -> Result<Self, Failure> {
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

    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(Failure::local(&self.path))?;
        self.len = 0;
        self.sha256 = self.sha256.as_ref().map(|_| Sha256::new());
        Ok(())
    }

    pub(super) fn is_damaged(&self, etag: &str) -> bool {
        let actual = self.sha256.clone().map(|sha256| format!("{:x}", sha256.finalize()));
        actual.is_some_and(|actual| !actual.eq_ignore_ascii_case(etag))
    }

    pub(super) fn persist(self, blob: &Path) -> Result<(), Failure> {
        self.file.sync_all().map_err(Failure::local(&self.path))?;
        fs::rename(&self.path, blob).map_err(Failure::local(blob))
    }
}

/// Downloads what is missing of a file; afterwards its length is right.
pub(super) fn transfer(
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

pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100 << failures.min(6))
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

pub(super) fn percent_encode(path: &str) -> String {
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
