//! Downloads from a hub that the test serves itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oxidiff::{
    AutoencoderKL, DiffusionPipeline, Error, HubOptions, HubRepo, LoadOptions, Model, PNDMScheduler,
    Scheduler, SingleFileOptions, TextToImage, UNet2DConditionModel,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPO: &str = "someone/tiny-pipeline";
const LARGE: &str = "unet/diffusion_pytorch_model.safetensors";

#[derive(Clone, Debug)]
struct Received {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that a `Range` header asks for.
    fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().unwrap())
    }
}

#[derive(Debug, Default)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// After how many bytes of the body the connection ends.
    cut: Option<usize>,
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = body.len().to_string();
        self.with("Content-Length", length)
    }
}

struct Server {
    endpoint: String,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers every request by `answer`, which is also told how many requests of the same kind came before.
    fn start(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::<Received>::new()));
        let entries = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(received) = receive(&stream) else { continue };
                let before = {
                    let mut entries = entries.lock().unwrap();
                    let same = |entry: &&Received| {
                        (&entry.method, &entry.path) == (&received.method, &received.path)
                    };
                    let before = entries.iter().filter(same).count();
                    entries.push(received.clone());
                    before
                };
                let reply = answer(&received, before);
                let _ = send(&mut stream, &received, &reply);
            }
        });
        Self { endpoint, log }
    }

    fn log(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    /// The files whose contents were asked for, with the first byte asked for.
    fn downloads(&self) -> Vec<(String, usize)> {
        let prefix = format!("/{REPO}/resolve/{COMMIT}/");
        self.log()
            .iter()
            .filter(|entry| entry.method == "GET")
            .filter_map(|entry| Some((entry.path.strip_prefix(&prefix)?.to_owned(), entry.from())))
            .collect()
    }
}

fn receive(stream: &TcpStream) -> Option<Received> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    Some(Received { method, path, headers })
}

fn send(stream: &mut TcpStream, received: &Received, reply: &Reply) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {} Reason\r\nConnection: close\r\n", reply.status)?;
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "\r\n")?;
    if received.method != "HEAD" {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])?;
    }
    stream.flush()
}

