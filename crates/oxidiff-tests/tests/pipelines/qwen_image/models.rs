//! The models alone.

use std::collections::BTreeMap;

use oxidiff::{
    AnyModel, Argument, Config, DType, Device, Model, QwenImageControlNetInputs, QwenImageControlNetModel,
    QwenImageInputs, QwenImageTransformer2DModel, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{error, expect, recorded};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 4] = ["plain", "other", "clean_references", "layered"];
const ONE: [[usize; 3]; 1] = [[1, 3, 5]];
const SEVERAL: [[usize; 3]; 3] = [[1, 3, 2], [1, 1, 5], [1, 2, 2]];

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

pub fn transformer(name: &str) -> QwenImageTransformer2DModel {
    described(&format!("transformer.{name}"))
}

pub fn controlnet(name: &str) -> QwenImageControlNetModel {
    described(&format!("controlnet.{name}"))
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn tokens(batch: usize, count: usize, features: usize, low: f32) -> Tensor<3> {
    values([1, batch, count, features], low).reshape([batch, count, features])
}

/// Two prompts.
fn text() -> Tensor<3> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    tokens(2, 7, 16, -1.0) * factors.reshape([2, 1, 1])
}

/// Which of their tokens count: the second one is shorter.
fn mask() -> Vec<Vec<bool>> {
    vec![vec![true; 7], (0..7).map(|token| token < 5).collect()]
}

/// The same, but two tokens of the first do not count either.
fn gaps() -> Vec<Vec<bool>> {
    let [_, second] = mask().try_into().unwrap();
    vec![(0..7).map(|token| token != 2 && token != 4).collect(), second]
}

fn inputs<'a>(model: &QwenImageTransformer2DModel, mask: Option<&'a [Vec<bool>]>) -> QwenImageInputs<'a> {
    let config = model.config();
    QwenImageInputs {
        hidden_states: tokens(2, 15, config.in_channels, -1.2),
        encoder_hidden_states: text(),
        encoder_hidden_states_mask: mask,
        timestep: &[0.7],
        img_shapes: &ONE,
        guidance: None,
        additional_t_cond: config.use_additional_t_cond.then_some(&[0, 1]),
    }
}

#[test]
fn tokens_are_predicted_as_in_python() {
    let (mask, gaps, recorded) = (mask(), gaps(), outputs());
    for name in TRANSFORMERS {
        let model = transformer(name);
        let dim = model.config().attention_head_dim * model.config().num_attention_heads;
        let [first, second] = [-0.5, -0.8].map(|low| tokens(2, 15, dim, low));
        let with_mask = || inputs(&model, Some(&mask));
        let without_mask = || inputs(&model, None);
        let one = vec![first.clone()];
        let both = vec![first, second];
        for (key, inputs, control) in [
            ("one", without_mask(), vec![]),
            ("masked", with_mask(), vec![]),
            ("gaps", QwenImageInputs { img_shapes: &[[1, 5, 3]], ..inputs(&model, Some(&gaps)) }, vec![]),
            ("several", QwenImageInputs { img_shapes: &SEVERAL, ..with_mask() }, vec![]),
            (
                "times",
                QwenImageInputs { img_shapes: &SEVERAL, timestep: &[0.9, 0.2], ..without_mask() },
                vec![],
            ),
            ("control", with_mask(), one),
            ("controls", without_mask(), both),
        ] {
            let key = format!("transformer.{name}.{key}");
            let made = model.forward_with(&inputs, &control).unwrap();
            assert_close(&key, made, recorded.floats(&key), TOLERANCE);
        }
    }
    let model = transformer("layered");
    let made = model.forward(&QwenImageInputs {
        hidden_states: tokens(1, 18, 16, -1.2),
        encoder_hidden_states: text().narrow(0, 0, 1),
        img_shapes: &[[1, 2, 3]; 3],
        additional_t_cond: Some(&[0]),
        ..inputs(&model, None)
    });
    let key = "transformer.layered.layers";
    assert_close(key, made.unwrap(), recorded.floats(key), TOLERANCE);
}

