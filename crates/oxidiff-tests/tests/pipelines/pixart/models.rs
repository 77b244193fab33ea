//! The transformer alone, and what comes before and after it.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Config, DType, Device, Model, PixArtInputs, PixArtTransformer2DModel, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 10] =
    ["alpha", "small", "sigma", "large", "told", "affine", "unprojected", "silent", "odd", "approximate"];
const RESOLUTIONS: [[f32; 2]; 2] = [[48.0, 80.0], [1024.0, 512.0]];
const RATIOS: [f32; 2] = [0.6, 2.0];

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A transformer of `models.json`.
pub fn transformer(name: &str) -> PixArtTransformer2DModel {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(&format!("transformer.{name}")).unwrap();
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

/// Calls with inputs like those of the script.
fn inputs<'a>(model: &PixArtTransformer2DModel, timestep: &'a [f32]) -> PixArtInputs<'a> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    let side = 3 * model.config().patch_size;
    let text: Tensor<3> = values([1, 2, 7, 24], -1.0).reshape([2, 7, 24]);
    PixArtInputs {
        hidden_states: values([2, model.config().in_channels, side, 2 * side], -1.2),
        encoder_hidden_states: Some(text * factors.reshape([2, 1, 1])),
        timestep,
        resolution: Some(&RESOLUTIONS),
        aspect_ratio: Some(&RATIOS),
        encoder_attention_mask: None,
        attention_mask: None,
    }
}

/// Four tokens of the first prompt do not count, and one of the second.
fn counts() -> Tensor<2> {
    let row =
        |shown: usize| (0..7).map(move |token| if token < shown { 1.0f32 } else { 0.0 }).collect::<Vec<_>>();
    let values = [row(3), row(6)].concat();
    Tensor::<1>::from_data(values.as_slice(), (&Device::flex(), DType::F32)).reshape([2, 7])
}

/// Every second value of the last dimension, where there are many.
fn thinned(values: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = values.dims();
    if batch * channels * height * width <= 1000 {
        return values;
    }
    let columns: Vec<Tensor<4>> =
        (0..width).step_by(2).map(|column| values.clone().narrow(3, column, 1)).collect();
    Tensor::cat(columns, 3)
}

#[test]
fn latents_are_predicted_as_in_python() {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    for name in TRANSFORMERS {
        let model = transformer(name);
        let check = |key: String, inputs: &PixArtInputs<'_>| {
            let made = thinned(model.forward(inputs).unwrap());
            assert_close(&key, made, recorded.floats(&key), TOLERANCE);
        };
        let key = format!("transformer.{name}");
        check(key.clone(), &inputs(&model, &[981.0]));
        let times = inputs(&model, &[999.5, 20.0]);
        check(format!("{key}.times"), &PixArtInputs { encoder_attention_mask: Some(counts()), ..times });
        if ["alpha", "affine", "silent"].contains(&name) {
            let patches: Tensor<2> =
                values([1, 1, 2, 18], -1.0).reshape::<2, _>([2, 18]).greater_scalar(0.0).float();
            let fractions: Tensor<2> = values([1, 1, 2, 7], 0.0).reshape::<2, _>([2, 7]) / -4096.0 + 1.0;
            let call = PixArtInputs {
                encoder_attention_mask: Some(fractions),
                attention_mask: Some(patches),
                ..inputs(&model, &[1.0, 500.0])
            };
            check(format!("{key}.mask"), &call);
        }
    }
}

#[test]
fn a_call_by_name_is_the_same() {
    let model = transformer("alpha");
    let typed = PixArtInputs { encoder_attention_mask: Some(counts()), ..inputs(&model, &[900.0, 20.0]) };
    let expected = model.forward(&typed).unwrap();
    let tensor = |values: &[f32]| Tensor::<1>::from_data(values, (&Device::flex(), DType::F32));
    let sizes: Tensor<2> = tensor(RESOLUTIONS.as_flattened()).reshape([2, 2]);
    let ratios: Tensor<2> = tensor(&RATIOS).reshape([2, 1]);
    let request = Request::default()
        .with("hidden_states", typed.hidden_states.clone())
        .with("encoder_hidden_states", typed.encoder_hidden_states.clone().unwrap())
        .with("timestep", vec![900.0, 20.0])
        .with("resolution", sizes)
        .with("aspect_ratio", ratios)
        .with("encoder_attention_mask", counts());
    let made = AnyModel::from(model).call(request).unwrap();
    let (name, sample) = made.into_iter().next().unwrap();
    assert_eq!(name, "sample");
    assert_close("by name", sample.to_rank::<4>("sample").unwrap(), expected, 0.0);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = transformer("alpha");
    let good = || inputs(&model, &[500.0]);
    let refused = |inputs: PixArtInputs<'_>| error(model.forward(&inputs));
    let call = PixArtInputs { hidden_states: values([2, 3, 6, 6], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 3, 6, 6]", "4 channels"]);
    let call = PixArtInputs { hidden_states: values([2, 4, 5, 6], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 4, 5, 6]", "multiples of 2"]);
    let text = Some(values([1, 2, 7, 23], 0.0).reshape([2, 7, 23]));
    let call = PixArtInputs { encoder_hidden_states: text, ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 7, 23]", "24"]);
    expect(
        &refused(PixArtInputs { encoder_hidden_states: None, ..good() }),
        &["`encoder_hidden_states`", "given"],
    );
    expect(&refused(PixArtInputs { timestep: &[0.1; 3], ..good() }), &["`timestep`", "3", "2 items"]);
    expect(&refused(PixArtInputs { timestep: &[f32::NAN], ..good() }), &["`timestep`", "NaN"]);
    let missing = ["`resolution`", "use_additional_conditions"];
    expect(&refused(PixArtInputs { resolution: None, ..good() }), &missing);
    expect(&refused(PixArtInputs { aspect_ratio: Some(&[1.0; 3]), ..good() }), &["`aspect_ratio`", "3"]);
    let mask = Some(values([1, 1, 2, 6], 0.0).reshape([2, 6]));
    let call = PixArtInputs { encoder_attention_mask: mask, ..good() };
    expect(&refused(call), &["`encoder_attention_mask`", "[2, 6]", "[2, 7]"]);
    let call = PixArtInputs { attention_mask: Some(counts() / 0.0), ..good() };
    expect(&refused(call), &["`attention_mask`", "[2, 7]", "[2, 18]"]);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (field, value, words) in [
        ("norm_type", json!("ada_norm_zero"), &["norm_type", "ada_norm_zero", "ada_norm_single"][..]),
        ("attention_type", json!("gated"), &["attention_type", "gated", "GLIGEN"]),
        ("num_embeds_ada_norm", Value::Null, &["num_embeds_ada_norm"]),
        ("num_attention_heads", json!(0), &["num_attention_heads", "0"]),
        ("attention_head_dim", json!(7), &["attention_head_dim", "14"]),
        ("attention_head_dim", json!(8), &["use_additional_conditions", "16", "three"]),
        ("cross_attention_dim", json!(25), &["cross_attention_dim", "25", "24"]),
        ("interpolation_scale", json!(0), &["interpolation_scale", "0"]),
        ("sample_size", json!(1), &["sample_size", "1"]),
    ] {
        let mut config: Value = json(&recorded("checkpoint/transformer/config.json"));
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        let made = PixArtTransformer2DModel::from_config(&config, &Device::flex());
        expect(&error(made), words);
    }
}