/// A repository's files, as the hub serves them.
#[derive(Clone)]
struct Files(BTreeMap<&'static str, Vec<u8>>);

impl Files {
    fn new() -> Self {
        let index = r#"{"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"]}"#;
        Self(BTreeMap::from([
            ("README.md", b"# Tiny".to_vec()),
            ("model_index.json", index.as_bytes().to_vec()),
            ("scheduler/scheduler_config.json", b"{}".to_vec()),
            ("unet/config.json", b"{\"sample_size\": 8}".to_vec()),
            ("unet/diffusion_pytorch_model.bin", vec![1; 50]),
            (LARGE, (0..400_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect()),
            ("tiny.ckpt", vec![2; 50]),
            ("empty.txt", vec![]),
        ]))
    }

    /// The files of a folder.
    fn of_folder(folder: &Path) -> Self {
        fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<&'static str, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(root, &path, files);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                    files.insert(name.leak(), fs::read(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        collect(folder, folder, &mut files);
        Self(files)
    }

    fn etag(&self, name: &str) -> String {
        let digest = format!("{:x}", Sha256::digest(&self.0[name]));
        if name == LARGE { digest } else { digest[..40].to_owned() }
    }

    /// What a well-behaved hub answers.
    fn answer(&self, received: &Received) -> Reply {
        let path = &received.path;
        if let Some(revision) = path.strip_prefix(&format!("/api/models/{REPO}/revision/")) {
            if !["main", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
                return Reply::new(404).with("X-Error-Code", "RevisionNotFound").body(b"");
            }
            let siblings: Vec<_> = self.0.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
            let info = serde_json::json!({"id": REPO, "sha": COMMIT, "siblings": siblings});
            return Reply::new(200).body(info.to_string().as_bytes());
        }
        let Some(name) = path.strip_prefix(&format!("/{REPO}/resolve/{COMMIT}/")) else {
            return Reply::new(404).with("X-Error-Code", "RepoNotFound").body(b"");
        };
        let Some(body) = self.0.get(name) else {
            return Reply::new(404).with("X-Error-Code", "EntryNotFound").body(b"");
        };
        let from = received.from();
        let reply = if received.header("range").is_some() {
            let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
            Reply::new(206).with("Content-Range", range)
        } else {
            Reply::new(200)
        };
        reply
            .with("ETag", format!("\"{}\"", self.etag(name)))
            .with("X-Repo-Commit", COMMIT)
            .body(&body[from..])
    }

    fn serve(self) -> Server {
        Server::start(move |received, _| self.answer(received))
    }

    /// A hub that treats the contents of the large file as `change` says.
    fn serve_large(
        self,
        change: impl Fn(Reply, &Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::start(move |received, before| {
            let reply = self.answer(received);
            let is_large = received.method == "GET" && received.path.ends_with(LARGE);
            if is_large { change(reply, received, before) } else { reply }
        })
    }
}

fn options(server: &Server, cache: &TempDir) -> HubOptions {
    HubOptions {
        endpoint: Some(server.endpoint.clone()),
        cache_dir: Some(cache.path().to_owned()),
        token: Some("hf_secret".to_owned()),
        max_retries: 1,
        ..HubOptions::default()
    }
}

fn message(result: oxidiff::Result<impl std::fmt::Debug>) -> String {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Hub { .. }), "{error:?}");
    assert!(!format!("{error:?}{text}").contains("hf_secret"));
    text
}

/// The folder of the test's repository in a cache.
fn folder(cache: &TempDir) -> PathBuf {
    cache.path().join("models--someone--tiny-pipeline")
}

fn partial_files(cache: &TempDir) -> usize {
    let blobs = fs::read_dir(folder(cache).join("blobs")).unwrap();
    blobs.filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count()
}

#[test]
fn only_what_a_pipeline_needs_is_fetched_and_only_once() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = files.clone().serve();
    let snapshot = HubRepo::open(REPO, &options(&server, &cache)).unwrap().get_pipeline(None).unwrap();

    let expected = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", LARGE];
    let mut fetched: Vec<_> = server.downloads().into_iter().map(|(file, _)| file).collect();
    fetched.sort();
    assert_eq!(fetched, expected);
    assert_eq!(snapshot, folder(&cache).join("snapshots").join(COMMIT));
    for file in expected {
        assert_eq!(fs::read(snapshot.join(file)).unwrap(), files.0[file], "{file}");
    }

    // As Python lays it out.
    assert_eq!(fs::read_to_string(folder(&cache).join("refs/main")).unwrap(), COMMIT);
    #[cfg(unix)]
    {
        let link = fs::read_link(snapshot.join(LARGE)).unwrap();
        assert_eq!(link, Path::new("../../../blobs").join(files.etag(LARGE)));
        let link = fs::read_link(snapshot.join("model_index.json")).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(files.etag("model_index.json")));
    }
    assert_eq!(partial_files(&cache), 0);

    let requests = server.log().len();
    HubRepo::open(REPO, &options(&server, &cache)).unwrap().get_pipeline(None).unwrap();
    assert_eq!(server.log().len(), requests + 1, "only the list of files is asked for again");
}

#[test]
fn a_pipeline_and_its_parts_load_by_name() {
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pipelines/sd1");
    let server = Files::of_folder(&checkpoint).serve();
    let cache = TempDir::new().unwrap();
    let hub = HubOptions { progress: false, ..options(&server, &cache) };
    let load = |subfolder: Option<&str>| LoadOptions {
        hub: hub.clone(),
        subfolder: subfolder.map(str::to_owned),
        ..LoadOptions::default()
    };
    let fetched = || {
        let mut files: Vec<_> = server.downloads().into_iter().map(|(file, _)| file).collect();
        files.sort();
        files
    };

    let unet = UNet2DConditionModel::from_pretrained_with(REPO, &load(Some("unet"))).unwrap();
    assert_eq!(unet.config().in_channels, 4);
    assert_eq!(fetched(), ["unet/config.json", LARGE]);
    let scheduler = PNDMScheduler::from_pretrained_with(REPO, &load(Some("scheduler"))).unwrap();
    assert_eq!(scheduler.config().get("steps_offset").unwrap(), 1);

    let mut pipeline = DiffusionPipeline::from_pretrained_with(REPO, &load(None)).unwrap();
    pipeline.set_progress_bar(false);
    let expected = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        LARGE,
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];
    assert_eq!(fetched(), expected, "each once, and none of the rest");
    let arguments = TextToImage { num_inference_steps: 1, ..TextToImage::new("a red apple") };
    let images = pipeline.call(arguments).unwrap().images.into_images();
    assert_eq!(images.len(), 1);

    // What is there needs no network.
    let offline = LoadOptions {
        hub: HubOptions {
            local_files_only: true,
            endpoint: Some("http://127.0.0.1:9".into()),
            ..hub.clone()
        },
        ..LoadOptions::default()
    };
    assert!(DiffusionPipeline::from_pretrained_with(REPO, &offline).is_ok());
    assert_eq!(oxidiff::download(REPO, &offline).unwrap(), folder(&cache).join("snapshots").join(COMMIT));
}