#[test]
fn controlnets_say_what_to_add_as_in_python() {
    let (mask, recorded, plain) = (mask(), outputs(), transformer("plain"));
    for name in ["edges", "deep", "inpaint"] {
        let model = controlnet(name);
        let config = model.config().clone();
        for (kind, mask) in [("plain", None), ("masked", Some(&mask[..]))] {
            let call = QwenImageControlNetInputs {
                inputs: inputs(&plain, mask),
                controlnet_cond: tokens(2, 15, 16 + config.extra_condition_channels, -0.9),
                conditioning_scale: 0.8,
            };
            let made = model.forward(&call).unwrap();
            assert_eq!(made.len(), config.num_layers);
            for (index, sample) in made.into_iter().enumerate() {
                let key = format!("controlnet.{name}.{kind}.{index}");
                assert_close(&key, sample, recorded.floats(&key), TOLERANCE);
            }
            let wider = tokens(2, 15, 24, 0.0);
            let refused = model.forward(&QwenImageControlNetInputs { controlnet_cond: wider, ..call });
            expect(&error(refused.map(|_| ())), &["`controlnet_cond`", "24"]);
        }
        model.check_fit(&plain).unwrap();
        expect(&error(model.check_fit(&transformer("other"))), &["in_channels", "20"]);
    }
}

