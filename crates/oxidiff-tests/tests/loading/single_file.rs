//! Checkpoints of one file in the original layout: the pipeline that Python makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use oxidiff::{
    AutoencoderKL, Config, DType, Error, Generator, Generators, HubOptions, Model, ModelIndex, OutputType,
    Pipeline, SingleFileOptions, StableDiffusionPipeline, Tensor, TextToImage, UNet2DConditionModel,
};
use safetensors::tensor::Dtype;

use crate::fixture::original_layout::{Owned, Weights, write};
use crate::fixture::{assert_close, fixtures, true_size};

fn checkpoint(name: &str) -> PathBuf {
    fixtures().join("pipelines").join(name)
}

fn options(config: &Path) -> SingleFileOptions {
    SingleFileOptions { config: Some(config.to_str().unwrap().to_owned()), ..Default::default() }
}

/// The tensors of the checkpoint `name` under the names of the original layout, which the fixture lists.
fn original(name: &str) -> BTreeMap<String, Owned> {
    let parts: BTreeMap<&str, Weights> = [
        ("unet", "unet/diffusion_pytorch_model.safetensors"),
        ("vae", "vae/diffusion_pytorch_model.safetensors"),
        ("text_encoder", "text_encoder/model.safetensors"),
    ]
    .map(|(part, file)| (part, Weights::open(&checkpoint(name).join(file))))
    .into();
    let list = fs::read_to_string(fixtures().join(format!("formats/single_file/{name}.txt"))).unwrap();
    let tensors = list.lines().map(|line| {
        let (key, places) = line.split_once(' ').unwrap();
        let part = places.split_once('.').unwrap().0;
        let places: Vec<&str> = places.split(' ').map(|place| place.split_once('.').unwrap().1).collect();
        (key.to_owned(), parts[part].original(key, &places))
    });
    tensors.collect()
}

/// The file of a whole checkpoint, in a folder that lives as long as it is needed.
fn whole(name: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    write(&original(name), &file);
    (folder, file.to_str().unwrap().to_owned())
}

fn image(pipeline: &mut StableDiffusionPipeline) -> Tensor<4> {
    pipeline.set_progress_bar(false);
    let arguments = TextToImage {
        num_inference_steps: 2,
        generator: Some(Generators::One(Generator::manual_seed(1))),
        output_type: OutputType::Array,
        ..TextToImage::new("a red apple")
    };
    pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
}

#[test]
fn stable_diffusion_1_and_2_load_from_a_single_file() {
    for name in ["sd1", "sd2"] {
        let (_folder, file) = whole(name);
        let folder = checkpoint(name);
        let mut single = StableDiffusionPipeline::from_single_file(&file, &options(&folder)).unwrap();
        let mut usual = StableDiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
        assert_close(name, image(&mut single), image(&mut usual), 0.0);
        assert_eq!(single.index().component_class("safety_checker").unwrap(), None);
    }
}

#[test]
fn a_model_loads_alone() {
    let (_folder, file) = whole("sd1");
    let folder = checkpoint("sd1");
    let of = |subfolder: &str| SingleFileOptions { subfolder: Some(subfolder.into()), ..options(&folder) };
    let unet = UNet2DConditionModel::from_single_file(&file, &of("unet")).unwrap();
    let usual = UNet2DConditionModel::from_pretrained(folder.join("unet").to_str().unwrap()).unwrap();
    let device = oxidiff::Device::flex();
    let sample = Tensor::ones([1, 4, 8, 8], &device);
    let text = Tensor::ones([1, 5, 24], &device);
    let [ours, theirs] = [unet, usual].map(|unet| unet.forward(sample.clone(), 10.0, text.clone()).unwrap());
    assert_close("unet", ours, theirs, 0.0);

    // A file of an autoencoder alone has no prefix, and one in the layout of diffusers is taken as it is.
    let alone: BTreeMap<String, Owned> = original("sd1")
        .into_iter()
        .filter_map(|(key, tensor)| Some((key.strip_prefix("first_stage_model.")?.to_owned(), tensor)))
        .collect();
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("vae.safetensors");
    write(&alone, &file);
    let usual = folder.join("vae");
    let weights = usual.join("diffusion_pytorch_model.safetensors");
    let latents = Tensor::ones([1, 4, 4, 4], &device);
    let decode = |vae: AutoencoderKL| vae.decode(latents.clone()).unwrap();
    let expected = decode(AutoencoderKL::from_pretrained(usual.to_str().unwrap()).unwrap());
    for file in [file, weights] {
        let vae = AutoencoderKL::from_single_file(file.to_str().unwrap(), &of("vae")).unwrap();
        assert_close("vae", decode(vae), expected.clone(), 0.0);
    }
}

