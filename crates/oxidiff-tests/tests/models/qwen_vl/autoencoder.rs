//! The autoencoder of Qwen-Image, whose convolutions are those of videos in Python.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Autoencoder, AutoencoderKLQwenImage, AutoencoderKLQwenImageConfig, Config, DType, Device,
    Generator, LoadOptions, Model, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{TOLERANCE, error, expect, recorded, values};
use crate::fixture::drawn::drawn;
use crate::fixture::gguf::{self, Plain};
use crate::fixture::{assert_close, difference, json};

fn described(name: &str) -> (u64, Config) {
    #[derive(Deserialize)]
    struct Described {
        seed: u64,
        config: Map<String, Value>,
    }
    let mut all: BTreeMap<String, Described> = json(&recorded("autoencoders.json"));
    let Described { seed, config } = all.remove(name).unwrap();
    (seed, Config::from_json(&Value::Object(config).to_string()).unwrap())
}

/// The model, and the generator of its inputs.
fn model(name: &str) -> (AutoencoderKLQwenImage, Generator) {
    let (seed, config) = described(name);
    (drawn(&config, seed), Generator::manual_seed(seed + 100))
}

fn noise(generator: &mut Generator, shape: [usize; 4]) -> Tensor<4> {
    generator.randn(shape, DType::F32, &Device::flex())
}

fn parameters(vae: &AutoencoderKLQwenImage, image: Tensor<4>) -> Tensor<4> {
    let encoded = vae.encode(image).unwrap();
    Tensor::cat(vec![encoded.mean, encoded.logvar], 1)
}

#[test]
fn single_frames_are_encoded_and_decoded_as_by_convolutions_of_videos() {
    let expected = values();
    for (name, factor) in [("three", 8), ("attention", 4)] {
        let (mut vae, mut generator) = model(name);
        let config = vae.config().clone();
        assert_eq!(vae.scale_factor(), factor);
        let image = noise(&mut generator, [2, config.input_channels, 27, 45]).clamp(-1.0, 1.0);
        let latents = noise(&mut generator, [2, config.z_dim, 3, 5]);
        let key = |what: &str| format!("vae.{name}.{what}");
        let moments = parameters(&vae, image.clone());
        let theirs: Tensor<4> = expected.floats(&key("moments"));
        let [mean, logvar] = theirs.chunk(2, 1).try_into().unwrap();
        let theirs = Tensor::cat(vec![mean, logvar.clamp(-30.0, 20.0)], 1);
        assert_close(&key("moments"), moments.clone(), theirs, TOLERANCE);
        let decoded = vae.decode(latents.clone()).unwrap();
        assert_close(&key("image"), decoded.clone(), expected.floats(&key("image")), TOLERANCE);
        vae.enable_slicing();
        assert!(difference(parameters(&vae, image), moments) < 1e-5);
        assert!(difference(vae.decode(latents).unwrap(), decoded) < 1e-5);
        assert_eq!(
            Autoencoder::latent_statistics(&vae),
            Some([&config.latents_mean[..], &config.latents_std[..]])
        );
        assert_eq!(Autoencoder::scaling_factor(&vae), 1.0);
    }
}

