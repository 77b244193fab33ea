//! The models alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Config, DType, Device, FluxControlCondition, FluxControlNetInputs, FluxControlNetModel,
    FluxControlSamples, FluxInputs, FluxTransformer2DModel, Model, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 5] = ["dev", "schnell", "other", "fill", "control"];
/// The kinds of images of two items.
const MODES: [usize; 2] = [2, 0];
const TEXT_PLACES: [[f32; 3]; 7] = [[0.0; 3]; 7];

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

pub fn transformer(name: &str) -> FluxTransformer2DModel {
    described(&format!("transformer.{name}"))
}

pub fn controlnet(name: &str) -> FluxControlNetModel {
    described(&format!("controlnet.{name}"))
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn tokens(count: usize, features: usize, low: f32) -> Tensor<3> {
    values([1, 2, count, features], low).reshape([2, count, features])
}

/// Of tokens in two columns.
fn places(count: usize, image: f32) -> Vec<[f32; 3]> {
    (0..count).map(|index| [image, (index / 2) as f32, (index % 2) as f32]).collect()
}

/// Two prompts.
fn text() -> Tensor<3> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    tokens(7, 24, -1.0) * factors.reshape([2, 1, 1])
}

/// Calls with inputs like those of the script.
fn inputs<'a>(
    hidden_states: Tensor<3>,
    img_ids: &'a [[f32; 3]],
    timestep: &'a [f32],
    guidance: Option<&'a [f32]>,
) -> FluxInputs<'a> {
    FluxInputs {
        hidden_states,
        encoder_hidden_states: text(),
        pooled_projections: values([1, 1, 2, 12], -1.1).reshape([2, 12]),
        timestep,
        img_ids,
        txt_ids: &TEXT_PLACES,
        guidance,
    }
}

#[test]
fn tokens_are_predicted_as_in_python() {
    let (image, recorded) = (places(6, 1.0), outputs());
    for name in TRANSFORMERS {
        let model = transformer(name);
        let config = model.config().clone();
        let is_guided = config.guidance_embeds;
        let (same, each): (Option<&[f32]>, Option<&[f32]>) =
            (is_guided.then_some(&[3.5]), is_guided.then_some(&[1.5, 4.0]));
        let call = |times: &[f32], guidance, control: &FluxControlSamples| {
            let inputs = inputs(tokens(6, config.in_channels, -1.2), &image, times, guidance);
            model.forward_with(&inputs, control).unwrap()
        };
        let none = FluxControlSamples::default();
        let key = format!("transformer.{name}");
        assert_close(&key, call(&[0.7], same, &none), recorded.floats(&key), TOLERANCE);
        let key = format!("transformer.{name}.times");
        assert_close(&key, call(&[0.9, 0.2], each, &none), recorded.floats(&key), TOLERANCE);
        let dim = config.attention_head_dim * config.num_attention_heads;
        let [first, second] = [-0.5, -0.8].map(|low| tokens(6, dim, low));
        let both = || vec![first.clone(), second.clone()];
        let (blocks, single_blocks) = (vec![first.clone()], vec![second.clone()]);
        for (added, control) in [
            ("one", FluxControlSamples { blocks, single_blocks, repeat: false }),
            ("two", FluxControlSamples { blocks: both(), ..Default::default() }),
            ("repeated", FluxControlSamples { blocks: both(), repeat: true, ..Default::default() }),
        ] {
            let key = format!("transformer.{name}.{added}");
            assert_close(&key, call(&[0.7], each, &control), recorded.floats(&key), TOLERANCE);
        }
    }
}