#[test]
fn averaged_weights_are_taken_where_they_are_asked_for() {
    let mut tensors = original("sd1");
    let keys: Vec<String> =
        tensors.keys().filter(|key| key.starts_with("model.diffusion_model.")).cloned().collect();
    for key in &keys {
        let trained = tensors.get_mut(key).unwrap();
        let zeros =
            Owned { dtype: trained.dtype, shape: trained.shape.clone(), data: vec![0; trained.data.len()] };
        let average = std::mem::replace(trained, zeros);
        // As `latent-diffusion` names them.
        let flat: String = key.split('.').skip(1).collect();
        tensors.insert(format!("model_ema.{flat}"), average);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.safetensors");
    write(&tensors, &file);

    let checkpoint = checkpoint("sd1");
    let of = |extract_ema: bool| SingleFileOptions { extract_ema, ..options(&checkpoint) };
    let load = |options: &SingleFileOptions| {
        StableDiffusionPipeline::from_single_file(file.to_str().unwrap(), options)
    };
    let mut usual = StableDiffusionPipeline::from_pretrained(checkpoint.to_str().unwrap()).unwrap();
    assert_close("averaged", image(&mut load(&of(true)).unwrap()), image(&mut usual), 0.0);
    let trained = load(&of(false)).unwrap().unet.clone();
    let zeros = trained.forward(
        Tensor::ones([1, 4, 8, 8], &trained.device()),
        10.0,
        Tensor::ones([1, 5, 24], &trained.device()),
    );
    assert_eq!(zeros.unwrap().abs().max().into_scalar::<f32>(), 0.0);

    tensors.remove("model_ema.diffusion_modelout2bias");
    write(&tensors, &file);
    let message = load(&of(true)).unwrap_err().to_string();
    assert!(
        message.contains("`model.diffusion_model.out.2.bias`") && message.contains("extract_ema"),
        "{message}"
    );
}

/// As a training script saves it: the weights under `state_dict`, among other things.
#[test]
fn a_pickled_file_loads_too() {
    let pickled = fixtures().join("formats/pickled");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.ckpt");
    fs::copy(pickled.join("training/diffusion_pytorch_model.bin"), &file).unwrap();
    let plain = pickled.join("plain");
    let single = AutoencoderKL::from_single_file(file.to_str().unwrap(), &options(&plain)).unwrap();
    let usual = AutoencoderKL::from_pretrained(plain.to_str().unwrap()).unwrap();
    let latents = Tensor::ones([1, 2, 4, 4], &oxidiff::Device::flex());
    let [ours, theirs] = [single, usual].map(|vae| vae.decode(latents.clone()).unwrap());
    assert_close("vae", ours, theirs, 0.0);
}

#[test]
fn a_missing_part_is_named() {
    let folder = checkpoint("sd1");
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("part.safetensors");
    for (prefix, class) in [
        ("model.diffusion_model.", "UNet2DConditionModel"),
        ("first_stage_model.", "AutoencoderKL"),
        ("cond_stage_model.", "CLIPTextModel"),
    ] {
        let mut tensors = original("sd1");
        tensors.retain(|key, _| !key.starts_with(prefix));
        write(&tensors, &file);
        let error =
            StableDiffusionPipeline::from_single_file(file.to_str().unwrap(), &options(&folder)).unwrap_err();
        assert!(error.to_string().contains(class), "{error}");
        assert!(error.to_string().contains("part.safetensors"), "{error}");
    }
}

/// An error of a file with these tensors.
fn error_of(tensors: BTreeMap<String, Owned>) -> Error {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("model.safetensors");
    write(&tensors, &file);
    let (path, options) = (file.to_str().unwrap(), SingleFileOptions::default());
    StableDiffusionPipeline::from_single_file(path, &options).unwrap_err()
}

fn shaped(key: &str, shape: &[usize]) -> (String, Owned) {
    let data = vec![0; 4 * shape.iter().product::<usize>()];
    (key.to_owned(), Owned { dtype: Dtype::F32, shape: shape.to_vec(), data })
}

#[test]
fn what_is_no_checkpoint_of_a_known_family_is_refused() {
    let error = error_of([shaped("unet.conv_in.weight", &[4])].into()).to_string();
    assert!(error.contains("model.safetensors") && error.contains("not a whole checkpoint"), "{error}");
    let error = error_of([shaped("clip_txt_mapper.weight", &[4])].into());
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("Stable Cascade"), "{error}");
    // A transformer of another family.
    let key = "model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale";
    let error = error_of([shaped(key, &[4])].into()).to_string();
    assert!(error.contains("model.safetensors") && error.contains("no weights of CLIPTextModel"), "{error}");
}

/// A hub that nobody may ask: `knock` tells whether somebody did.
struct ClosedHub(TcpListener);

