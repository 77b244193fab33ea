//! Environment variables, each test in its own process, because the environment belongs to the whole process.

use std::fs;

use oxidiff::{HubOptions, HubRepo};
use tempfile::TempDir;

use crate::server::Files;
use crate::server::{Reply, Server};
use crate::{COMMIT, REPO};

/// The test that `run_child` runs.
#[test]
#[ignore = "run by other tests, with an environment"]
fn child() {
    let options = HubOptions { max_retries: 1, ..HubOptions::default() };
    let result = HubRepo::open(REPO, &options).and_then(|repo| repo.get("README.md"));
    match result {
        Ok(path) => println!("RESULT {}", path.display()),
        Err(error) => println!("RESULT {error}"),
    }
}

/// Fetches the test's `README.md` with these environment `variables`; returns its path or the error.
pub fn run_child(variables: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["environment::child", "--exact", "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("HF_") || name.starts_with("HUGGING") || name.to_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.env_remove("XDG_CACHE_HOME").envs(variables.iter().copied());
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    output.lines().find_map(|line| Some(line.split_once("RESULT ")?.1.to_owned())).expect(&output)
}

/// Only on systems where the home folder is `HOME` and paths are joined with `/`.
#[cfg(unix)]
#[test]
fn the_environment_is_obeyed() {
    let files = Files::new();
    let server = Server::start(move |received, _| match received.header("authorization") {
        Some("Bearer hf_right") => files.answer(received),
        _ => Reply::new(401).with("X-Error-Code", "RepoNotFound").body(b""),
    });
    let home = TempDir::new().unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (home_dir, cache_dir) = (text(home.path()), text(&home.path().join("elsewhere")));
    let file = format!("models--someone--tiny-pipeline/snapshots/{COMMIT}/README.md");
    let base = [("HF_ENDPOINT", &*server.endpoint), ("HF_HOME", &*home_dir)];
    let with = |more: &[(&str, &str)]| run_child(&[&base[..], more].concat());

    let result = with(&[]);
    assert!(result.contains("set HF_TOKEN"), "{result}");
    let result = with(&[("HF_TOKEN", "hf_right"), ("HF_HUB_OFFLINE", "yes")]);
    assert!(result.contains("HF_HUB_OFFLINE is set"), "{result}");
    assert_eq!(with(&[("HF_TOKEN", "hf_right")]), format!("{home_dir}/hub/{file}"));

    // The token may be in a file, and the cache anywhere.
    let requests = server.log().len();
    fs::write(home.path().join("token"), "hf_right\n").unwrap();
    assert_eq!(with(&[("HF_HUB_CACHE", &cache_dir)]), format!("{cache_dir}/{file}"));
    assert!(server.log().len() > requests);
    fs::rename(home.path().join("token"), home.path().join("key")).unwrap();
    let key = text(&home.path().join("key"));
    let cache_dir = text(&home.path().join("third"));
    let result = with(&[("HUGGINGFACE_HUB_CACHE", &cache_dir), ("HF_TOKEN_PATH", &key)]);
    assert_eq!(result, format!("{cache_dir}/{file}"));
    let result = run_child(&[
        ("HF_ENDPOINT", &server.endpoint),
        ("XDG_CACHE_HOME", &home_dir),
        ("HF_TOKEN", "hf_right"),
    ]);
    assert_eq!(result, format!("{home_dir}/huggingface/hub/{file}"));
    let result =
        run_child(&[("HF_ENDPOINT", &server.endpoint), ("HOME", &home_dir), ("HF_TOKEN", "hf_right")]);
    assert_eq!(result, format!("{home_dir}/.cache/huggingface/hub/{file}"));

    let requests = server.log().len();
    for offline in ["1", "TRUE", "on"] {
        assert_eq!(with(&[("HF_HUB_OFFLINE", offline)]), format!("{home_dir}/hub/{file}"));
    }
    assert_eq!(server.log().len(), requests);
}
