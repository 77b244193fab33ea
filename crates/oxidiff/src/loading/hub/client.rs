//! Requests to the hub.

use std::fmt;
use std::fs;

use sha2::{Digest, Sha256};
use ureq::http::{Method, Request, Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body};

use super::absolute_form::AbsoluteForm;
use super::environment;
use super::failure::Failure;
use super::names::is_relative_path;
use super::progress::Progress;
use super::proxy::{NamedProxy, Proxies};
use super::redirect::{
    MAX_REDIRECTS, describes_file, header, is_same_origin, is_trusted, next_address, origin, web_address,
    without_query,
};
use super::timeouts::Timeout;

const USER_AGENT: &str = concat!("oxidiff/", env!("CARGO_PKG_VERSION"));
/// The longest accepted list of a repository's files.
const MAX_LIST_BYTES: u64 = 256 << 20;

/// A connection to the hub: its address, and the access token.
pub(super) struct Client {
    agent: Agent,
    /// For requests that an HTTP proxy forwards.
    forwarder: Agent,
    proxies: Proxies,
    /// For metadata of files, and for the files themselves.
    etag_timeout: Timeout,
    download_timeout: Timeout,
    progress: Progress,
    endpoint_uri: Uri,
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
}

/// Shows everything but the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The certificates to trust: the built-in ones, or those that the environment names, as for a company's proxy.
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

/// What the hub says about a file before it is downloaded.
pub(super) struct Metadata {
    /// Identifies the content: its SHA-256 if the file is large, a Git hash if it is small.
    pub(super) etag: String,
    pub(super) size: Option<u64>,
}

impl Metadata {
    pub(super) fn sha256(&self) -> Option<Sha256> {
        let is_sha256 = self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sha256.then(Sha256::new)
    }
}

/// A response, and its sender.
pub(super) struct Answer {
    uri: Uri,
    token_sent: bool,
    pub(super) response: Response<Body>,
}

impl Answer {
    /// The failure that this response stands for.
    pub(super) fn failure(&self) -> Failure {
        Failure::status(&self.uri, self.response.status(), self.response.headers(), self.token_sent)
    }
}

impl Client {
    /// Reads from the environment how to reach the hub at `endpoint`.
    pub(super) fn new(endpoint: &str, token: Option<String>, progress: Progress) -> Result<Self, Failure> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let endpoint_uri = web_address(&endpoint).ok_or_else(|| {
            Failure::Unusable(format!(
                "the hub's address (HF_ENDPOINT) is `{endpoint}`, which is not a web address"
            ))
        })?;
        let proxies = Proxies::new(environment::variable);
        // An unusable proxy is detected now; otherwise the hub would seem unreachable.
        proxies.of(&endpoint_uri)?;
        let timeout = |variable| {
            Timeout::new(variable, environment::variable(variable).as_deref()).map_err(Failure::Unusable)
        };