impl ClosedHub {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// Loads in half precision, in which the weights stay where they are.
    fn options(&self, cache: &Path) -> SingleFileOptions {
        let endpoint = Some(format!("http://{}", self.0.local_addr().unwrap()));
        let cache_dir = Some(cache.join("cache"));
        let hub = HubOptions { endpoint, cache_dir, max_retries: 0, ..Default::default() };
        SingleFileOptions { dtype: DType::F16, hub, ..Default::default() }
    }

    fn was_asked(&self) -> bool {
        self.0.accept().is_ok()
    }
}

#[test]
fn models_of_true_size_load_without_a_hub() {
    let hub = ClosedHub::new();
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("model.safetensors");
    for (name, repository, scheduler, hidden) in [
        ("sd1", "stable-diffusion-v1-5/stable-diffusion-v1-5", "PNDMScheduler", 768),
        ("sd2", "stabilityai/stable-diffusion-2-1", "DDIMScheduler", 1024),
    ] {
        true_size::write(name, &file, |_| false);
        let options = hub.options(temporary.path());
        let pipeline = StableDiffusionPipeline::from_single_file(file.to_str().unwrap(), &options).unwrap();
        assert!(pipeline.index().to_string().contains(repository), "{}", pipeline.index());
        assert_eq!(pipeline.scheduler().config().class_name(), Some(scheduler));
        assert_eq!(pipeline.text_encoder.config().hidden_size, hidden);
        assert_eq!(pipeline.tokenizer.model_max_length(), Some(77));
    }
    assert!(!hub.was_asked());
}

/// The first layers of these models tell how many channels they take. What is left out is missed under the right name.
#[test]
fn relatives_of_a_model_are_told_apart() {
    let hub = ClosedHub::new();
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("model.safetensors");
    let inputs = "model.diffusion_model.input_blocks.0.0.weight";
    let text = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight";
    let skip = "model.diffusion_model.input_blocks.10.0.skip_connection.bias";
    let added = "model.diffusion_model.label_emb.0.0.weight";
    let mean = "edm_mean";
    for (channels, more, repository) in [
        (4, vec![], "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        (4, vec![(text, 768)], "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        (9, vec![(text, 768)], "stable-diffusion-v1-5/stable-diffusion-inpainting"),
        (8, vec![(text, 768)], "timbrooks/instruct-pix2pix"),
        (4, vec![(text, 1024)], "stabilityai/stable-diffusion-2-1"),
        (9, vec![(text, 1024)], "stabilityai/stable-diffusion-2-inpainting"),
        (7, vec![(skip, 8)], "stabilityai/stable-diffusion-x4-upscaler"),
        (4, vec![(added, 2816)], "stabilityai/stable-diffusion-xl-base-1.0"),
        (4, vec![(added, 2560)], "stabilityai/stable-diffusion-xl-refiner-1.0"),
        (9, vec![(added, 2816)], "diffusers/stable-diffusion-xl-1.0-inpainting-0.1"),
        (8, vec![(added, 2816)], "diffusers/sdxl-instructpix2pix-768"),
        (4, vec![(added, 2816), (mean, 4)], "playgroundai/playground-v2.5-1024px-aesthetic"),
    ] {
        let mut tensors = BTreeMap::from([shaped(inputs, &[8, channels, 3, 3])]);
        tensors.extend(more.iter().map(|(key, width)| match *key == skip || *key == mean {
            true => shaped(key, &[*width]),
            false => shaped(key, &[8, *width]),
        }));
        write(&tensors, &file);
        let path = file.to_str().unwrap();
        let found = ModelIndex::from_single_file(path, &hub.options(temporary.path())).unwrap();
        assert!(found.to_string().contains(repository), "{found}, not {repository}");
        // Whatever the checkpoint, its configurations make models.
        let error = UNet2DConditionModel::from_single_file(path, &hub.options(temporary.path())).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        assert!(error.to_string().contains("is missing") || error.to_string().contains("shape"), "{error}");
    }
    assert!(!hub.was_asked());
}

#[test]
fn channels_that_the_configuration_does_not_know_are_named() {
    let (_folder, file) = whole("sd1");
    let temporary = tempfile::tempdir().unwrap();
    let config: Config = Config::from_file(checkpoint("sd1").join("unet/config.json")).unwrap();
    fs::write(temporary.path().join("config.json"), config.with("in_channels", 9).to_json()).unwrap();
    let error = UNet2DConditionModel::from_single_file(&file, &options(temporary.path())).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("takes 4 channels") && message.contains("says 9"), "{message}");
    assert!(message.contains("`config`"), "{message}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = StableDiffusionPipeline::from_single_file("no/such/file.ckpt", &SingleFileOptions::default());
    assert!(error.unwrap_err().to_string().contains("no/such/file.ckpt"));
    let link = "https://huggingface.co/owner";
    let error = StableDiffusionPipeline::from_single_file(link, &SingleFileOptions::default()).unwrap_err();
    assert!(error.to_string().contains(link), "{error}");
}
