//! Servers that stop talking.

use std::time::{Duration, Instant};

use oxidiff::{HubOptions, HubRepo};
use tempfile::TempDir;

use crate::environment::run_child;
use crate::server::{Files, Reply, Server};
use crate::{REPO, options};

/// A hub that accepts every request but sends at most the start of an answer.
fn silent(start: &'static str) -> Server {
    Server::start(move |_, _| Reply { raw: Some(start), stalls: true, ..Reply::default() })
}

#[test]
fn a_hub_that_never_answers_is_waited_for_once_if_the_cache_can_answer() {
    let cache = TempDir::new().unwrap();
    let cached = {
        let options = HubOptions { progress: false, ..options(&Files::new().serve(), &cache) };
        HubRepo::open(REPO, &options).unwrap().get("README.md").unwrap()
    };
    for start in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"] {
        let server = silent(start);
        let started = Instant::now();
        let result = run_child(&[
            ("HF_ENDPOINT", &server.endpoint),
            ("HF_HUB_CACHE", cache.path().to_str().unwrap()),
            ("HF_HUB_ETAG_TIMEOUT", "0.3"),
        ]);
        assert_eq!(result, cached.display().to_string(), "{start}");
        assert_eq!(server.log().len(), 1, "{start}");
        assert!(started.elapsed() < Duration::from_secs(5), "{start}");
    }
}

#[test]
fn a_hub_that_never_answers_is_an_error_that_names_the_timeout_variable() {
    let cache = TempDir::new().unwrap();
    let server = silent("");
    let result = run_child(&[
        ("HF_ENDPOINT", &server.endpoint),
        ("HF_HUB_CACHE", cache.path().to_str().unwrap()),
        ("HF_HUB_ETAG_TIMEOUT", "0.3"),
    ]);
    assert!(result.contains(&format!("{} cannot be reached", server.endpoint)), "{result}");
    assert!(result.contains("no answer within 0.3 s (HF_HUB_ETAG_TIMEOUT"), "{result}");
    assert_eq!(server.log().len(), 2, "without a cache, it is asked again");
}

#[test]
fn a_file_that_stops_arriving_is_given_up_and_resumed() {
    let cache = TempDir::new().unwrap();
    let files = Files::new();
    let server = Server::start(move |received, before| {
        let stalls = received.method == "GET" && received.path.ends_with("README.md") && before < 3;
        Reply { stalls, cut: stalls.then_some(usize::from(before == 0)), ..files.answer(received) }
    });
    let variables = [
        ("HF_ENDPOINT", server.endpoint.as_str()),
        ("HF_HUB_CACHE", cache.path().to_str().unwrap()),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0.3"),
    ];
    let result = run_child(&variables);
    assert!(result.contains("nothing more arrived within 0.3 s (HF_HUB_DOWNLOAD_TIMEOUT"), "{result}");
    let result = run_child(&variables);
    assert_eq!(std::fs::read(result).unwrap(), b"# Tiny");
    assert_eq!(server.downloads().last().unwrap().1, 1);
}

#[test]
fn an_invalid_timeout_is_an_error() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    for variable in ["HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"] {
        let result = run_child(&[
            ("HF_ENDPOINT", &server.endpoint),
            ("HF_HUB_CACHE", cache.path().to_str().unwrap()),
            (variable, "soon"),
        ]);
        assert!(result.contains(variable) && result.contains("`soon`"), "{result}");
    }
    assert!(server.log().is_empty());
}