#[test]
fn a_variant_that_is_not_there_is_an_error_before_anything_large_is_fetched() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    let error =
        HubRepo::open(REPO, &options(&server, &cache)).unwrap().get_pipeline(Some("fp16")).unwrap_err();
    assert!(error.to_string().contains("variant `fp16`"), "{error}");
    assert_eq!(server.downloads(), [("model_index.json".to_owned(), 0)]);
}

#[test]
fn empty_files_and_the_list_of_files() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = files.clone().serve();
    let repo = HubRepo::open(REPO, &options(&server, &cache)).unwrap();
    assert_eq!(fs::read(repo.get("empty.txt").unwrap()).unwrap(), b"");
    assert_eq!(repo.list_files().unwrap(), files.0.keys().copied().collect::<Vec<_>>());
}

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
    assert!(error.contains(LARGE) && error.contains("broke off"), "{error}");
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
fn another_range_than_the_missing_one_is_not_appended() {
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
fn damaged_content_is_never_taken_for_the_file() {
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
fn a_short_answer_is_never_taken_for_the_file() {
    // Neither a length in the answer nor a checksum: only the length that HEAD gave tells that something is missing.
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
fn two_that_want_the_same_file_download_it_once() {
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

#[test]
fn a_closed_repository_wants_a_token() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = Server::start(move |received, _| match received.header("authorization") {
        Some("Bearer hf_right") => files.answer(received),
        Some(_) => Reply::new(403).with("X-Error-Code", "GatedRepo").body(b""),
        None => Reply::new(401).with("X-Error-Code", "RepoNotFound").body(b""),
    });
    let wrong = options(&server, &cache);
    let error = message(HubRepo::open(REPO, &wrong));
    assert!(error.contains("private or gated") && error.contains("token that was sent"), "{error}");
    let right = HubOptions { token: Some("hf_right".to_owned()), ..wrong };
    HubRepo::open(REPO, &right).unwrap().get("README.md").unwrap();
    assert!(!format!("{right:?}").contains("hf_right"));
}

#[test]
fn what_does_not_exist_is_named() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    let options = options(&server, &cache);
    let error = message(HubRepo::open("someone/nothing", &options));
    assert!(error.contains("someone/nothing") && error.contains("does not exist"), "{error}");
    let error = message(HubRepo::open(REPO, &HubOptions { revision: Some("v9".into()), ..options.clone() }));
    assert!(error.contains("no revision `v9`"), "{error}");
    let error = message(HubRepo::open(REPO, &options).unwrap().get("vae/config.json"));
    assert!(error.contains("no file `vae/config.json` at revision `main`"), "{error}");
}

#[test]
fn revisions_may_be_commits_or_contain_slashes() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    for revision in [COMMIT, "refs/pr/1"] {
        let online = HubOptions { revision: Some(revision.into()), ..options(&server, &cache) };
        let path = HubRepo::open(REPO, &online).unwrap().get("README.md").unwrap();
        let offline = HubOptions { local_files_only: true, ..online };
        assert_eq!(HubRepo::open(REPO, &offline).unwrap().get("README.md").unwrap(), path);
    }
    assert!(!folder(&cache).join("refs").join(COMMIT).exists());
    assert!(folder(&cache).join("refs/refs/pr/1").is_file());
}

#[test]
fn names_that_are_none_are_refused() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    let options = options(&server, &cache);
    for id in
        ["", "a b", "a/b/c", "/etc", "../x", "a/..", "a--b", "-a", "a.", "a/", "ä", "x.git", "C:\\models"]
    {
        let error = message(HubRepo::open(id, &options));
        assert!(error.contains("`owner/name`"), "{error}");
    }
    for revision in ["", "..", "a/../../b", "/a"] {
        message(HubRepo::open(REPO, &HubOptions { revision: Some(revision.into()), ..options.clone() }));
    }
    let repo = HubRepo::open(REPO, &options).unwrap();
    for file in ["", "..", "../x", "/etc/passwd", "a/../../../x", "unet//x"] {
        message(repo.get(file));
    }
    assert_eq!(server.log().len(), 1);
}

