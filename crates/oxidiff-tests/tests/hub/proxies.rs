//! Access to the hub through proxies.

use oxidiff::{HubOptions, HubRepo};
use tempfile::TempDir;

use crate::environment::run_child;
use crate::server::{Files, Reply, Server};
use crate::{REPO, closed_address, options};

/// A name that cannot be resolved: only a proxy can reach it.
const HUB: &str = "http://hub.invalid";

/// Fetches a file into an empty cache; returns its path or the error.
fn fetch(endpoint: &str, variables: &[(&str, &str)]) -> String {
    let cache = TempDir::new().unwrap();
    let base = [("HF_ENDPOINT", endpoint), ("HF_HUB_CACHE", cache.path().to_str().unwrap())];
    run_child(&[&base[..], variables].concat())
}

/// A proxy that forwards to a hub.
fn proxy_to_hub() -> Server {
    let files = Files::new();
    Server::start(move |received, _| {
        let Some(path) = received.path.strip_prefix(HUB) else { return Reply::new(400).body(b"") };
        let mut received = received.clone();
        received.path = path.to_owned();
        files.answer(&received)
    })
}

#[test]
fn plain_requests_are_forwarded_by_absolute_address() {
    let proxy = proxy_to_hub();
    let address = proxy.endpoint.replace("http://", "");
    for variables in [
        [("HTTP_PROXY", format!("http://us%40er:pass@{address}"))],
        [("http_proxy", format!("us%40er:pass@{address}"))],
        [("ALL_PROXY", format!("http://us%40er:pass@{address}/"))],
    ] {
        let requests = proxy.log().len();
        let result = fetch(HUB, &variables.each_ref().map(|(name, value)| (*name, value.as_str())));
        assert!(result.ends_with("README.md"), "{variables:?}: {result}");
        let log = &proxy.log()[requests..];
        let methods: Vec<_> = log.iter().map(|entry| entry.method.as_str()).collect();
        assert_eq!(methods, ["GET", "HEAD", "GET"]);
        for entry in log {
            assert_eq!(entry.header("host"), Some("hub.invalid"));
            // us@er:pass
            assert_eq!(entry.header("proxy-authorization"), Some("Basic dXNAZXI6cGFzcw=="));
        }
    }
}

#[test]
fn encrypted_requests_get_a_tunnel() {
    for (status, words) in [(502, "502"), (407, "requires other credentials")] {
        let proxy = Server::start(move |_, _| Reply::new(status).body(b""));
        let address = proxy.endpoint.replace("http://", "user:secret@");
        let plain = format!("http://{}", closed_address());
        let result = fetch("https://hub.invalid", &[("HTTPS_PROXY", &address), ("HTTP_PROXY", &plain)]);
        assert!(result.contains("https://hub.invalid cannot be reached"), "{result}");
        assert!(result.contains("HTTPS_PROXY") && result.contains(&proxy.endpoint), "{result}");
        assert!(result.contains(words) && !result.contains("secret"), "{result}");
        let log = proxy.log();
        assert_eq!((log[0].method.as_str(), log[0].path.as_str()), ("CONNECT", "hub.invalid:443"));
        assert_eq!(log[0].header("proxy-authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    }
}

#[test]
fn a_proxy_applies_to_its_scheme_except_for_exclusions() {
    let server = Files::new().serve();
    let closed = format!("http://{}", closed_address());
    for variables in [
        &[("HTTPS_PROXY", closed.as_str())][..],
        &[("HTTP_PROXY", &closed), ("NO_PROXY", "example.com, 127.0.0.0/8")],
        &[("HTTP_PROXY", &closed), ("http_proxy", "")],
    ] {
        let result = fetch(&server.endpoint, variables);
        assert!(result.ends_with("README.md"), "{variables:?}: {result}");
    }
}

#[test]
fn a_proxy_that_is_down_is_named_without_its_password() {
    let server = Files::new().serve();
    let closed = closed_address();
    for (variable, kind, endpoint) in [
        ("HTTP_PROXY", "http", server.endpoint.as_str()),
        ("https_proxy", "http", "https://hub.invalid"),
        ("ALL_PROXY", "socks5h", "https://hub.invalid"),
        ("all_proxy", "socks5", &server.endpoint),
    ] {
        let result = fetch(endpoint, &[(variable, &format!("{kind}://user:secret@{closed}"))]);
        let words = format!("the proxy {kind}://{closed} (from {variable}) cannot be reached");
        assert!(result.contains(&words) && !result.contains("secret"), "{result}");
    }
    assert!(server.log().is_empty());
}

#[test]
fn a_proxy_of_an_unknown_kind_is_an_error_even_if_the_cache_could_answer() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    let hub = HubOptions { progress: false, ..options(&server, &cache) };
    HubRepo::open(REPO, &hub).unwrap().get("README.md").unwrap();
    let result = run_child(&[
        ("HF_ENDPOINT", &server.endpoint),
        ("HF_HUB_CACHE", cache.path().to_str().unwrap()),
        ("HTTP_PROXY", "ftp://user:secret@proxy:21"),
    ]);
    assert!(result.contains("HTTP_PROXY") && result.contains("`ftp`"), "{result}");
    assert!(!result.contains("secret"), "{result}");
}

#[test]
fn a_forwarding_proxy_that_requires_credentials_is_named() {
    let proxy = Server::start(|_, _| Reply::new(407).body(b""));
    let result = fetch(HUB, &[("http_proxy", &proxy.endpoint)]);
    assert!(result.contains(&proxy.endpoint) && result.contains("http_proxy"), "{result}");
    assert!(result.contains("credentials (407)"), "{result}");
}