#[test]
fn a_new_controlnet_changes_nothing() {
    let config = Config::from_json(&Value::Object(description("controlnet.edges").config).to_string());
    let model = QwenImageControlNetModel::from_config(&config.unwrap(), &Device::flex()).unwrap();
    let made = model.forward(&QwenImageControlNetInputs {
        inputs: inputs(&transformer("plain"), None),
        controlnet_cond: tokens(2, 15, 16, -0.9),
        conditioning_scale: 1.0,
    });
    for sample in made.unwrap() {
        assert_eq!(sample.abs().max().into_scalar::<f32>(), 0.0);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = transformer("plain");
    let plain = || inputs(&model, None);
    let refused = |inputs: QwenImageInputs<'_>| error(model.forward(&inputs));
    let narrow = tokens(2, 15, 8, 0.0);
    expect(&refused(QwenImageInputs { hidden_states: narrow, ..plain() }), &["`hidden_states`", "16"]);
    let narrow = tokens(2, 7, 8, 0.0);
    expect(
        &refused(QwenImageInputs { encoder_hidden_states: narrow, ..plain() }),
        &["`encoder_hidden_states`", "16"],
    );
    let short = [vec![true; 7], vec![true; 6]];
    expect(&refused(inputs(&model, Some(&short))), &["`encoder_hidden_states_mask`", "7 values", "2 items"]);
    for shapes in [&[[1, 3, 4]][..], &[], &[[1, 3, 5], [1, 0, 2]]] {
        expect(&refused(QwenImageInputs { img_shapes: shapes, ..plain() }), &["`img_shapes`"]);
    }
    let far = tokens(1, 8194, 16, 0.0);
    let one = text().narrow(0, 0, 1);
    let call = QwenImageInputs {
        hidden_states: far,
        encoder_hidden_states: one,
        img_shapes: &[[1, 1, 8194]],
        ..plain()
    };
    expect(&refused(call), &["`img_shapes`", "4096 places"]);
    expect(
        &refused(QwenImageInputs { timestep: &[0.1; 3], ..plain() }),
        &["`timestep`", "got 3 for 2 items"],
    );
    expect(&refused(QwenImageInputs { timestep: &[f32::NAN], ..plain() }), &["`timestep`", "NaN"]);
    expect(&refused(QwenImageInputs { guidance: Some(&[3.5]), ..plain() }), &["`guidance`", "no layer"]);
    let told = QwenImageInputs { additional_t_cond: Some(&[0]), ..plain() };
    expect(&refused(told), &["`additional_t_cond`", "use_additional_t_cond"]);
    let control = [tokens(2, 15, 8, 0.0)];
    expect(&error(model.forward_with(&plain(), &control)), &["`controlnet_block_samples`", "32"]);

    let layered = transformer("layered");
    let refused = |kinds: Option<&[usize]>| {
        error(layered.forward(&QwenImageInputs { additional_t_cond: kinds, ..inputs(&layered, None) }))
    };
    expect(&refused(None), &["`additional_t_cond`", "must be given"]);
    expect(&refused(Some(&[0, 1, 0])), &["`additional_t_cond`", "got 3 for 2 items"]);
    expect(&refused(Some(&[0, 2])), &["`additional_t_cond`", "2"]);
    let shapes = [[1, 3, 3], [2, 3, 1]];
    let two_frames = QwenImageInputs { img_shapes: &shapes, ..inputs(&layered, None) };
    expect(&error(layered.forward(&two_frames)), &["`img_shapes`", "one image"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let changed = |name: &str, field: &str, value: Value| {
        let mut config = Value::Object(description(name).config);
        config[field] = value;
        Config::from_json(&config.to_string()).unwrap()
    };
    let refused = |field: &str, value: Value| {
        let config = changed("transformer.plain", field, value);
        error(QwenImageTransformer2DModel::from_config(&config, &Device::flex()))
    };
    expect(&refused("axes_dims_rope", vec![4, 6, 4].into()), &["axes_dims_rope", "16"]);
    expect(&refused("axes_dims_rope", vec![5, 5, 6].into()), &["axes_dims_rope", "pairs"]);
    expect(&refused("axes_dims_rope", vec![4, 4, 4, 4].into()), &["axes_dims_rope"]);
    expect(&refused("num_attention_heads", 0.into()), &["num_attention_heads"]);
    expect(&refused("num_layers", 5000.into()), &["num_layers"]);
    expect(&refused("out_channels", 0.into()), &["out_channels"]);
    expect(&refused("zero_cond_t", 3.into()), &["zero_cond_t"]);
    let config = changed("controlnet.inpaint", "extra_condition_channels", (1u64 << 40).into());
    let refused = error(QwenImageControlNetModel::from_config(&config, &Device::flex()));
    expect(&refused, &["extra_condition_channels"]);
}

#[test]
fn half_precision_is_close() {
    let (mask, recorded) = (mask(), outputs());
    for dtype in [DType::BF16, DType::F16] {
        let model = transformer("clean_references").cast(dtype);
        assert_eq!(model.dtype(), dtype);
        let call = QwenImageInputs { img_shapes: &SEVERAL, ..inputs(&model, Some(&mask)) };
        let made = model.forward(&call).unwrap();
        assert_eq!(made.dtype(), dtype);
        let expected: Tensor<3> = recorded.floats("transformer.clean_references.several");
        let scale = expected.clone().abs().max().into_scalar::<f32>();
        assert_close("half", made.cast(DType::F32) / scale, expected / scale, 5e-2);
    }
}

#[test]
fn models_are_called_by_name() {
    let folder = tempfile::tempdir().unwrap();
    transformer("plain").save_pretrained(folder.path()).unwrap();
    let name = folder.path().to_str().unwrap();
    let model =
        AnyModel::from_pretrained("QwenImageTransformer2DModel", name, &oxidiff::LoadOptions::default());
    let model = model.unwrap();
    let counts: Vec<f32> = mask().concat().into_iter().map(|counts| f32::from(u8::from(counts))).collect();
    let counts = Tensor::<1>::from_data(counts.as_slice(), (&Device::flex(), DType::F32));
    let request = |shape: [usize; 3]| {
        let shape = Vec::from(shape.map(|side| Argument::Integer(side as u64)));
        Request::default()
            .with("hidden_states", tokens(2, 15, 16, -1.2))
            .with("encoder_hidden_states", text())
            .with("encoder_hidden_states_mask", counts.clone().reshape::<2, _>([2, 7]))
            .with("timestep", vec![0.7, 0.7])
            .with("img_shapes", Argument::List(vec![Argument::List(shape)]))
    };
    let expected: Tensor<3> = outputs().floats("transformer.plain.masked");
    let (name, made) = model.call(request([1, 3, 5])).unwrap().remove(0);
    assert_eq!(name, "sample");
    assert_close("by name", made.to_rank("sample").unwrap(), expected, TOLERANCE);
    expect(&error(model.call(request([1, 3, 4])).map(|_| ())), &["`img_shapes`", "15 tokens"]);
}
