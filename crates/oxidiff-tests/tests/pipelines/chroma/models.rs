//! The transformer alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, ChromaInputs, ChromaTransformer2DModel, Config, DType, Device, FluxControlSamples, Model,
    Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 3] = ["plain", "deep", "other"];
const TEXT_PLACES: [[f32; 3]; 7] = [[0.0; 3]; 7];

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A transformer of `models.json`.
pub fn transformer(name: &str) -> ChromaTransformer2DModel {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(&format!("transformer.{name}")).unwrap();
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn tokens(count: usize, features: usize, low: f32) -> Tensor<3> {
    values([1, 2, count, features], low).reshape([2, count, features])
}

/// Of six tokens in two columns.
fn places() -> Vec<[f32; 3]> {
    (0..6).map(|index| [1.0, (index / 2) as f32, (index % 2) as f32]).collect()
}

/// Calls with inputs like those of the script.
fn inputs<'a>(
    features: usize,
    img_ids: &'a [[f32; 3]],
    timestep: &'a [f32],
    attention_mask: Option<Tensor<2>>,
) -> ChromaInputs<'a> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    ChromaInputs {
        hidden_states: tokens(6, features, -1.2),
        encoder_hidden_states: tokens(7, 24, -1.0) * factors.reshape([2, 1, 1]),
        timestep,
        img_ids,
        txt_ids: &TEXT_PLACES,
        attention_mask,
    }
}

/// Four tokens of the first prompt do not count, and one of the second.
fn counts() -> Tensor<2> {
    let row = |hidden: std::ops::Range<usize>| {
        (0..13).map(move |token| if hidden.contains(&token) { 0.0f32 } else { 1.0 })
    };
    let values: Vec<f32> = row(3..7).chain(row(6..7)).collect();
    Tensor::<1>::from_data(values.as_slice(), (&Device::flex(), DType::F32)).reshape([2, 13])
}

#[test]
fn tokens_are_predicted_as_in_python() {
    let (image, recorded) = (places(), Recorded::open(&recorded("models.safetensors")));
    for name in TRANSFORMERS {
        let model = transformer(name);
        let config = model.config().clone();
        let dim = config.attention_head_dim * config.num_attention_heads;
        let [first, second] = [-0.5, -0.8].map(|low| tokens(6, dim, low));
        let control = FluxControlSamples {
            blocks: vec![first, second.clone()],
            single_blocks: vec![second],
            repeat: false,
        };
        let none = FluxControlSamples::default();
        let fractions = values([1, 1, 2, 13], -0.5).reshape([2, 13]);
        let cases: [(&str, &[f32], Option<Tensor<2>>, &FluxControlSamples); 4] = [
            ("", &[0.7], None, &none),
            (".times", &[0.9, 0.2], Some(counts()), &none),
            (".mask", &[1.0, 0.05], Some(fractions), &none),
            (".control", &[0.7], None, &control),
        ];
        for (suffix, times, mask, control) in cases {
            let key = format!("transformer.{name}{suffix}");
            let made = model.forward_with(&inputs(config.in_channels, &image, times, mask), control).unwrap();
            assert_close(&key, made, recorded.floats(&key), TOLERANCE);
        }
    }
}

#[test]
fn a_mask_of_ones_changes_nothing() {
    let (model, image) = (transformer("plain"), places());
    let plain = model.forward(&inputs(16, &image, &[0.4], None)).unwrap();
    let ones = Some(counts().ones_like());
    let same = model.forward(&inputs(16, &image, &[0.4], ones)).unwrap();
    assert_close("ones", same, plain.clone(), 1e-5);
    let masked = model.forward(&inputs(16, &image, &[0.4], Some(counts()))).unwrap();
    assert!((masked - plain).abs().max().into_scalar::<f32>() > 1e-3);
}

#[test]
fn a_call_by_name_is_the_same() {
    let (model, image) = (transformer("plain"), places());
    let typed = inputs(16, &image, &[0.9, 0.2], Some(counts()));
    let expected = model.forward(&typed).unwrap();
    let flat: Vec<f32> = image.concat();
    let ids = |values: &[f32]| {
        Tensor::<1>::from_data(values, (&Device::flex(), DType::F32)).reshape::<2, _>([values.len() / 3, 3])
    };
    let request = Request::default()
        .with("hidden_states", typed.hidden_states.clone())
        .with("encoder_hidden_states", typed.encoder_hidden_states.clone())
        .with("timestep", vec![0.9, 0.2])
        .with("img_ids", ids(&flat))
        .with("txt_ids", ids(&[0.0; 21]))
        .with("attention_mask", counts());
    let made = AnyModel::from(model).call(request).unwrap();
    let (name, sample) = made.into_iter().next().unwrap();
    assert_eq!(name, "sample");
    assert_close("by name", sample.to_rank::<3>("sample").unwrap(), expected, 0.0);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let (model, image) = (transformer("plain"), places());
    let good = || inputs(16, &image, &[0.5], None);
    let refused = |inputs: ChromaInputs<'_>| error(model.forward(&inputs));
    let call = ChromaInputs { hidden_states: tokens(6, 15, 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 6, 15]", "16"]);
    let call = ChromaInputs { encoder_hidden_states: tokens(7, 23, 0.0), ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 7, 23]", "24"]);
    expect(&refused(ChromaInputs { timestep: &[0.1; 3], ..good() }), &["`timestep`", "3", "2 items"]);
    expect(&refused(ChromaInputs { timestep: &[f32::NAN], ..good() }), &["`timestep`", "NaN"]);
    expect(&refused(ChromaInputs { img_ids: &image[..5], ..good() }), &["`img_ids`", "5 tokens", "6"]);
    let mask = Some(values([1, 1, 2, 7], 0.0).reshape([2, 7]));
    expect(
        &refused(ChromaInputs { attention_mask: mask, ..good() }),
        &["`attention_mask`", "[2, 7]", "[2, 13]"],
    );
    let mask = Some(counts() / 0.0);
    expect(&refused(ChromaInputs { attention_mask: mask, ..good() }), &["`attention_mask`", "finite"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for (field, value, words) in [
        ("approximator_num_channels", json!(18), &["approximator_num_channels", "18"][..]),
        ("approximator_hidden_dim", json!(0), &["approximator_hidden_dim", "0"]),
        ("approximator_layers", json!(5000), &["approximator_layers", "1024"]),
        ("axes_dims_rope", json!([4, 6, 8]), &["axes_dims_rope", "16"]),
        ("num_attention_heads", json!(0), &["num_attention_heads", "0"]),
        ("patch_size", json!(0), &["patch_size", "0"]),
    ] {
        let mut config: Value = json(&recorded("checkpoint/transformer/config.json"));
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        let made = ChromaTransformer2DModel::from_config(&config, &Device::flex());
        expect(&error(made), words);
    }
}