/// Few values of these are cut off at 1.
#[test]
fn dim_images_are_decoded_as_in_python_in_each_type() {
    let expected = values();
    let (vae, mut generator) = model("three");
    noise(&mut generator, [2, 3, 27, 45]);
    let latents = noise(&mut generator, [2, 4, 3, 5]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    Model::save_pretrained(&vae, path).unwrap();
    let file = folder.path().join("diffusion_pytorch_model.safetensors");
    let mut tensors = gguf::tensors(&file);
    let conv = tensors.get_mut("decoder.conv_out.weight").unwrap();
    conv.values.iter_mut().for_each(|value| *value *= 0.05);
    write(&tensors, &file);
    for (dtype, tolerance) in [(DType::F32, TOLERANCE), (DType::F16, 1e-2), (DType::BF16, 5e-2)] {
        let options = LoadOptions { dtype, ..Default::default() };
        let vae = AutoencoderKLQwenImage::from_pretrained_with(path, &options).unwrap();
        let decoded = vae.decode(latents.clone()).unwrap();
        assert_eq!((decoded.dtype(), vae.dtype()), (dtype, dtype));
        let what = format!("{dtype:?}");
        assert_close(&what, decoded.cast(DType::F32), expected.floats("vae.three.dim"), tolerance);
    }
}

fn write(tensors: &BTreeMap<String, Plain>, file: &std::path::Path) {
    let bytes = |tensor: &Plain| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let bytes: Vec<Vec<u8>> = tensors.values().map(bytes).collect();
    let views = tensors.iter().zip(&bytes).map(|((key, tensor), bytes)| {
        let dtype = safetensors::Dtype::F32;
        (key, safetensors::tensor::TensorView::new(dtype, tensor.shape.clone(), bytes).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn large_images_are_coded_in_tiles_as_in_python() {
    let expected = values();
    let (mut vae, mut generator) = model("tiles");
    let image = noise(&mut generator, [1, 3, 272, 200]).clamp(-1.0, 1.0);
    let latents = noise(&mut generator, [1, 2, 27, 37]);
    let whole = vae.encode(image.clone()).unwrap().mean;
    vae.enable_tiling();
    let mean = vae.encode(image).unwrap().mean;
    assert!(difference(mean.clone(), whole) > 1e-3, "tiles change the result");
    assert_close("latents", mean, expected.floats("vae.tiles.latents"), TOLERANCE);
    let decoded = vae.decode(latents).unwrap();
    let [_, _, height, width] = decoded.dims();
    assert_eq!([height, width], [216, 296]);
    let every = |x: Tensor<4>, dim: usize, step: usize| {
        let count = x.dims()[dim];
        Tensor::cat((0..count).step_by(step).map(|index| x.clone().narrow(dim, index, 1)).collect(), dim)
    };
    let some = every(every(decoded, 2, 5), 3, 7);
    assert_close("image", some, expected.floats("vae.tiles.image"), TOLERANCE);
    let narrow = Tensor::zeros([1, 3, 196, 272], &Device::flex());
    expect(&error(vae.encode(narrow)), &["image", "196x272", "tiles", "8x8"]);
}

#[test]
fn wrong_configurations_and_inputs_are_refused() {
    let (_, config) = described("three");
    let changed = |field: &str, value: Value| {
        let config = config.clone().with(field, value);
        error(AutoencoderKLQwenImage::from_config(&config, &Device::flex()))
    };
    expect(&changed("base_dim", 0.into()), &["base_dim"]);
    expect(&changed("dim_mult", serde_json::json!([1])), &["dim_mult"]);
    expect(&changed("temperal_downsample", serde_json::json!([true])), &["temperal_downsample"]);
    expect(&changed("latents_mean", serde_json::json!([0.0])), &["latents_mean", "4 channels"]);
    expect(&changed("latents_std", serde_json::json!([0.0, 1.0, 1.0, 1.0])), &["latents_std"]);
    expect(&changed("num_res_blocks", 0.into()), &["num_res_blocks"]);

    let (vae, _) = model("three");
    let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &Device::flex());
    expect(&error(vae.encode(zeros([1, 4, 16, 16]))), &["image", "4 channels", "takes 3"]);
    expect(&error(vae.encode(zeros([1, 3, 16, 7]))), &["image", "16x7", "8x8"]);
    expect(&error(vae.decode(zeros([1, 3, 2, 2]))), &["latents", "3 channels", "takes 4"]);
    let published = AutoencoderKLQwenImageConfig::default();
    assert_eq!(published.latents_mean.len(), 16);
    AutoencoderKLQwenImage::init(&published, &Device::flex()).unwrap();
}

#[test]
fn any_model_calls_it() {
    let (vae, _) = model("three");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    Model::save_pretrained(&vae, path).unwrap();
    let any = AnyModel::from_pretrained("AutoencoderKLQwenImage", path, &LoadOptions::default()).unwrap();
    let sample = Tensor::<4>::zeros([1, 3, 16, 24], &Device::flex());
    let output = any.call(oxidiff::Request::default().with("sample", sample)).unwrap();
    assert_eq!(output[0].1.shape(), [1, 3, 16, 24]);
}
