//! The models alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Config, DType, Device, LoadOptions, Model, Request, SD3ControlNetInputs, SD3ControlNetModel,
    SD3Inputs, SD3Transformer2DModel, Tensor,
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

fn config(name: &str) -> Described {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    all.remove(name).unwrap_or_else(|| panic!("no {name}"))
}

/// A model of `models.json`.
fn described<M: Model>(name: &str) -> M {
    let Described { seed, config } = config(name);
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

pub fn transformer(name: &str) -> SD3Transformer2DModel {
    described(&format!("transformer.{name}"))
}

pub fn controlnet(name: &str) -> SD3ControlNetModel {
    described(&format!("controlnet.{name}"))
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn tokens(shape: [usize; 3], low: f32) -> Tensor<3> {
    let [a, b, c] = shape;
    values([1, a, b, c], low).reshape(shape)
}

fn pooled() -> Tensor<2> {
    values([1, 1, 2, 24], -0.7).reshape([2, 24])
}

fn inputs(model: &SD3Transformer2DModel) -> SD3Inputs<'static> {
    let (channels, patch) = (model.config().in_channels, model.config().patch_size);
    SD3Inputs {
        hidden_states: values([2, channels, 2 * patch, 5 * patch], -1.0),
        encoder_hidden_states: tokens([2, 7, 32], -1.2),
        pooled_projections: pooled(),
        timestep: &[731.25, 18.0],
        block_controlnet_hidden_states: &[],
        skip_layers: &[],
    }
}

#[track_caller]
fn compare(name: &str, made: Tensor<4>) {
    let name = format!("transformer.{name}");
    assert_close(&name, made, outputs().floats(&name), TOLERANCE);
}

#[test]
fn velocities_are_those_of_python() {
    for name in ["dual", "plain", "patches", "inpaint"] {
        let model = transformer(name);
        compare(name, model.forward(&inputs(&model)).unwrap());
    }
}

#[test]
fn blocks_are_left_out_and_controlled_as_in_python() {
    let model = transformer("dual");
    let call = |change: fn(&mut SD3Inputs<'_>)| {
        let mut inputs = inputs(&model);
        change(&mut inputs);
        model.forward(&inputs)
    };
    compare("skipped", call(|inputs| inputs.skip_layers = &[1]).unwrap());
    compare("last_skipped", call(|inputs| inputs.skip_layers = &[0, 2]).unwrap());
    let samples = [tokens([2, 10, 16], -0.8), tokens([2, 10, 16], -0.4)];
    let controlled = |samples: &[Tensor<3>], skip_layers: &[usize]| {
        let inputs = SD3Inputs { block_controlnet_hidden_states: samples, skip_layers, ..inputs(&model) };
        model.forward(&inputs)
    };
    compare("controlled", controlled(&samples, &[]).unwrap());
    compare("controlled_once", controlled(&samples[..1], &[0]).unwrap());

    expect(&error(call(|inputs| inputs.skip_layers = &[3])), &["skip_layers", "3 blocks"]);
    let wrong = [tokens([2, 9, 16], 0.0)];
    expect(&error(controlled(&wrong, &[])), &["block_controlnet_hidden_states", "[2, 10, 16]"]);
    expect(&error(call(|inputs| inputs.timestep = &[1.0, 2.0, 3.0])), &["timestep", "2 items"]);
    expect(&error(call(|inputs| inputs.timestep = &[f32::NAN])), &["timestep", "NaN"]);
    let odd = call(|inputs| inputs.hidden_states = values([2, 16, 3, 4], 0.0));
    expect(&error(odd), &["hidden_states", "[2, 16, 3, 4]", "multiples of 2"]);
    let large = call(|inputs| inputs.hidden_states = values([2, 16, 4, 18], 0.0));
    expect(&error(large), &["hidden_states", "up to 16", "pos_embed_max_size"]);
    let text = call(|inputs| inputs.encoder_hidden_states = tokens([2, 7, 30], 0.0));
    expect(&error(text), &["encoder_hidden_states", "32 features"]);
    let pooled = call(|inputs| inputs.pooled_projections = values([1, 1, 1, 24], 0.0).reshape([1, 24]));
    expect(&error(pooled), &["pooled_projections", "[1, 24]"]);
}

#[test]
fn what_controlnets_add_is_what_they_add_in_python() {
    let base = transformer("plain");
    for name in ["plain", "masked", "blind", "short"] {
        let net = controlnet(name);
        let reads_text = net.config().joint_attention_dim.is_some();
        let inputs = SD3ControlNetInputs {
            hidden_states: values([2, 16, 4, 10], -1.0),
            controlnet_cond: values([2, net.config().condition_channels(), 4, 10], -0.6),
            conditioning_scale: 0.7,
            encoder_hidden_states: reads_text.then(|| tokens([2, 7, 32], -1.2)),
            pooled_projections: pooled(),
            timestep: &[500.0, 20.0],
            transformer: Some(&base),
        };
        let samples = net.forward(&inputs).unwrap();
        assert_eq!(samples.len(), net.config().num_layers);
        for (index, sample) in samples.into_iter().enumerate() {
            let key = format!("controlnet.{name}.{index}");
            assert_close(&key, sample, outputs().floats(&key), TOLERANCE);
        }
        let wrong = SD3ControlNetInputs { controlnet_cond: values([2, 16, 4, 8], 0.0), ..inputs.clone() };
        expect(&error(net.forward(&wrong)), &["controlnet_cond", "[2, 16, 4, 8]"]);
        let other = (!reads_text).then(|| tokens([2, 7, 32], 0.0));
        let wrong = SD3ControlNetInputs { encoder_hidden_states: other, ..inputs.clone() };
        expect(&error(net.forward(&wrong)), &["encoder_hidden_states"]);
        if name == "blind" {
            let alone = SD3ControlNetInputs { transformer: None, ..inputs };
            expect(&error(net.forward(&alone)), &["transformer", "pos_embed"]);
        }
    }
}

#[test]
fn positions_of_a_new_model_are_those_of_python() {
    let Described { config, .. } = config("transformer.dual");
    let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    SD3Transformer2DModel::from_config(&config, &Device::flex())
        .unwrap()
        .save_pretrained(folder.path())
        .unwrap();
    let file = folder.path().join("diffusion_pytorch_model.safetensors");
    let table: Tensor<3> = Recorded::open(&file).floats("pos_embed.pos_embed");
    let some = (0..64).step_by(7).map(|place| table.clone().narrow(1, place, 1)).collect();
    assert_close("positions", Tensor::cat(some, 1), outputs().floats("positions"), 1e-6);
}

#[test]
fn smaller_types_stay_close() {
    let folder = tempfile::tempdir().unwrap();
    transformer("dual").save_pretrained(folder.path()).unwrap();
    let expected: Tensor<4> = outputs().floats("transformer.dual");
    for (dtype, tolerance) in [(DType::F16, 2e-2), (DType::BF16, 1e-1)] {
        let options = LoadOptions { dtype, ..Default::default() };
        let path = folder.path().to_str().unwrap();
        let model = SD3Transformer2DModel::from_pretrained_with(path, &options).unwrap();
        let made = model.forward(&inputs(&model)).unwrap();
        assert_eq!(made.dtype(), dtype);
        assert_close(&format!("{dtype:?}"), made.cast(DType::F32), expected.clone(), tolerance);
    }
    let any = AnyModel::from_pretrained(
        SD3Transformer2DModel::CLASS_NAME,
        folder.path().to_str().unwrap(),
        &LoadOptions::default(),
    )
    .unwrap();
    let given = inputs(&transformer("dual"));
    let request = Request::default()
        .with("hidden_states", given.hidden_states)
        .with("encoder_hidden_states", given.encoder_hidden_states)
        .with("pooled_projections", given.pooled_projections)
        .with("timestep", vec![731.25, 18.0])
        .with("skip_layers", vec![1]);
    let (name, sample) = any.call(request).unwrap().remove(0);
    assert_eq!(name, "sample");
    compare("skipped", sample.to_rank("sample").unwrap());
}

#[test]
fn contradictory_configurations_are_refused() {
    let refused = |field: &str, value: Value| {
        let Described { mut config, .. } = config("transformer.dual");
        config.insert(field.into(), value);
        let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
        error(SD3Transformer2DModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("qk_norm", json!("layer_norm")), &["qk_norm", "layer_norm"]);
    expect(&refused("caption_projection_dim", json!(12)), &["caption_projection_dim", "16 features"]);
    expect(&refused("num_attention_heads", json!(0)), &["num_attention_heads"]);
    expect(&refused("sample_size", json!(1)), &["sample_size"]);
    expect(&refused("pos_embed_max_size", json!(0)), &["pos_embed_max_size"]);
    expect(&refused("out_channels", json!(0)), &["out_channels"]);
    let net = |field: &str, value: Value| {
        let Described { mut config, .. } = config("controlnet.plain");
        config.insert(field.into(), value);
        let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
        error(SD3ControlNetModel::from_config(&config, &Device::flex()))
    };
    expect(&net("pos_embed_type", json!("learned")), &["pos_embed_type", "learned"]);
}