        let config = Agent::config_builder()
            .user_agent(USER_AGENT)
            // Lengths and ranges must count the bytes of the file itself.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Redirects are followed here, to decide each time whether to send the token.
            .max_redirects(0)
            // Proxies are chosen here, by the scheme of each address.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(root_certs()).build())
            .build();
        let connector = DefaultConnector::default().chain(AbsoluteForm);
        Ok(Self {
            forwarder: Agent::with_parts(config.clone(), connector, DefaultResolver::default()),
            agent: config.into(),
            proxies,
            etag_timeout: timeout("HF_HUB_ETAG_TIMEOUT")?,
            download_timeout: timeout("HF_HUB_DOWNLOAD_TIMEOUT")?,
            progress,
            endpoint_uri,
            endpoint,
            token,
        })
    }

    /// The list of a repository's files.
    pub(super) fn list(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let mut answer = self.send(Method::GET, url, None, self.etag_timeout)?;
        if answer.response.status() != StatusCode::OK {
            return Err(answer.failure());
        }
        let body = answer.response.body_mut().with_config().limit(MAX_LIST_BYTES);
        self.progress
            .waiting(&format!("{} to send the list of files", origin(&answer.uri)), || body.read_to_vec())
            .map_err(|error| failure_of(error, None, self.etag_timeout))
    }

    /// The metadata of a file, from the hub or the server that it redirects to.
    pub(super) fn metadata(&self, url: &str) -> Result<Metadata, Failure> {
        let answer = self.send(Method::HEAD, url, None, self.etag_timeout)?;
        let (status, headers) = (answer.response.status(), answer.response.headers());
        if !status.is_success() && !status.is_redirection() {
            return Err(answer.failure());
        }
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag")).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        if etag.is_empty() {
            return Err(Failure::Unusable(format!(
                "{} sends no entity tag to identify the content of the file: it is not a hub, or something in between \
                 (HF_ENDPOINT or a proxy) removes the tag",
                without_query(&answer.uri)
            )));
        }
        // The tag becomes a file name.
        if etag.contains(['/', '\\']) || !is_relative_path(etag) {
            return Err(Failure::Unusable(format!(
                "{url} has the entity tag `{etag}`, which cannot name a file"
            )));
        }
        // The length in a redirect is that of its own body.
        let length = header(headers, "content-length").filter(|_| status.is_success());
        let size = header(headers, "x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Metadata { etag: etag.to_owned(), size })
    }

    /// The content of a file, from byte `from` on.
    pub(super) fn content(&self, url: &str, from: Option<u64>) -> Result<Answer, Failure> {
        self.send(Method::GET, url, from, self.download_timeout)
    }

    /// Why reading the content of a file failed.
    pub(super) fn broken_content(&self, error: std::io::Error) -> Failure {
        match ureq::Error::from(error) {
            ureq::Error::Timeout(_) => {
                Failure::Silent(format!("nothing more arrived within {}", self.download_timeout))
            }
            error => Failure::Broken(text_of(&error)),
        }
    }

    /// Sends a request and follows redirects.
    ///
    /// A `HEAD` request leaves the hub only if that is needed to learn a file's checksum: the hub sends it with the redirect
    /// to its storage, which does not know it, while a mirror without the file just redirects to a server that has it.
    fn send(
        &self,
        method: Method,
        url: &str,
        from: Option<u64>,
        timeout: Timeout,
    ) -> Result<Answer, Failure> {
        let mut uri =
            web_address(url).ok_or_else(|| Failure::Unusable(format!("`{url}` is not a web address")))?;
        for _ in 0..=MAX_REDIRECTS {
            let token = self.token.as_ref().filter(|_| is_trusted(&uri, &self.endpoint_uri));
            let mut request = Request::builder().method(&method).uri(&uri);
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if let Some(from) = from {
                request = request.header("range", format!("bytes={from}-"));
            }
            // The reason is not shown, as it may quote the token.
            let request = request.body(()).map_err(|_| {
                Failure::Unusable("the access token has characters that cannot be sent".to_owned())
            })?;
            let what = format!("{} to answer", origin(&uri));
            let response = self.progress.waiting(&what, || self.run(request, timeout))?;
            let answer = Answer { token_sent: token.is_some(), uri: uri.clone(), response };

            let headers = answer.response.headers();
            let Some(next) = next_address(&uri, answer.response.status(), headers)? else {
                return Ok(answer);
            };
            if method == Method::HEAD && !is_same_origin(&next, &uri) && describes_file(headers) {
                return Ok(answer);
            }
            uri = next;
        }
        Err(Failure::Unusable(format!("{url} redirects more than {MAX_REDIRECTS} times")))
    }

    /// Sends one request, through the proxy of its address if there is one.
    fn run(&self, mut request: Request<()>, timeout: Timeout) -> Result<Response<Body>, Failure> {
        let proxy = self.proxies.of(request.uri())?;
        let forwarding = proxy.and_then(|proxy| Some((proxy, proxy.forwarding_address(request.uri())?)));
        let agent = if forwarding.is_some() { &self.forwarder } else { &self.agent };
        if let Some((proxy, address)) = &forwarding {
            let host = request.uri().authority().map_or("", |authority| authority.as_str());
            let host = host.rsplit('@').next().unwrap_or_default().to_owned();
            let headers = request.headers_mut();
            headers.extend(host.try_into().ok().map(|host| (ureq::http::header::HOST, host)));
            let authorization = proxy.authorization();
            headers.extend(authorization.map(|value| (ureq::http::header::PROXY_AUTHORIZATION, value)));
            *request.uri_mut() = address.clone();
        }
        let tunnel = proxy.filter(|_| forwarding.is_none()).map(|proxy| proxy.proxy().clone());
        let length = Some(timeout.length);
        let request = agent
            .configure_request(request)
            .proxy(tunnel)
            .timeout_resolve(length)
            .timeout_connect(length)
            .timeout_send_request(length)
            .timeout_recv_response(length)
            .timeout_per_read(length)
            .build();
        let response = agent.run(request).map_err(|error| failure_of(error, proxy, timeout))?;
        match proxy {
            Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(Failure::Unreachable(proxy.wants_credentials()))
            }
            _ => Ok(response),
        }
    }
}

/// The meaning of an error of the HTTP library for a request, which went through `proxy`, if any.
fn failure_of(error: ureq::Error, proxy: Option<&NamedProxy>, timeout: Timeout) -> Failure {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, UnexpectedEof,
    };

    let why = match &error {
        ureq::Error::Timeout(ureq::Timeout::Resolve) => format!("its name was not resolved within {timeout}"),
        ureq::Error::Timeout(ureq::Timeout::Connect) => format!("no connection within {timeout}"),
        ureq::Error::Timeout(_) => format!("no answer within {timeout}"),
        error => text_of(error),
    };
    let kind = match &error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => Failure::Unreachable,
        ureq::Error::Timeout(_) => Failure::Silent,
        ureq::Error::Protocol(_) => Failure::Broken,
        ureq::Error::Io(error) => match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | Interrupted | TimedOut | UnexpectedEof => {
                Failure::Broken
            }
            // An unknown name, a refused connection, an untrusted certificate.
            _ => Failure::Unreachable,
        },
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Tls(_) => {
            Failure::Unreachable
        }
        ureq::Error::ConnectProxyFailed(_) => Failure::Unreachable,
        _ => Failure::Unusable,
    };
    match (proxy, &error) {
        (None, _) => kind(why),
        (Some(proxy), ureq::Error::ConnectProxyFailed(reason)) if reason.contains("407") => {
            kind(proxy.wants_credentials())
        }
        (Some(proxy), error) => kind(proxy.blame(error, &why)),
    }
}

/// The message of an error, without its kind.
fn text_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::ConnectProxyFailed(reason) => reason.clone(),
        error => error.to_string(),
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
