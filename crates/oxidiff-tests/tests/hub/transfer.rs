//! Interrupted downloads, and answers that are not the file.

use std::fs;

use oxidiff::HubRepo;
use tempfile::TempDir;

use crate::server::{Files, Reply, Server};
use crate::{COMMIT, LARGE, REPO, folder, message, options, partial_files};

#[test]
fn a_cut_connection_is_resumed() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = files.clone().serve_large(|reply, _, before| match before {
        0 => Reply { cut: Some(150_000), ..reply },
        1 => Reply { cut: Some(100_000), ..reply },
        _ => reply,
    });
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
    let starts: Vec<_> = server.downloads().into_iter().map(|(_, from)| from).collect();
    assert_eq!(starts, [0, 150_000, 250_000]);
    assert_eq!(partial_files(&cache), 0);
}

#[test]
fn a_failed_download_is_resumed_by_a_later_call() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = files.clone().serve_large(|reply, received, _| {
        let cut = 150_000_usize.saturating_sub(received.from());
        Reply { cut: Some(cut), ..reply }
    });
    let error = message(HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE));
    assert!(error.contains(LARGE) && error.contains("was interrupted"), "{error}");
    assert_eq!(server.downloads().len(), 3, "one attempt with progress, two without");
    assert!(!folder(&cache).join("snapshots").join(COMMIT).join(LARGE).exists());
    assert_eq!(partial_files(&cache), 1);

    let server = files.clone().serve();
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
    assert_eq!(server.downloads(), [(LARGE.to_owned(), 150_000)]);
    assert_eq!(partial_files(&cache), 0);
}

#[test]
fn a_complete_partial_file_is_not_asked_for_again() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let blobs = folder(&cache).join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", files.etag(LARGE))), &files.0[LARGE]).unwrap();
    let server = files.clone().serve();
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
    assert_eq!(server.downloads(), []);
}

#[test]
fn a_whole_answer_to_a_range_is_not_appended() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let content = files.clone();
    let server = files.clone().serve_large(move |_, _, before| {
        let whole = Reply::new(200).body(&content.0[LARGE]);
        Reply { cut: (before == 0).then_some(150_000), ..whole }
    });
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
    assert_eq!(server.downloads().last().unwrap().1, 150_000);
}

#[test]
fn a_range_other_than_the_missing_one_is_not_appended() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let content = files.clone();
    let server = files.clone().serve_large(move |reply, _, before| match before {
        0 => Reply { cut: Some(150_000), ..reply },
        1 => {
            let body = &content.0[LARGE];
            let range = format!("bytes 100-{}/{}", body.len() - 1, body.len());
            Reply::new(206).with("Content-Range", range).body(&body[100..])
        }
        _ => reply,
    });
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
}

#[test]
fn bad_partial_files_are_replaced() {
    let files = Files::new();
    let size = files.0[LARGE].len();
    for (bad, starts) in
        [(vec![9; 1000], vec![1000, 0]), (vec![9; size], vec![0]), (vec![9; size + 1], vec![0])]
    {
        let cache = TempDir::new().unwrap();
        let blobs = folder(&cache).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{}.incomplete", files.etag(LARGE))), bad).unwrap();
        let server = files.clone().serve();
        let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
        assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
        assert_eq!(server.downloads().into_iter().map(|(_, from)| from).collect::<Vec<_>>(), starts);
    }
}

#[test]
fn damaged_content_is_never_accepted() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = files.clone().serve_large(|mut reply, _, _| {
        reply.body[5] ^= 1;
        reply
    });
    let error = message(HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE));
    assert!(error.contains("checksum"), "{error}");
    assert!(!folder(&cache).join("snapshots").join(COMMIT).join(LARGE).exists());
    assert!(!folder(&cache).join("blobs").join(files.etag(LARGE)).exists());
}

#[test]
fn a_short_answer_is_never_accepted() {
    // Without a length or a checksum in the answer, only the length from HEAD shows that something is missing.
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let content = files.clone();
    let server = Server::start(move |received, _| {
        if received.method == "GET" && received.path.ends_with("README.md") {
            return Reply { status: 200, body: b"# T".to_vec(), ..Reply::default() };
        }
        content.answer(received)
    });
    let repo = HubRepo::open(REPO, &options(&server, &cache)).unwrap();
    let error = message(repo.get("README.md"));
    assert!(error.contains("3 of 6 bytes"), "{error}");
    assert!(!repo.snapshot_folder().join("README.md").exists());
}

#[test]
fn two_requests_for_the_same_file_download_it_once() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = files.clone().serve();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
                assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
            });
        }
    });
    assert_eq!(server.downloads(), [(LARGE.to_owned(), 0)]);
}

#[test]
fn a_busy_hub_is_asked_again() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let content = files.clone();
    let server =
        Server::start(
            move |received, before| {
                if before == 0 { Reply::new(503).body(b"") } else { content.answer(received) }
            },
        );
    let path = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get(LARGE).unwrap();
    assert_eq!(fs::read(path).unwrap(), files.0[LARGE]);
}