#[test]
fn controlnets_say_what_to_add_as_in_python() {
    let (image, recorded) = (places(6, 0.0), outputs());
    for name in ["edges", "union", "pixels"] {
        let model = controlnet(name);
        let config = model.config().clone();
        let guidance: Option<&[f32]> = config.guidance_embeds.then_some(&[3.5]);
        let controlnet_cond = match model.takes_pixels() {
            true => FluxControlCondition::Pixels(values([2, 3, 48, 32], -1.0)),
            false => FluxControlCondition::Tokens(tokens(6, 16, -0.9)),
        };
        let call = FluxControlNetInputs {
            inputs: inputs(tokens(6, 16, -1.2), &image, &[0.7], guidance),
            controlnet_cond,
            controlnet_mode: config.num_mode.is_some().then_some(&MODES[..]),
            conditioning_scale: 0.8,
        };
        let made = model.forward(&call).unwrap();
        assert_eq!(made.repeat, name == "pixels");
        let numbers = [made.blocks.len(), made.single_blocks.len()];
        assert_eq!(numbers, [config.num_layers, config.num_single_layers]);
        for (kind, samples) in [("blocks", made.blocks), ("single_blocks", made.single_blocks)] {
            for (index, sample) in samples.into_iter().enumerate() {
                let key = format!("controlnet.{name}.{kind}.{index}");
                assert_close(&key, sample, recorded.floats(&key), TOLERANCE);
            }
        }

        let refused = |call: FluxControlNetInputs<'_>| error(model.forward(&call).map(|_| ()));
        let modes = match config.num_mode {
            Some(_) => None,
            None => Some(&MODES[..]),
        };
        expect(
            &refused(FluxControlNetInputs { controlnet_mode: modes, ..call.clone() }),
            &["`controlnet_mode`"],
        );
        let controlnet_cond = match model.takes_pixels() {
            true => FluxControlCondition::Tokens(tokens(6, 16, -0.9)),
            false => FluxControlCondition::Pixels(values([2, 3, 48, 32], -1.0)),
        };
        expect(&refused(FluxControlNetInputs { controlnet_cond, ..call.clone() }), &["`controlnet_cond`"]);
    }
    let (union, image) = (controlnet("union"), places(6, 0.0));
    let refused = union.forward(&FluxControlNetInputs {
        inputs: inputs(tokens(6, 16, -1.2), &image, &[0.7], Some(&[3.5])),
        controlnet_cond: FluxControlCondition::Tokens(tokens(6, 16, -0.9)),
        controlnet_mode: Some(&[0, 4]),
        conditioning_scale: 1.0,
    });
    expect(&error(refused.map(|_| ())), &["`controlnet_mode`", "4"]);
}

