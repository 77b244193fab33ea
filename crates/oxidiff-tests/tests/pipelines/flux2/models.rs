//! The models alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Autoencoder, AutoencoderKLFlux2, Config, DType, Device, Flux2Inputs, Flux2Transformer2DModel,
    Model, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json, some_pixels};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 3] = ["plain", "guided", "other"];

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

fn description(name: &str) -> Described {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    all.remove(name).unwrap_or_else(|| panic!("no {name}"))
}

/// A model of `models.json`.
fn described<M: Model>(name: &str) -> M {
    let Described { seed, config } = description(name);
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn transformer(name: &str) -> Flux2Transformer2DModel {
    described(&format!("transformer.{name}"))
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn tokens(count: usize, features: usize, low: f32) -> Tensor<3> {
    values([1, 2, count, features], low).reshape([2, count, features])
}

/// Of tokens in two columns.
fn places(count: usize, time: f32) -> Vec<[f32; 4]> {
    (0..count).map(|index| [time, (index / 2) as f32, (index % 2) as f32, 0.0]).collect()
}

fn text_places() -> Vec<[f32; 4]> {
    (0..7).map(|token| [0.0, 0.0, 0.0, token as f32]).collect()
}

/// Two prompts.
fn text() -> Tensor<3> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    tokens(7, 48, -1.0) * factors.reshape([2, 1, 1])
}

/// Calls with inputs like those of the script.
fn inputs<'a>(
    hidden_states: Tensor<3>,
    [img_ids, txt_ids]: [&'a [[f32; 4]]; 2],
    timestep: &'a [f32],
    guidance: Option<&'a [f32]>,
) -> Flux2Inputs<'a> {
    Flux2Inputs { hidden_states, encoder_hidden_states: text(), timestep, img_ids, txt_ids, guidance }
}

#[test]
fn tokens_are_predicted_as_in_python() {
    let (image, prompt, recorded) = (places(6, 0.0), text_places(), outputs());
    for name in TRANSFORMERS {
        let model = transformer(name);
        let guidance: Option<&[f32]> = model.config().guidance_embeds.then_some(&[3.5]);
        let call = |times: &[f32], guidance| {
            model.forward(&inputs(tokens(6, 16, -1.2), [&image, &prompt], times, guidance)).unwrap()
        };
        let key = format!("transformer.{name}");
        assert_close(&key, call(&[0.7], guidance), recorded.floats(&key), TOLERANCE);
        let key = format!("transformer.{name}.times");
        assert_close(&key, call(&[0.9, 0.2], guidance), recorded.floats(&key), TOLERANCE);
        if guidance.is_some() {
            let key = format!("transformer.{name}.unguided");
            assert_close(&key, call(&[0.7], None), recorded.floats(&key), TOLERANCE);
        }
    }
}

