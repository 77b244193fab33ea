//! A hub inside the test's process.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::{COMMIT, LARGE, REPO};

#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that a `Range` header requests.
    pub fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().unwrap())
    }
}

#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The number of bytes of the body after which the connection ends.
    pub cut: Option<usize>,
    /// The bytes to send instead of all the above.
    pub raw: Option<&'static str>,
    /// Whether the connection then stays open, silently.
    pub stalls: bool,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = body.len().to_string();
        self.with("Content-Length", length)
    }
}

pub struct Server {
    pub endpoint: String,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers every request with `answer`, which also receives the number of earlier requests of the same kind.
    pub fn start(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::<Received>::new()));
        let entries = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut stalled = Vec::new();
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
                if reply.stalls {
                    stalled.push(stream);
                }
            }
        });
        Self { endpoint, log }
    }

    pub fn log(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    /// The files whose contents were requested, with the first requested byte.
    pub fn downloads(&self) -> Vec<(String, usize)> {
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
    if let Some(raw) = reply.raw {
        stream.write_all(raw.as_bytes())?;
        return stream.flush();
    }
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
pub struct Files(pub BTreeMap<&'static str, Vec<u8>>);

impl Files {
    pub fn new() -> Self {
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
    pub fn of_folder(folder: &Path) -> Self {
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

    pub fn etag(&self, name: &str) -> String {
        let digest = format!("{:x}", Sha256::digest(&self.0[name]));
        if name == LARGE { digest } else { digest[..40].to_owned() }
    }

    /// The answer of a well-behaved hub.
    pub fn answer(&self, received: &Received) -> Reply {
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

    pub fn serve(self) -> Server {
        Server::start(move |received, _| self.answer(received))
    }

    /// A hub whose answers with the large file are altered by `change`.
    pub fn serve_large(
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
