//! A hub that does not answer.

use std::net::TcpListener;

use crate::sandbox::Sandbox;

#[test]
fn a_long_wait_is_explained() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("hub/models--someone--model");
    std::fs::create_dir_all(folder.join("snapshots/abc")).unwrap();
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), "abc").unwrap();

    // The system accepts the connection, but nothing reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("HF_HUB_OFFLINE", "0"),
        ("HF_ENDPOINT", &endpoint),
        ("HF_HUB_ETAG_TIMEOUT", "3.5"),
        ("no_proxy", "*"),
    ];
    sandbox.run_with(&variables, ["download", "someone/model"]).failed_with(&[
        &format!("waiting for {endpoint} to answer"),
        "no answer within 3.5 s",
        "Continuing with the files in the cache",
        "`model_index.json` is not in the cached snapshot",
    ]);
}
