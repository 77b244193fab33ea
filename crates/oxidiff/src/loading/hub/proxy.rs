//! Which proxy a request goes through, according to the environment.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{HeaderValue, Uri};
use ureq::{Error, Proxy, ProxyProtocol};

use super::failure::Failure;
use super::no_proxy::NoProxy;
use super::redirect::{names_server, origin, web_address};

/// The kinds of proxies, with which an address may begin.
const KINDS: [&str; 7] = ["http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h"];

/// The proxies of plain and of encrypted requests.
#[derive(Debug)]
pub(super) struct Proxies {
    http: Option<Result<NamedProxy, String>>,
    https: Option<Result<NamedProxy, String>>,
    except: NoProxy,
}

/// A proxy, and the environment variable that names it.
pub(super) struct NamedProxy {
    variable: &'static str,
    proxy: Proxy,
}

/// Shows everything but the credentials.
impl std::fmt::Debug for NamedProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedProxy").field("variable", &self.variable).finish_non_exhaustive()
    }
}

impl Proxies {
    /// Reads the variables that curl and Python's requests read, with `value_of`.
    ///
    /// The lower-case name takes precedence, even if it is empty, which disables the proxy for one command.
    pub(super) fn new(value_of: impl Fn(&str) -> Option<String>) -> Self {
        let first_of = |names: [&'static str; 2]| {
            let (name, value) = names.into_iter().find_map(|name| Some((name, value_of(name)?)))?;
            let value = value.trim();
            (!value.is_empty()).then(|| NamedProxy::new(name, value))
        };
        let of_all = || first_of(["all_proxy", "ALL_PROXY"]);
        let except = value_of("no_proxy").or_else(|| value_of("NO_PROXY"));
        Self {
            http: first_of(["http_proxy", "HTTP_PROXY"]).or_else(of_all),
            https: first_of(["https_proxy", "HTTPS_PROXY"]).or_else(of_all),
            except: NoProxy::new(&except.unwrap_or_default()),
        }
    }

    /// The proxy for requests to `uri`, if any.
    pub(super) fn of(&self, uri: &Uri) -> Result<Option<&NamedProxy>, Failure> {
        if self.except.contains(uri) {
            return Ok(None);
        }
        let proxy = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        proxy.as_ref().map(Result::as_ref).transpose().map_err(|error| Failure::Unusable(error.clone()))
    }
}

impl NamedProxy {
    /// The error does not quote the address, as it may hold a password.
    fn new(variable: &'static str, address: &str) -> Result<Self, String> {
        let kind = address.split_once("://").map_or("http", |(kind, _)| kind).to_ascii_lowercase();
        if !KINDS.contains(&kind.as_str()) {
            return Err(format!(
                "{variable} names a proxy of the kind `{kind}`, which is not supported; supported kinds: {}",
                KINDS.join(", ")
            ));
        }
        // `ureq` does not accept `host:port/`.
        let address = address.split_once("://").map_or(address, |(_, rest)| rest);
        let proxy = Proxy::new(&format!("{kind}://{address}")).ok();
        let proxy = proxy.filter(|proxy| names_server(proxy.uri())).ok_or_else(|| {
            format!(
                "{variable} does not hold the address of a proxy, such as http://host:8080 or \
                 http://user:password@host:8080 (with %40 for an @ in the password)"
            )
        })?;
        Ok(Self { variable, proxy })
    }

