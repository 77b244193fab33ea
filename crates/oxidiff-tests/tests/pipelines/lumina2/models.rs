//! The transformer alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Config, DType, Device, Lumina2Inputs, Lumina2Transformer2DModel, Model, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 4] = ["plain", "other", "patches", "long"];

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A transformer of `models.json`.
pub fn transformer(name: &str) -> Lumina2Transformer2DModel {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(&format!("transformer.{name}")).unwrap();
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

/// Of texts with so many tokens each.
fn mask(lengths: [usize; 2], tokens: usize) -> Tensor<2> {
    let counts = |length: usize| (0..tokens).map(move |token| if token < length { 1.0f32 } else { 0.0 });
    let values: Vec<f32> = lengths.into_iter().flat_map(counts).collect();
    Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([2, tokens])
}

/// Calls with inputs like those of the script.
fn inputs<'a>(channels: usize, timestep: &'a [f32], mask: &'a Tensor<2>) -> Lumina2Inputs<'a> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    Lumina2Inputs {
        hidden_states: values([2, channels, 8, 12], -1.2),
        timestep,
        encoder_hidden_states: values([1, 2, 9, 16], -1.0).reshape([2, 9, 16]) * factors.reshape([2, 1, 1]),
        encoder_attention_mask: mask,
    }
}

#[test]
fn velocities_are_predicted_as_in_python() {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    for name in TRANSFORMERS {
        let model = transformer(name);
        let channels = model.config().in_channels;
        let cases: [(&str, &[f32], [usize; 2]); 3] =
            [("", &[0.7], [9, 9]), (".times", &[0.9, 0.2], [5, 9]), (".ends", &[0.0, 1.0], [7, 1])];
        for (suffix, times, lengths) in cases {
            let key = format!("transformer.{name}{suffix}");
            let made = model.forward(&inputs(channels, times, &mask(lengths, 9))).unwrap();
            assert_close(&key, made, recorded.floats(&key), TOLERANCE);
        }
    }
}

#[test]
fn tokens_that_fill_up_a_text_change_nothing() {
    let model = transformer("plain");
    let mask = mask([5, 9], 9);
    let call = inputs(4, &[0.4], &mask);
    let plain = model.forward(&call).unwrap();
    let other = call.encoder_hidden_states.clone() + (-mask.clone() + 1.0).unsqueeze_dim::<3>(2) * 7.0;
    let made = model.forward(&Lumina2Inputs { encoder_hidden_states: other, ..call }).unwrap();
    assert_close("filled up", made, plain, 0.0);
}

#[test]
fn a_call_by_name_is_the_same() {
    let model = transformer("plain");
    let mask = mask([5, 9], 9);
    let typed = inputs(4, &[0.9, 0.2], &mask);
    let expected = model.forward(&typed).unwrap();
    let request = Request::default()
        .with("hidden_states", typed.hidden_states.clone())
        .with("encoder_hidden_states", typed.encoder_hidden_states.clone())
        .with("timestep", vec![0.9, 0.2])
        .with("encoder_attention_mask", mask.clone());
    let made = AnyModel::from(model).call(request).unwrap();
    let (name, sample) = made.into_iter().next().unwrap();
    assert_eq!(name, "sample");
    assert_close("by name", sample.to_rank::<4>("sample").unwrap(), expected, 0.0);
}

#[test]
fn smaller_types_stay_close() {
    let model = transformer("plain");
    let mask = mask([5, 9], 9);
    let expected = model.forward(&inputs(4, &[0.4], &mask)).unwrap();
    for (dtype, tolerance) in [(DType::F16, 2e-2), (DType::BF16, 0.15)] {
        let made = model.cast(dtype).forward(&inputs(4, &[0.4], &mask)).unwrap();
        assert_eq!(made.dtype(), dtype);
        assert_close(&format!("{dtype:?}"), made.cast(DType::F32), expected.clone(), tolerance);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = transformer("plain");
    let whole = mask([9, 9], 9);
    let good = || inputs(4, &[0.5], &whole);
    let refused = |inputs: Lumina2Inputs<'_>| error(model.forward(&inputs));
    let call = Lumina2Inputs { hidden_states: values([2, 3, 8, 12], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 3, 8, 12]", "4 channels"]);
    let call = Lumina2Inputs { hidden_states: values([2, 4, 8, 11], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "8x11", "2x2"]);
    let call = Lumina2Inputs { hidden_states: values([2, 4, 66, 2], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "position 32", "row", "axes_lens", "32"]);
    let call = Lumina2Inputs { hidden_states: values([1, 4, 8, 12], 0.0), ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 9, 16]", "1 images"]);
    let narrow = values([1, 2, 9, 15], 0.0).reshape([2, 9, 15]);
    let call = Lumina2Inputs { encoder_hidden_states: narrow, ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 9, 15]", "16"]);
    let (long, ones) = (values([1, 2, 200, 16], 0.0).reshape([2, 200, 16]), mask([200, 1], 200));
    let call = Lumina2Inputs { encoder_hidden_states: long, encoder_attention_mask: &ones, ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "position 200", "axes_lens"]);
    expect(&refused(Lumina2Inputs { timestep: &[0.1; 3], ..good() }), &["`timestep`", "3 times", "2 images"]);
    let other = mask([9, 9], 10);
    let call = Lumina2Inputs { encoder_attention_mask: &other, ..good() };
    expect(&refused(call), &["`encoder_attention_mask`", "[2, 10]", "[2, 9]"]);
    let none = mask([9, 0], 9);
    let call = Lumina2Inputs { encoder_attention_mask: &none, ..good() };
    expect(&refused(call), &["`encoder_attention_mask`", "all tokens of prompt 1"]);
    let left = -mask([9, 4], 9) + 1.0 + mask([9, 0], 9);
    let call = Lumina2Inputs { encoder_attention_mask: &left, ..good() };
    expect(&refused(call), &["`encoder_attention_mask`", "prompt 1", "on the right"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for (field, value, words) in [
        ("hidden_size", json!(25), &["num_attention_heads", "25"][..]),
        ("num_kv_heads", json!(3), &["num_kv_heads", "3"]),
        ("num_attention_heads", json!(0), &["num_attention_heads", "0"]),
        ("axes_dim_rope", json!([4, 4, 6]), &["axes_dim_rope", "12"]),
        ("axes_dim_rope", json!([3, 5, 4]), &["axes_dim_rope", "pairs"]),
        ("multiple_of", json!(0), &["multiple_of", "0"]),
        ("ffn_dim_multiplier", json!(-1.0), &["ffn_dim_multiplier", "-1"]),
        ("norm_eps", json!(0.0), &["norm_eps", "0"]),
        ("num_layers", json!(5000), &["num_layers", "1024"]),
        ("patch_size", json!(0), &["patch_size", "0"]),
    ] {
        let mut config: Value = json(&recorded("checkpoint/transformer/config.json"));
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        let made = Lumina2Transformer2DModel::from_config(&config, &Device::flex());
        expect(&error(made), words);
    }
}