#[test]
fn keys_and_values_of_references_are_used_again_as_in_python() {
    let (image, prompt, recorded) = (places(6, 0.0), text_places(), outputs());
    let joined = Tensor::cat(vec![tokens(4, 16, -0.7), tokens(6, 16, -1.2)], 1);
    let joined_places = [places(4, 10.0), image.clone()].concat();
    for name in TRANSFORMERS {
        let model = transformer(name);
        let guidance: Option<&[f32]> = model.config().guidance_embeds.then_some(&[3.5, 3.5]);
        let first = inputs(joined.clone(), [&joined_places, &prompt], &[0.8], guidance);
        let (made, cache) = model.forward_extracting(&first, 4, 0.1).unwrap();
        assert_eq!(cache.num_ref_tokens(), 4);
        let key = format!("transformer.{name}.extracted");
        assert_close(&key, made, recorded.floats(&key), TOLERANCE);
        let second = inputs(tokens(6, 16, -1.2), [&image, &prompt], &[0.5], guidance);
        let key = format!("transformer.{name}.cached");
        assert_close(&key, model.forward_cached(&second, &cache).unwrap(), recorded.floats(&key), TOLERANCE);
    }
    let model = transformer("plain");
    let first = inputs(joined, [&joined_places, &prompt], &[0.8], None);
    expect(&error(model.forward_extracting(&first, 0, 0.0).map(|_| ())), &["`num_ref_tokens`", "0"]);
    expect(&error(model.forward_extracting(&first, 10, 0.0).map(|_| ())), &["`num_ref_tokens`", "10"]);
    expect(&error(model.forward_extracting(&first, 4, f32::NAN).map(|_| ())), &["`ref_fixed_timestep`"]);
    let (_, cache) = model.forward_extracting(&first, 4, 0.0).unwrap();
    let other = transformer("other");
    let second = inputs(tokens(6, 16, -1.2), [&image, &prompt], &[0.5], None);
    expect(&error(other.forward_cached(&second, &cache)), &["`kv_cache`", "another model"]);
    let one = Flux2Inputs {
        hidden_states: second.hidden_states.clone().narrow(0, 0, 1),
        encoder_hidden_states: second.encoder_hidden_states.clone().narrow(0, 0, 1),
        ..second
    };
    expect(&error(model.forward_cached(&one, &cache)), &["`kv_cache`", "2 items"]);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let (model, image, prompt) = (transformer("plain"), places(6, 0.0), text_places());
    let plain = || inputs(tokens(6, 16, -1.2), [&image, &prompt], &[0.7], None);
    let refused = |inputs: Flux2Inputs<'_>| error(model.forward(&inputs));
    expect(&refused(Flux2Inputs { hidden_states: tokens(6, 8, 0.0), ..plain() }), &["`hidden_states`", "16"]);
    let text = tokens(7, 16, 0.0);
    expect(
        &refused(Flux2Inputs { encoder_hidden_states: text, ..plain() }),
        &["`encoder_hidden_states`", "48"],
    );
    expect(&refused(Flux2Inputs { img_ids: &image[1..], ..plain() }), &["`img_ids`", "5 tokens"]);
    expect(&refused(Flux2Inputs { txt_ids: &[[f32::NAN; 4]; 7], ..plain() }), &["`txt_ids`", "finite"]);
    expect(&refused(Flux2Inputs { timestep: &[0.1; 3], ..plain() }), &["`timestep`", "got 3 for 2 items"]);
    expect(&refused(Flux2Inputs { guidance: Some(&[f32::NAN]), ..plain() }), &["`guidance`", "NaN"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let refused = |field: &str, value: Value| {
        let mut config = Value::Object(description("transformer.plain").config);
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(Flux2Transformer2DModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("axes_dims_rope", vec![4, 4, 4, 2].into()), &["axes_dims_rope", "16"]);
    expect(&refused("axes_dims_rope", vec![5, 3, 4, 4].into()), &["axes_dims_rope", "pairs"]);
    expect(&refused("axes_dims_rope", vec![8, 4, 4].into()), &["axes_dims_rope"]);
    expect(&refused("num_attention_heads", 0.into()), &["num_attention_heads"]);
    expect(&refused("mlp_ratio", 0.into()), &["mlp_ratio"]);
    expect(&refused("num_layers", 5000.into()), &["num_layers"]);
    let refused = |field: &str, value: Value| {
        let mut config = Value::Object(description("vae.plain").config);
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(AutoencoderKLFlux2::from_config(&config, &Device::flex()))
    };
    expect(&refused("decoder_block_out_channels", vec![4].into()), &["decoder_block_out_channels"]);
    expect(&refused("block_out_channels", vec![4, 4, 8, 7].into()), &["norm_num_groups"]);
    expect(&refused("batch_norm_eps", (-1).into()), &["batch_norm_eps"]);
    expect(&refused("patch_size", vec![0, 2].into()), &["patch_size"]);
}

#[test]
fn images_are_encoded_and_decoded_as_in_python() {
    let recorded = outputs();
    for name in ["plain", "decoder"] {
        let mut vae: AutoencoderKLFlux2 = described(&format!("vae.{name}"));
        let floats = |part: &str| recorded.floats::<4>(&format!("vae.{name}.{part}"));
        let encoded = vae.encode(values([2, 3, 40, 64], -1.0)).unwrap();
        assert_close(name, encoded.mode(), floats("mean"), TOLERANCE);
        assert_close(name, encoded.std(), floats("std"), TOLERANCE);
        let thin = |decoded: Tensor<4>| some_pixels(decoded.permute([0, 2, 3, 1]), 4).permute([0, 3, 1, 2]);
        let latents = || values([2, 4, 5, 8], -1.5);
        assert_close(name, thin(vae.decode(latents()).unwrap()), floats("decoded"), TOLERANCE);
        let [mean, deviation] = vae.patch_statistics().unwrap();
        let statistics = Tensor::cat(vec![mean, deviation], 0).reshape([2, 16]);
        assert_close(name, statistics, recorded.floats::<2>(&format!("vae.{name}.statistics")), TOLERANCE);
        if name == "decoder" {
            vae.enable_tiling();
            assert_close("tiled", thin(vae.decode(latents()).unwrap()), floats("tiled"), TOLERANCE);
            vae.enable_slicing();
            assert_close("sliced", thin(vae.decode(latents()).unwrap()), floats("tiled"), TOLERANCE);
        }
    }
}

#[test]
fn half_precision_is_close() {
    let (image, prompt, recorded) = (places(6, 0.0), text_places(), outputs());
    for dtype in [DType::BF16, DType::F16] {
        let model = transformer("plain").cast(dtype);
        assert_eq!(model.dtype(), dtype);
        let made = model.forward(&inputs(tokens(6, 16, -1.2), [&image, &prompt], &[0.7], None)).unwrap();
        assert_eq!(made.dtype(), dtype);
        let expected: Tensor<3> = recorded.floats("transformer.plain");
        let scale = expected.clone().abs().max().into_scalar::<f32>();
        assert_close("half", made.cast(DType::F32) / scale, expected / scale, 5e-2);
    }
}

#[test]
fn models_are_called_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let model = transformer("guided");
    model.save_pretrained(folder.path()).unwrap();
    let name = folder.path().to_str().unwrap();
    let model =
        AnyModel::from_pretrained("Flux2Transformer2DModel", name, &oxidiff::LoadOptions::default()).unwrap();
    let ids = |places: Vec<[f32; 4]>| {
        let data: Vec<f32> = places.concat();
        Tensor::<1>::from_data(data.as_slice(), (&Device::flex(), DType::F32))
            .reshape::<2, _>([places.len(), 4])
    };
    let request = |img_ids: oxidiff::Argument| {
        Request::default()
            .with("hidden_states", tokens(6, 16, -1.2))
            .with("encoder_hidden_states", text())
            .with("timestep", vec![0.7, 0.7])
            .with("guidance", vec![3.5, 3.5])
            .with("img_ids", img_ids)
            .with("txt_ids", ids(text_places()))
    };
    let expected: Tensor<3> = outputs().floats("transformer.guided");
    let of_each = ids(places(6, 0.0)).reshape::<3, _>([1, 6, 4]).repeat_dim(0, 2);
    for img_ids in [ids(places(6, 0.0)).into(), of_each.into()] {
        let (name, made) = model.call(request(img_ids)).unwrap().remove(0);
        assert_eq!(name, "sample");
        assert_close("by name", made.to_rank("sample").unwrap(), expected.clone(), TOLERANCE);
    }
    let three = ids(places(6, 0.0)).narrow(1, 0, 3);
    expect(&error(model.call(request(three.into())).map(|_| ())), &["`img_ids`", "4"]);
}