    pub(super) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The address for a plain HTTP request to `uri` that the proxy forwards; none if the proxy needs a tunnel.
    ///
    /// Its path is in the form that [`super::absolute_form`] expects.
    pub(super) fn forwarding_address(&self, uri: &Uri) -> Option<Uri> {
        let is_http = matches!(self.proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        if !is_http || uri.scheme_str() != Some("http") {
            return None;
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        web_address(&format!("{}/{}{target}", self.address(), origin(uri)))
    }

    /// The credentials that a forwarded request carries for the proxy.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = (self.proxy.username(), self.proxy.password());
        if user.is_none() && password.is_none() {
            return None;
        }
        let credentials = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
        let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The address without credentials.
    fn address(&self) -> String {
        let kind = self.proxy.uri().scheme_str().unwrap_or("http");
        format!("{kind}://{}:{}", self.proxy.host(), self.proxy.port())
    }

    /// Says which proxy failed, and why.
    pub(super) fn blame(&self, error: &Error, why: &str) -> String {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};

        // The only connection is the one to the proxy.
        let is_down = match error {
            Error::HostNotFound | Error::ConnectionFailed | Error::Timeout(ureq::Timeout::Connect) => true,
            Error::Io(error) => {
                let is_lookup = !self.proxy.resolve_target() && why.contains("lookup");
                is_lookup || matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
            }
            _ => false,
        };
        let what = if is_down { "cannot be reached" } else { "failed" };
        format!("the proxy {} (from {}) {what}: {why}", self.address(), self.variable)
    }

    /// The message for users whom the proxy rejects.
    pub(super) fn wants_credentials(&self) -> String {
        format!(
            "the proxy {} (from {}) requires other credentials (407): set them in the variable, as in \
             http://user:password@host:8080",
            self.address(),
            self.variable
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::new(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// The variable and the address of the proxy for a request to `url`.
    fn route(variables: &[(&str, &str)], url: &str) -> Option<(&'static str, String)> {
        let proxies = proxies(variables);
        let proxy = proxies.of(&url.parse().unwrap()).unwrap()?;
        Some((proxy.variable, proxy.address()))
    }

    #[test]
    fn each_scheme_has_a_variable_of_its_own() {
        let plain = ("HTTP_PROXY", "http://plain:1");
        let encrypted = ("HTTPS_PROXY", "http://encrypted:2");
        let all = ("ALL_PROXY", "socks5h://all");
        let expected = |name, address: &str| Some((name, address.to_owned()));

        assert_eq!(route(&[plain], "https://hub"), None);
        assert_eq!(route(&[encrypted], "http://hub"), None);
        assert_eq!(route(&[plain, encrypted, all], "http://hub"), expected("HTTP_PROXY", "http://plain:1"));
        assert_eq!(
            route(&[plain, encrypted, all], "https://hub"),
            expected("HTTPS_PROXY", "http://encrypted:2")
        );
        for url in ["http://hub", "https://hub"] {
            assert_eq!(route(&[all], url), expected("ALL_PROXY", "socks5h://all:1080"));
            assert_eq!(route(&[all, ("NO_PROXY", "hub")], url), None);
            assert_eq!(
                route(&[all, ("NO_PROXY", "hub"), ("no_proxy", "other")], url),
                expected("ALL_PROXY", "socks5h://all:1080")
            );
        }
    }

    #[test]
    fn lower_case_comes_first_even_if_empty() {
        let variables = [("HTTPS_PROXY", "http://upper"), ("https_proxy", "lower:3128/")];
        assert_eq!(route(&variables, "https://hub"), Some(("https_proxy", "http://lower:3128".to_owned())));
        assert_eq!(route(&[variables[0], ("https_proxy", "")], "https://hub"), None);
    }

    #[test]
    fn an_invalid_proxy_is_an_error_without_its_password() {
        for address in [
            "ftp://user:secret@proxy",
            "quic://user:secret@proxy:1",
            "http://",
            "http://user:secret@",
            "a b",
            "http://user:secret@proxy:99999",
            "http://user:secret@proxy:port",
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", address)]);
            let error = proxies.of(&"https://hub".parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{address}: {error}");
            assert!(proxies.of(&"http://hub".parse().unwrap()).unwrap().is_none());
            assert!(!format!("{proxies:?}").contains("secret"));
        }
        let proxies = proxies(&[("ALL_PROXY", "ftp://proxy")]);
        let error = proxies.of(&"http://hub".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("`ftp`") && error.contains("socks5h"), "{error}");
    }

    #[test]
    fn http_proxies_forward_plain_requests() {
        for (proxy, url, expected) in [
            ("http://p:1", "http://hub:8080/a?b=c", Some("http://p:1/http://hub:8080/a?b=c")),
            ("https://p", "http://u:v@hub/a", Some("https://p:443/http://hub/a")),
            ("http://u:v@[::1]:1", "http://hub", Some("http://[::1]:1/http://hub/")),
            ("http://p:1", "https://hub/a", None),
            ("socks5://p", "http://hub/a", None),
        ] {
            let proxies = proxies(&[("ALL_PROXY", proxy)]);
            let url = url.parse().unwrap();
            let address = proxies.of(&url).unwrap().unwrap().forwarding_address(&url);
            assert_eq!(address.map(|address| address.to_string()).as_deref(), expected);
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let proxies = proxies(&[("http_proxy", "http://us%40er:p%3Aw@proxy")]);
        let proxy = proxies.of(&"http://hub".parse().unwrap()).unwrap().unwrap();
        let expected = format!("Basic {}", BASE64_STANDARD.encode("us@er:p:w"));
        assert_eq!(proxy.authorization().unwrap(), expected.as_str());
    }
}