#[test]
fn a_new_controlnet_changes_nothing() {
    let config = Config::from_json(&Value::Object(description("controlnet.edges").config).to_string());
    let model = FluxControlNetModel::from_config(&config.unwrap(), &Device::flex()).unwrap();
    let image = places(6, 0.0);
    let made = model.forward(&FluxControlNetInputs {
        inputs: inputs(tokens(6, 16, -1.2), &image, &[0.7], None),
        controlnet_cond: FluxControlCondition::Tokens(tokens(6, 16, -0.9)),
        controlnet_mode: None,
        conditioning_scale: 1.0,
    });
    let made = made.unwrap();
    for sample in made.blocks.into_iter().chain(made.single_blocks) {
        assert_eq!(sample.abs().max().into_scalar::<f32>(), 0.0);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let (model, image) = (transformer("dev"), places(6, 0.0));
    let plain = || inputs(tokens(6, 16, -1.2), &image, &[0.7], Some(&[3.5]));
    let refused = |inputs: FluxInputs<'_>| error(model.forward(&inputs));
    expect(&refused(FluxInputs { hidden_states: tokens(6, 8, 0.0), ..plain() }), &["`hidden_states`", "16"]);
    expect(
        &refused(FluxInputs { encoder_hidden_states: tokens(7, 16, 0.0), ..plain() }),
        &["`encoder_hidden_states`", "24"],
    );
    let pooled = values([1, 1, 1, 12], 0.0).reshape([1, 12]);
    expect(
        &refused(FluxInputs { pooled_projections: pooled, ..plain() }),
        &["`pooled_projections`", "2 items"],
    );
    expect(&refused(FluxInputs { img_ids: &image[1..], ..plain() }), &["`img_ids`", "5 tokens"]);
    expect(&refused(FluxInputs { txt_ids: &[[f32::NAN; 3]; 7], ..plain() }), &["`txt_ids`", "finite"]);
    expect(&refused(FluxInputs { timestep: &[0.1; 3], ..plain() }), &["`timestep`", "got 3 for 2 items"]);
    expect(&refused(FluxInputs { guidance: Some(&[f32::NAN]), ..plain() }), &["`guidance`", "NaN"]);
    expect(&refused(FluxInputs { guidance: None, ..plain() }), &["`guidance`", "must be given"]);
    let control = FluxControlSamples { blocks: vec![tokens(6, 8, 0.0)], ..Default::default() };
    expect(&error(model.forward_with(&plain(), &control)), &["`controlnet_block_samples`", "32"]);
    let told = transformer("schnell").forward(&plain());
    expect(&error(told), &["`guidance`", "guidance_embeds"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let changed = |name: &str, field: &str, value: Value| {
        let mut config = Value::Object(description(name).config);
        config[field] = value;
        Config::from_json(&config.to_string()).unwrap()
    };
    let refused = |field: &str, value: Value| {
        let config = changed("transformer.dev", field, value);
        error(FluxTransformer2DModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("axes_dims_rope", vec![4, 6, 4].into()), &["axes_dims_rope", "16"]);
    expect(&refused("axes_dims_rope", vec![5, 5, 6].into()), &["axes_dims_rope", "pairs"]);
    expect(&refused("axes_dims_rope", vec![4, 4, 4, 4].into()), &["axes_dims_rope"]);
    expect(&refused("num_attention_heads", 0.into()), &["num_attention_heads"]);
    expect(&refused("num_layers", 5000.into()), &["num_layers"]);
    expect(&refused("out_channels", 0.into()), &["out_channels"]);
    let config = changed("controlnet.pixels", "conditioning_embedding_channels", 5.into());
    let refused = error(FluxControlNetModel::from_config(&config, &Device::flex()));
    expect(&refused, &["conditioning_embedding_channels", "20", "16"]);
}

#[test]
fn half_precision_is_close() {
    let (image, recorded) = (places(6, 1.0), outputs());
    for dtype in [DType::BF16, DType::F16] {
        let model = transformer("dev").cast(dtype);
        assert_eq!(model.dtype(), dtype);
        let made = model.forward(&inputs(tokens(6, 16, -1.2), &image, &[0.7], Some(&[3.5]))).unwrap();
        assert_eq!(made.dtype(), dtype);
        let expected: Tensor<3> = recorded.floats("transformer.dev");
        let scale = expected.clone().abs().max().into_scalar::<f32>();
        assert_close("half", made.cast(DType::F32) / scale, expected / scale, 5e-2);
    }
}

#[test]
fn models_are_called_by_name() {
    let folder = tempfile::tempdir().unwrap();
    transformer("dev").save_pretrained(folder.path()).unwrap();
    let name = folder.path().to_str().unwrap();
    let model =
        AnyModel::from_pretrained("FluxTransformer2DModel", name, &oxidiff::LoadOptions::default()).unwrap();
    let ids = |places: &[[f32; 3]]| {
        let data: Vec<f32> = places.concat();
        Tensor::<1>::from_data(data.as_slice(), (&Device::flex(), DType::F32))
            .reshape::<2, _>([places.len(), 3])
    };
    let request = |img_ids: oxidiff::Argument| {
        Request::default()
            .with("hidden_states", tokens(6, 16, -1.2))
            .with("encoder_hidden_states", text())
            .with("pooled_projections", values([1, 1, 2, 12], -1.1).reshape::<2, _>([2, 12]))
            .with("timestep", vec![0.7, 0.7])
            .with("guidance", vec![3.5, 3.5])
            .with("img_ids", img_ids)
            .with("txt_ids", ids(&TEXT_PLACES))
    };
    let expected: Tensor<3> = outputs().floats("transformer.dev");
    let of_image = ids(&places(6, 1.0));
    let of_each = of_image.clone().reshape::<3, _>([1, 6, 3]).repeat_dim(0, 2);
    for img_ids in [of_image.clone().into(), of_each.into()] {
        let (name, made) = model.call(request(img_ids)).unwrap().remove(0);
        assert_eq!(name, "sample");
        assert_close("by name", made.to_rank("sample").unwrap(), expected.clone(), TOLERANCE);
    }
    let two = of_image.narrow(1, 0, 2);
    expect(&error(model.call(request(two.into())).map(|_| ())), &["`img_ids`", "3"]);
}
