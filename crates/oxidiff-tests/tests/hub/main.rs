//! Downloads from a hub that the test itself serves. A program of its own, because it starts itself again with other environments,
//! and measures how long a silent hub takes.

mod environment;
mod proxies;
mod redirects;
mod server;
mod silence;
mod transfer;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use oxidiff::{
    AutoencoderKL, DiffusionPipeline, Error, HubOptions, HubRepo, LoadOptions, Model, PNDMScheduler,
    Scheduler, SingleFileOptions, TextToImage, UNet2DConditionModel,
};
use tempfile::TempDir;

use crate::server::{Files, Reply, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPO: &str = "someone/tiny-pipeline";
const LARGE: &str = "unet/diffusion_pytorch_model.safetensors";

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

/// A host and port with no listener.
fn closed_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
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

    // The same layout as in Python.
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
    assert_eq!(server.log().len(), requests + 1, "only the list of files is requested again");
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
    assert_eq!(fetched(), expected, "each once, and no other files");
    let arguments = TextToImage { num_inference_steps: 1, ..TextToImage::new("a red apple") };
    let images = pipeline.call(arguments).unwrap().images.into_images();
    assert_eq!(images.len(), 1);

    // Cached files need no network.
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
fn a_missing_variant_is_an_error_before_anything_large_is_fetched() {
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
fn a_gated_repository_needs_a_token() {
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
fn errors_name_what_does_not_exist() {
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
fn invalid_names_are_refused() {
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

/// A pipeline's repository with pickled weights instead of safetensors.
#[test]
fn pickled_weights_are_fetched_if_there_are_no_others() {
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
    let closed = closed_address();
    let broken = HubOptions { endpoint: Some(format!("http://{closed}")), ..online.clone() };
    let error = message(HubRepo::open(REPO, &broken));
    assert!(error.contains(&closed) && error.contains("HF_HUB_OFFLINE"), "{error}");

    HubRepo::open(REPO, &online).unwrap().get("README.md").unwrap();
    let repo = HubRepo::open(REPO, &broken).unwrap();
    repo.get("README.md").unwrap();
    let error = message(repo.get("model_index.json"));
    assert!(error.contains("cannot be reached"), "{error}");
}
