//! Checkpoints of one file in the original layout: the pipeline that Python makes of them.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixture::{assert_close, fixtures};
use oxidiff::{
    AutoencoderKL, Error, Generator, Generators, HubOptions, Model, OutputType, Pipeline, SingleFileOptions,
    StableDiffusionPipeline, Tensor, TextToImage, UNet2DConditionModel,
};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};

fn checkpoint(name: &str) -> PathBuf {
    fixtures().join("pipelines").join(name)
}

fn options(config: &Path) -> SingleFileOptions {
    SingleFileOptions { config: Some(config.to_str().unwrap().to_owned()), ..Default::default() }
}

/// A tensor on its way into a file.
struct Owned {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// The tensors of the checkpoint `name` under the names of the original layout, which the fixture lists.
fn original(name: &str) -> BTreeMap<String, Owned> {
    let parts: BTreeMap<&str, Vec<u8>> = [
        ("unet", "unet/diffusion_pytorch_model.safetensors"),
        ("vae", "vae/diffusion_pytorch_model.safetensors"),
        ("text_encoder", "text_encoder/model.safetensors"),
    ]
    .map(|(part, file)| (part, fs::read(checkpoint(name).join(file)).unwrap()))
    .into();
    let tensor = |place: &str| -> Owned {
        let (part, key) = place.split_once('.').unwrap();
        let file = SafeTensors::deserialize(&parts[part]).unwrap();
        let view = file.tensor(key).or_else(|_| file.tensor(&format!("text_model.{key}"))).unwrap();
        Owned { dtype: view.dtype(), shape: view.shape().to_vec(), data: view.data().to_vec() }
    };

    let mut tensors = BTreeMap::new();
    for line in
        fs::read_to_string(fixtures().join(format!("formats/single_file/{name}.txt"))).unwrap().lines()
    {
        let (key, places) = line.split_once(' ').unwrap();
        let mut joined = places.split(' ').map(tensor).reduce(|mut all, next| {
            all.shape[0] += next.shape[0];
            all.data.extend(next.data);
            all
        });
        let tensor = joined.as_mut().unwrap();
        // The autoencoder's attention had convolutions of one pixel.
        if key.contains(".mid.attn_1.") && tensor.shape.len() == 2 {
            tensor.shape.extend([1, 1]);
        }
        tensors.insert(key.to_owned(), joined.unwrap());
    }
    tensors
}

fn write(tensors: &BTreeMap<String, Owned>, file: &Path) {
    let views = tensors
        .iter()
        .map(|(key, owned)| (key, TensorView::new(owned.dtype, owned.shape.clone(), &owned.data).unwrap()));
    serialize_to_file(views, None, file).unwrap();
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
        assert_eq!(single.index().component_class("safety_checker"), None);
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

/// An error of a file with these tensors when nothing says where the configuration is.
fn error_without_config(tensors: BTreeMap<String, Owned>) -> Error {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("model.safetensors");
    write(&tensors, &file);
    let hub = HubOptions {
        cache_dir: Some(temporary.path().join("cache")),
        local_files_only: true,
        ..Default::default()
    };
    let options = SingleFileOptions { hub, ..Default::default() };
    StableDiffusionPipeline::from_single_file(file.to_str().unwrap(), &options).unwrap_err()
}

fn shaped(key: &str, shape: &[usize]) -> (String, Owned) {
    let data = vec![0; 4 * shape.iter().product::<usize>()];
    (key.to_owned(), Owned { dtype: Dtype::F32, shape: shape.to_vec(), data })
}

#[test]
fn the_configuration_comes_from_the_repository_of_the_model() {
    let inputs = "model.diffusion_model.input_blocks.0.0.weight";
    let text = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight";
    let skip = "model.diffusion_model.input_blocks.10.0.skip_connection.bias";
    for (tensors, repo) in [
        (vec![shaped(inputs, &[8, 4, 3, 3])], "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        (
            vec![shaped(inputs, &[8, 4, 3, 3]), shaped(text, &[8, 768])],
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
        ),
        (vec![shaped(inputs, &[8, 4, 3, 3]), shaped(text, &[8, 1024])], "stabilityai/stable-diffusion-2-1"),
        (vec![shaped(inputs, &[8, 9, 3, 3])], "stable-diffusion-v1-5/stable-diffusion-inpainting"),
        (
            vec![shaped(inputs, &[8, 9, 3, 3]), shaped(text, &[8, 1024])],
            "stabilityai/stable-diffusion-2-inpainting",
        ),
        (vec![shaped(inputs, &[8, 7, 3, 3]), shaped(skip, &[8])], "stabilityai/stable-diffusion-x4-upscaler"),
    ] {
        let error = error_without_config(tensors.into_iter().collect());
        assert!(matches!(&error, Error::Hub { repo: named, .. } if named == repo), "{error}, not {repo}");
        assert!(error.to_string().contains("`config`"), "{error}");
    }
    let error = error_without_config([shaped("unet.conv_in.weight", &[4])].into()).to_string();
    assert!(error.contains("model.safetensors") && error.contains("not a whole checkpoint"), "{error}");
    let key = "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias";
    let error = error_without_config([shaped(key, &[4])].into());
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("XL"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = StableDiffusionPipeline::from_single_file("no/such/file.ckpt", &SingleFileOptions::default());
    assert!(error.unwrap_err().to_string().contains("no/such/file.ckpt"));
    let link = "https://huggingface.co/owner";
    let error = StableDiffusionPipeline::from_single_file(link, &SingleFileOptions::default()).unwrap_err();
    assert!(error.to_string().contains(link), "{error}");
}
