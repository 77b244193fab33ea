//! The transformer and the text encoder alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, AuraFlowInputs, AuraFlowTransformer2DModel, Config, DType, Device, Model, Request, Tensor,
    UMT5EncoderModel,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
fn model<M: Model>(name: &str) -> M {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap();
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

/// A transformer of `models.json`.
pub fn transformer(name: &str) -> AuraFlowTransformer2DModel {
    model(&format!("transformer.{name}"))
}

/// Calls with inputs like those of the script.
fn inputs(channels: usize, timestep: &[f32]) -> AuraFlowInputs<'_> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    let text: Tensor<3> = values([1, 2, 7, 24], -1.0).reshape([2, 7, 24]);
    AuraFlowInputs {
        hidden_states: values([2, channels, 6, 10], -1.2),
        encoder_hidden_states: text * factors.reshape([2, 1, 1]),
        timestep,
    }
}

#[test]
fn latents_are_predicted_as_in_python() {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    for name in ["plain", "joint", "single", "other"] {
        let model = transformer(name);
        for (suffix, times) in [("", &[0.7][..]), (".times", &[1.0, 0.05])] {
            let key = format!("transformer.{name}{suffix}");
            let made = model.forward(&inputs(model.config().in_channels, times)).unwrap();
            assert_close(&key, made, recorded.floats(&key), TOLERANCE);
        }
    }
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
fn compare_texts(prepare: impl Fn(&mut UMT5EncoderModel)) {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    let text = |step: usize| (0..9).map(|place| ((7 * place * step + 3 * step) % 320) as u32).collect();
    let ids: Vec<Vec<u32>> = vec![text(1), text(2)];
    let shown = |range: std::ops::Range<u32>| (0..9).map(|place| u32::from(range.contains(&place))).collect();
    let mask: Vec<Vec<u32>> = vec![shown(0..5), shown(2..9)];
    for name in ["gated", "plain", "buckets"] {
        let mut model: UMT5EncoderModel = model(&format!("encoder.{name}"));
        prepare(&mut model);
        let key = format!("encoder.{name}");
        let made = model.forward(&ids, None).unwrap().last_hidden_state;
        assert_close(&key, made.clone(), recorded.floats(&key), TOLERANCE);
        let masked = model.forward(&ids, Some(&mask)).unwrap().last_hidden_state;
        let key = format!("{key}.masked");
        assert_close(&key, masked, recorded.floats(&key), TOLERANCE);
        let rows = |ids: &[Vec<u32>]| {
            ids.iter().map(|row| row.iter().map(|id| *id as usize).collect()).collect::<Vec<Vec<usize>>>()
        };
        let request = Request::default().with("input_ids", rows(&ids));
        let by_name = AnyModel::from(model).call(request).unwrap();
        let (_, states) = by_name.into_iter().next().unwrap();
        assert_close("by name", states.to_rank::<3>("states").unwrap(), made, 0.0);
    }
}

#[test]
fn a_call_by_name_is_the_same() {
    let model = transformer("plain");
    let typed = inputs(4, &[0.9, 0.2]);
    let expected = model.forward(&typed).unwrap();
    let request = Request::default()
        .with("hidden_states", typed.hidden_states.clone())
        .with("encoder_hidden_states", typed.encoder_hidden_states.clone())
        .with("timestep", vec![0.9, 0.2]);
    let made = AnyModel::from(model).call(request).unwrap();
    let (name, sample) = made.into_iter().next().unwrap();
    assert_eq!(name, "sample");
    assert_close("by name", sample.to_rank::<4>("sample").unwrap(), expected, 0.0);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = transformer("plain");
    let good = || inputs(4, &[0.5]);
    let refused = |inputs: AuraFlowInputs<'_>| error(model.forward(&inputs));
    let call = AuraFlowInputs { hidden_states: values([2, 3, 6, 6], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 3, 6, 6]", "4 channels"]);
    // Of 50 positions, 49 are a square.
    let call = AuraFlowInputs { hidden_states: values([2, 4, 6, 16], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 4, 6, 16]", "14"]);
    let call = AuraFlowInputs { hidden_states: values([2, 4, 5, 6], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 4, 5, 6]", "multiples of 2"]);
    let text = values([1, 2, 7, 23], 0.0).reshape([2, 7, 23]);
    let call = AuraFlowInputs { encoder_hidden_states: text, ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 7, 23]", "24"]);
    expect(&refused(AuraFlowInputs { timestep: &[0.1; 3], ..good() }), &["`timestep`", "3", "2 items"]);
    expect(&refused(AuraFlowInputs { timestep: &[f32::NAN], ..good() }), &["`timestep`", "NaN"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for (field, value, words) in [
        ("caption_projection_dim", json!(20), &["caption_projection_dim", "20", "16"][..]),
        ("pos_embed_max_size", json!(0), &["pos_embed_max_size", "0"]),
        ("num_attention_heads", json!(0), &["num_attention_heads", "0"]),
        ("num_single_dit_layers", json!(5000), &["num_single_dit_layers", "1024"]),
    ] {
        let mut config: Value = json(&recorded("checkpoint/transformer/config.json"));
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        let made = AuraFlowTransformer2DModel::from_config(&config, &Device::flex());
        expect(&error(made), words);
    }
    let mut config: Value = json(&recorded("checkpoint/text_encoder/config.json"));
    config["model_type"] = json!("t5");
    let config = Config::from_json(&config.to_string()).unwrap();
    expect(&error(UMT5EncoderModel::from_config(&config, &Device::flex())), &["model_type", "t5", "umt5"]);
}
