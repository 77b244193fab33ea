//! Redirects, and the headers that follow them.

use std::fs;

use oxidiff::HubRepo;
use tempfile::TempDir;

use crate::server::{Files, Reply, Server};
use crate::{COMMIT, LARGE, REPO, folder, message, options};

#[test]
fn redirects_are_followed_and_the_token_stays_with_the_hub() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let content = files.clone();
    // Another port is another server, which does not know the hub's headers and must not see the token.
    let storage = Server::start(move |received, _| {
        assert_eq!(received.path, "/store/large?signed=1");
        Reply::new(200).with("ETag", "\"of-the-storage\"").body(&content.0[LARGE])
    });
    let (content, target) = (files.clone(), format!("{}/store/large?signed=1", storage.endpoint));
    let server = Server::start(move |received, _| {
        let moved = format!("/moved/{COMMIT}/{LARGE}");
        if received.path == moved {
            return Reply::new(302)
                .with("Location", &target)
                .with("X-Repo-Commit", COMMIT)
                .with("X-Linked-Etag", format!("\"{}\"", content.etag(LARGE)))
                .with("X-Linked-Size", content.0[LARGE].len().to_string())
                .with("ETag", "\"of-the-redirect\"")
                .body(b"Found. Redirecting");
        }
        if received.path.ends_with(LARGE) {
            return Reply::new(307).with("Location", moved).body(b"");
        }
        content.answer(received)
    });
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
    assert!(folder(&cache).join("blobs").join(files.etag(LARGE)).is_file());

    assert!(server.log().iter().all(|entry| entry.header("authorization") == Some("Bearer hf_secret")));
    assert_eq!(storage.log().len(), 1);
    assert_eq!(storage.log()[0].header("authorization"), None);
}

#[test]
fn a_mirror_that_redirects_to_the_hub_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (cache, files) = (TempDir::new().unwrap(), Files::new());
        let content = files.clone();
        let storage = Server::start(move |_, _| Reply::new(200).body(&content.0[LARGE]));
        let (content, target) = (files.clone(), format!("{}/store", storage.endpoint));
        let hub = Server::start(move |received, _| {
            if received.path.ends_with(LARGE) {
                return Reply::new(302)
                    .with("Location", &target)
                    .with("X-Linked-Etag", format!("\"{}\"", content.etag(LARGE)))
                    .with("X-Linked-Size", content.0[LARGE].len().to_string())
                    .body(b"");
            }
            content.answer(received)
        });
        let target = hub.endpoint.clone();
        let mirror = Server::start(move |received, _| {
            // This is the entity tag of the redirecting page.
            let reply = Reply::new(status).with("ETag", "\"page\"");
            reply.with("Location", format!("{target}{}", received.path)).body(b"Moved")
        });

        let repo = HubRepo::open(REPO, &options(&mirror, &cache)).unwrap();
        for file in ["README.md", LARGE] {
            let path = repo.get(file).unwrap();
            assert_eq!(fs::read(path).unwrap(), files.0[file], "{status}");
            assert!(folder(&cache).join("blobs").join(files.etag(file)).is_file(), "{status}");
        }
        assert!(storage.log().iter().all(|entry| entry.method == "GET"));
        for (server, token) in [(&mirror, Some("Bearer hf_secret")), (&hub, None), (&storage, None)] {
            assert!(!server.log().is_empty());
            assert!(server.log().iter().all(|entry| entry.header("authorization") == token), "{status}");
        }
    }
}

/// A hub that answers requests for `README.md` with `answer`.
fn with_readme(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
    let files = Files::new();
    Server::start(move |received, _| {
        if received.path.contains("README.md") { answer(&received.path) } else { files.answer(received) }
    })
}

#[test]
fn redirects_that_lead_nowhere_are_named() {
    let cache = TempDir::new().unwrap();
    let error_of = |server: &Server| {
        let error = message(HubRepo::open(REPO, &options(server, &cache)).unwrap().get("README.md"));
        assert!(error.contains("`README.md`") && error.contains(&server.endpoint), "{error}");
        error
    };

    let error = error_of(&with_readme(|_| Reply::new(308).with("Location", "ftp://hub/x?key=hf_secret")));
    assert!(error.contains("`ftp://hub/x`, which is not a web address"), "{error}");
    let error = error_of(&with_readme(|_| Reply::new(307)));
    assert!(error.contains("status 307") && error.contains("without saying where"), "{error}");

    let server = with_readme(|path| Reply::new(307).with("Location", format!("{path}x")));
    let error = error_of(&server);
    assert!(error.contains("redirects more than 20 times"), "{error}");
    assert_eq!(server.log().len(), 1 + 21);
}

#[test]
fn an_answer_without_an_entity_tag_is_not_from_a_hub() {
    let cache = TempDir::new().unwrap();
    let server = with_readme(|_| Reply::new(200).body(b"# Tiny"));
    let error = message(HubRepo::open(REPO, &options(&server, &cache)).unwrap().get("README.md"));
    assert!(error.contains("entity tag") && error.contains("HF_ENDPOINT"), "{error}");
}

#[test]
fn a_hub_that_lacks_the_token_that_a_mirror_got_is_named() {
    let cache = TempDir::new().unwrap();
    let hub = Server::start(|_, _| Reply::new(401).with("X-Error-Code", "GatedRepo").body(b""));
    let target = hub.endpoint.clone();
    let mirror = with_readme(move |path| Reply::new(307).with("Location", format!("{target}{path}")));
    let error = message(HubRepo::open(REPO, &options(&mirror, &cache)).unwrap().get("README.md"));
    assert!(error.contains("so it was not sent"), "{error}");
    assert!(error.contains(&mirror.endpoint), "{error}");
    assert!(error.contains(&format!("set HF_ENDPOINT to {}", hub.endpoint)), "{error}");
}
