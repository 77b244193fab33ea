//! The models alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Config, DType, Device, Model, Qwen3Model, Request, Tensor, ZImageControlInputs,
    ZImageControlNetModel, ZImageInputs, ZImageTransformer2DModel,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A model of `models.json`.
fn described<M: Model>(name: &str) -> M {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap_or_else(|| panic!("no {name}"));
    let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
    drawn(&config, seed)
}

fn transformer(name: &str) -> ZImageTransformer2DModel {
    described(&format!("transformer.{name}"))
}

fn text_encoder(name: &str) -> Qwen3Model {
    described(&format!("text.{name}"))
}

pub fn controlnet(name: &str) -> ZImageControlNetModel {
    described(&format!("controlnet.{name}"))
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn caption(tokens: usize, low: f32) -> Tensor<2> {
    values([1, 1, tokens, 16], low).reshape([tokens, 16])
}

/// Two images of different sizes.
fn images() -> Vec<Tensor<4>> {
    vec![values([4, 1, 6, 10], -1.0), values([4, 1, 2, 6], -1.5)]
}

/// Two captions of different lengths.
fn captions() -> Vec<Tensor<2>> {
    vec![caption(5, -1.0), caption(37, -1.2)]
}

#[track_caller]
fn compare(name: &str, made: Vec<Tensor<4>>) {
    let expected = outputs();
    for (index, made) in made.into_iter().enumerate() {
        let name = format!("transformer.{name}.{index}");
        assert_close(&name, made, expected.floats(&name), TOLERANCE);
    }
}

#[test]
fn a_batch_of_any_sizes_and_lengths_is_predicted_as_in_python() {
    for name in ["plain", "no_qk_norm", "patches", "siglip", "long"] {
        compare(name, transformer(name).forward(&images(), &[0.3], &captions()).unwrap());
    }
}

#[test]
fn each_image_may_have_its_own_time() {
    let model = transformer("plain");
    compare("times", model.forward(&images(), &[0.0, 0.9], &captions()).unwrap());
    let equal = [images()[0].clone(), images()[0].clone()];
    let texts = [caption(5, -1.0), caption(5, -1.0) * 0.5];
    compare("equal", model.forward(&equal, &[0.4, 0.4], &texts).unwrap());
    compare("one", model.forward(&images()[..1], &[1.0], &[caption(32, -0.5)]).unwrap());
}

#[test]
fn patches_may_have_several_frames() {
    let inputs = ZImageInputs { patch_size: 4, f_patch_size: 2, ..Default::default() };
    let video = [values([4, 4, 8, 12], -1.0)];
    let made = transformer("patches").forward_with(&video, &[0.7], &captions()[..1], &inputs).unwrap();
    compare("video", made);
}

#[test]
fn what_is_added_to_a_layer_counts() {
    let model = transformer("plain");
    let call = |inputs: &ZImageInputs| model.forward_with(&images(), &[0.3], &captions(), inputs);
    // 15 and 3 patches, 5 and 37 tokens, each filled up to a multiple of 32.
    let tokens = 32 + 32 + 32 + 64;
    let sample = |tokens| Tensor::<3>::zeros([1, tokens, 24], &Device::flex());
    let with = |layer, sample| ZImageInputs {
        controlnet_block_samples: [(layer, sample)].into(),
        ..Default::default()
    };
    compare("plain", call(&with(1, sample(tokens))).unwrap());
    let changed = call(&with(0, sample(tokens) + 1.0)).unwrap();
    let expected: Tensor<4> = outputs().floats("transformer.plain.1");
    assert!((changed[1].clone() - expected).abs().max().into_scalar::<f32>() > 0.1);
    expect(&error(call(&with(2, sample(tokens)))), &["controlnet_block_samples", "layer 2"]);
    expect(&error(call(&with(0, sample(96)))), &["controlnet_block_samples", "[1, 96, 24]", "[1, 160, 24]"]);
}

#[test]
fn what_controlnets_add_is_what_they_add_in_python() {
    let expected = outputs();
    let transformer = transformer("plain");
    let x = [values([4, 1, 4, 6], -1.0), values([4, 1, 2, 6], -1.5)];
    for name in ["first", "layers", "refiner"] {
        let net = controlnet(name);
        let channels = net.config().control_in_dim.unwrap();
        let followed = [values([channels, 1, 4, 6], -0.8), values([channels, 1, 2, 6], -0.8)];
        let inputs = ZImageControlInputs {
            x: &x,
            t: &[0.3],
            cap_feats: &captions(),
            control_context: &followed,
            conditioning_scale: 0.6,
            patch_size: 2,
            f_patch_size: 1,
        };
        let controlnet_block_samples = net.forward(&transformer, &inputs).unwrap();
        let places = &net.config().control_layers_places;
        assert_eq!(controlnet_block_samples.keys().copied().collect::<Vec<_>>(), *places);
        let inputs = ZImageInputs { controlnet_block_samples, ..Default::default() };
        let made = transformer.forward_with(&x, &[0.3], &captions(), &inputs).unwrap();
        for (index, made) in made.into_iter().enumerate() {
            let name = format!("controlnet.{name}.{index}");
            assert_close(&name, made, expected.floats(&name), TOLERANCE);
        }
    }
}

#[test]
fn controlnets_that_do_not_fit_are_refused() {
    let (plain, net) = (transformer("plain"), controlnet("layers"));
    expect(&error(net.check_fit(&transformer("long"))), &["controlnet", "24", "288"]);
    let (x, text) = (images(), captions());
    let call = |followed: &[Tensor<4>]| {
        let inputs = ZImageControlInputs {
            x: &x,
            t: &[0.3],
            cap_feats: &text,
            control_context: followed,
            conditioning_scale: 1.0,
            patch_size: 2,
            f_patch_size: 1,
        };
        error(net.forward(&plain, &inputs))
    };
    expect(&call(&[values([9, 1, 6, 10], 0.0)]), &["`control_context`", "1 images to follow for 2"]);
    let wrong = [values([4, 1, 6, 10], 0.0), values([9, 1, 2, 6], 0.0)];
    expect(&call(&wrong), &["`control_context`", "4 channels", "9"]);
    let wrong = [values([9, 1, 6, 8], 0.0), values([9, 1, 2, 6], 0.0)];
    expect(&call(&wrong), &["`control_context`", "patches"]);
    let refused = |field: &str, value: Value| {
        let json: BTreeMap<String, Value> = json(&recorded("models.json"));
        let mut config = json["controlnet.layers"]["config"].clone();
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(ZImageControlNetModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("control_layers_places", vec![1, 2].into()), &["control_layers_places", "0"]);
    expect(&refused("control_in_dim", Value::Null), &["control_in_dim"]);
    expect(
        &refused("control_refiner_layers_places", vec![0, 1, 2].into()),
        &["control_refiner_layers_places"],
    );
    expect(&refused("add_control_noise_refiner", "other".into()), &["add_control_noise_refiner", "other"]);
}

#[test]
fn half_precision_is_close() {
    let model = transformer("plain").cast(DType::BF16);
    assert_eq!(model.dtype(), DType::BF16);
    let made = model.forward(&images(), &[0.3], &captions()).unwrap();
    let expected: Tensor<4> = outputs().floats("transformer.plain.0");
    assert_eq!(made[0].dtype(), DType::BF16);
    let scale = expected.clone().abs().max().into_scalar::<f32>();
    let made = made[0].clone().cast(DType::F32);
    assert_close("bf16", made / scale, expected / scale, 5e-2);
    let text = text_encoder("plain").cast(DType::BF16);
    let states = text.forward(&ids(), None).unwrap().last_hidden_state;
    assert_eq!(states.dtype(), DType::BF16);
    assert_close("text in bf16", states.cast(DType::F32), outputs().floats("text.plain.last"), 0.1);
}

fn ids() -> Vec<Vec<u32>> {
    [0, 1].map(|text| (0..9).map(|token| (text * 9 + token) * 7 % 50).collect()).to_vec()
}

#[test]
fn texts_are_embedded_as_in_python() {
    compare_texts(|_| ());
}

#[cfg(feature = "cuda")]
#[test]
fn cards_embed_texts_as_python_does() {
    compare_texts(|model| model.place_on_card(&oxidiff::interpreter()).unwrap());
}

/// Compares the texts of models that `prepare` has changed.
fn compare_texts(prepare: impl Fn(&mut Qwen3Model)) {
    let expected = outputs();
    // Padding at the end of the first text, and at the beginning of the second.
    let mask = vec![[1; 6].into_iter().chain([0; 3]).collect(), [0; 2].into_iter().chain([1; 7]).collect()];
    for name in ["plain", "bias", "one_head"] {
        let mut model = text_encoder(name);
        prepare(&mut model);
        let output = model.forward(&ids(), None).unwrap();
        let floats = |part: &str| expected.floats::<3>(&format!("text.{name}.{part}"));
        assert_close(name, output.last_hidden_state, floats("last"), TOLERANCE);
        let layers = model.config().num_hidden_layers;
        assert_eq!(output.hidden_states.len(), layers + 1);
        assert_close(name, output.hidden_states[layers - 1].clone(), floats("before_last"), TOLERANCE);
        let one = model.hidden_states(&ids(), None, &[layers - 1]).unwrap();
        assert_close(name, one[0].clone(), floats("before_last"), TOLERANCE);
        let masked = model.forward(&ids(), Some(&mask)).unwrap().last_hidden_state;
        assert_close("masked", masked, floats("masked"), TOLERANCE);
    }
}

#[test]
fn models_are_called_by_name() {
    let any: AnyModel = transformer("plain").into();
    let request =
        Request::default().with("x", images()).with("t", vec![0.3f32]).with("cap_feats", captions());
    let output = any.call(request).unwrap();
    let names: Vec<&str> = output.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["sample_0", "sample_1"]);
    let made = output.into_iter().map(|(_, sample)| sample.to_rank::<4>("sample").unwrap()).collect();
    compare("plain", made);
    let any: AnyModel = text_encoder("plain").into();
    let rows: Vec<Vec<usize>> =
        ids().into_iter().map(|row| row.into_iter().map(|id| id as usize).collect()).collect();
    let (name, states) = any.call(Request::default().with("input_ids", rows)).unwrap().remove(0);
    assert_eq!(name, "last_hidden_state");
    assert_close(
        "by name",
        states.to_rank::<3>("x").unwrap(),
        outputs().floats("text.plain.last"),
        TOLERANCE,
    );
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = transformer("plain");
    let call = |images: &[Tensor<4>], times: &[f32], captions: &[Tensor<2>]| {
        error(model.forward(images, times, captions))
    };
    let (x, text) = (images(), captions());
    expect(&call(&[], &[0.3], &[]), &["`x`", "at least one"]);
    expect(&call(&x, &[0.3], &text[..1]), &["`cap_feats`", "1 captions for 2 images"]);
    expect(&call(&x, &[0.1, 0.2, 0.3], &text), &["`t`", "3 times for 2 images"]);
    expect(&call(&[values([3, 1, 6, 10], 0.0)], &[0.3], &text[..1]), &["`x`", "3 channels", "4"]);
    expect(&call(&[values([4, 1, 5, 10], 0.0)], &[0.3], &text[..1]), &["`x`", "[4, 1, 5, 10]"]);
    let empty = Tensor::<2>::zeros([0, 16], &Device::flex());
    expect(&call(&x[..1], &[0.3], &[empty]), &["`cap_feats`", "[0, 16]"]);
    let short = Tensor::<2>::zeros([4, 15], &Device::flex());
    expect(&call(&x[..1], &[0.3], &[short]), &["`cap_feats`", "[4, 15]", "16"]);
    // There are 160 positions in time and 24 in each direction.
    expect(&call(&x[..1], &[0.3], &[caption(160, 0.0)]), &["`cap_feats`", "160 positions"]);
    expect(&call(&[values([4, 1, 6, 50], 0.0)], &[0.3], &text[..1]), &["`x`", "columns", "24 positions"]);
    let inputs = ZImageInputs { patch_size: 4, ..Default::default() };
    expect(&error(model.forward_with(&x, &[0.3], &text, &inputs)), &["`patch_size`", "2-1"]);

    let text = text_encoder("plain");
    let call = |ids: &[Vec<u32>], mask: Option<&[Vec<u32>]>| error(text.forward(ids, mask));
    expect(&call(&[], None), &["`input_ids`"]);
    expect(&call(&[vec![1, 2], vec![3]], None), &["`input_ids`", "same length"]);
    expect(&call(&[vec![1, 50]], None), &["token 50", "knows 50"]);
    expect(&call(&[vec![1; 257]], None), &["257 tokens", "256"]);
    expect(&call(&[vec![1, 2]], Some(&[vec![1]])), &["`attention_mask`"]);
    expect(&error(text.hidden_states(&ids(), None, &[4])), &["numbers"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let refused = |field: &str, value: Value| {
        let json: BTreeMap<String, Value> = json(&recorded("models.json"));
        let mut config = json["transformer.plain"]["config"].clone();
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(ZImageTransformer2DModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("dim", 25.into()), &["n_heads", "25"]);
    expect(&refused("dim", 0.into()), &["dim"]);
    expect(&refused("axes_dims", vec![4, 4, 6].into()), &["axes_dims", "12"]);
    expect(&refused("axes_dims", vec![3, 5, 4].into()), &["axes_dims", "pairs"]);
    expect(&refused("axes_dims", vec![6, 6].into()), &["axes_dims"]);
    expect(&refused("all_f_patch_size", vec![1, 1].into()), &["all_patch_size"]);
    expect(&refused("all_patch_size", vec![0].into()), &["all_patch_size"]);
    expect(&refused("rope_theta", 0.0.into()), &["rope_theta"]);
    expect(&refused("n_layers", 1_000_000.into()), &["n_layers"]);

    let refused = |field: &str, value: Value| {
        let json: BTreeMap<String, Value> = json(&recorded("models.json"));
        let mut config = json["text.plain"]["config"].clone();
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(Qwen3Model::from_config(&config, &Device::flex()))
    };
    expect(&refused("num_key_value_heads", 3.into()), &["num_key_value_heads", "3"]);
    expect(&refused("head_dim", 7.into()), &["head_dim"]);
    let yarn = serde_json::json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6});
    expect(&refused("rope_parameters", yarn.clone()), &["rope_parameters", "yarn"]);
    expect(&refused("rope_scaling", yarn), &["rope_scaling", "yarn"]);
    expect(
        &refused("rope_parameters", serde_json::json!({"rope_theta": -1.0})),
        &["rope_parameters", "-1.0"],
    );
    let types = vec!["full_attention", "sliding_attention", "full_attention"];
    expect(&refused("layer_types", types.into()), &["layer_types", "sliding_attention"]);
    expect(&refused("layer_types", vec!["full_attention"].into()), &["layer_types", "1 values for 3"]);
    let json: BTreeMap<String, Value> = json(&recorded("models.json"));
    let mut config = json["text.plain"]["config"].clone();
    for (field, value) in [("use_sliding_window", Value::from(true)), ("max_window_layers", 1.into())] {
        config[field] = value;
    }
    config["sliding_window"] = 16.into();
    let config = Config::from_json(&config.to_string()).unwrap();
    expect(&error(Qwen3Model::from_config(&config, &Device::flex())), &["use_sliding_window"]);
}