#[test]
fn an_entity_tag_cannot_lead_out_of_the_cache() {
    let (cache, files) = (TempDir::new().unwrap(), Files::new());
    let server = Server::start(move |received, _| {
        if received.method == "HEAD" {
            return Reply::new(200).with("ETag", "\"../../../outside\"").body(b"");
        }
        files.answer(received)
    });
    let error = message(HubRepo::open(REPO, &options(&server, &cache)).unwrap().get("README.md"));
    assert!(error.contains("entity tag"), "{error}");
}

#[test]
fn the_cache_alone_is_used_when_asked_to() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    let online = options(&server, &cache);
    let offline = HubOptions { local_files_only: true, ..online.clone() };
    let error = message(HubRepo::open(REPO, &offline));
    assert!(error.contains("not in the cache") && error.contains("local_files_only"), "{error}");

    HubRepo::open(REPO, &online).unwrap().get_pipeline(None).unwrap();
    let requests = server.log().len();
    let repo = HubRepo::open(REPO, &offline).unwrap();
    repo.get_pipeline(None).unwrap();
    let expected = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", LARGE];
    assert_eq!(repo.list_files().unwrap(), expected);
    let error = message(repo.get("README.md"));
    assert!(error.contains("`README.md`") && error.contains("local_files_only"), "{error}");
    assert_eq!(server.log().len(), requests);
}

/// What a pipeline's repository has, with weights pickled instead of in safetensors.
#[test]
fn pickled_weights_are_fetched_where_there_are_no_others() {
    let pickled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/formats/pickled/zip");
    let server = Files::of_folder(&pickled).serve();
    let cache = TempDir::new().unwrap();
    let hub = HubOptions { progress: false, ..options(&server, &cache) };
    let vae =
        AutoencoderKL::from_pretrained_with(REPO, &LoadOptions { hub, ..LoadOptions::default() }).unwrap();
    assert_eq!(vae.config().latent_channels, 2);
}

#[test]
fn a_single_file_takes_configurations_from_a_repository_and_no_weights() {
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pipelines/sd1");
    let server = Files::of_folder(&checkpoint).serve();
    let cache = TempDir::new().unwrap();
    let hub = HubOptions { progress: false, ..options(&server, &cache) };
    let single = SingleFileOptions {
        config: Some(REPO.to_owned()),
        subfolder: Some("vae".to_owned()),
        hub,
        ..SingleFileOptions::default()
    };
    let file = checkpoint.join("vae/diffusion_pytorch_model.safetensors");
    AutoencoderKL::from_single_file(file.to_str().unwrap(), &single).unwrap();
    let fetched: Vec<String> = server.downloads().into_iter().map(|(file, _)| file).collect();
    assert!(fetched.iter().any(|file| file == "tokenizer/vocab.json"), "{fetched:?}");
    assert!(!fetched.iter().any(|file| file.ends_with(".safetensors")), "{fetched:?}");
}

#[test]
fn without_a_network_the_cache_is_used() {
    let cache = TempDir::new().unwrap();
    let server = Files::new().serve();
    let online = options(&server, &cache);
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broken = HubOptions { endpoint: Some(format!("http://{closed}")), ..online.clone() };
    let error = message(HubRepo::open(REPO, &broken));
    assert!(error.contains(&closed.to_string()) && error.contains("HF_HUB_OFFLINE"), "{error}");

    HubRepo::open(REPO, &online).unwrap().get("README.md").unwrap();
    let repo = HubRepo::open(REPO, &broken).unwrap();
    repo.get("README.md").unwrap();
    let error = message(repo.get("model_index.json"));
    assert!(error.contains("cannot be reached"), "{error}");
}

/// What `the_environment_is_obeyed` runs in a process of its own, as the environment belongs to the whole process.
#[test]
#[ignore = "run by the_environment_is_obeyed"]
fn child() {
    let result = HubRepo::open(REPO, &HubOptions::default()).and_then(|repo| repo.get("README.md"));
    match result {
        Ok(path) => println!("RESULT {}", path.display()),
        Err(error) => println!("RESULT {error}"),
    }
}

#[cfg(unix)]
fn run_child(variables: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--ignored", "--nocapture"]);
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("HF_") || name.starts_with("HUGGING"))
    {
        command.env_remove(name);
    }
    command.env_remove("XDG_CACHE_HOME").envs(variables.iter().copied());
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    output.lines().find_map(|line| Some(line.split_once("RESULT ")?.1.to_owned())).expect(&output)
}

/// Only where the home folder is `HOME` and a path's parts are joined by `/`.
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

    // The token may lie in a file, and the cache anywhere.
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
