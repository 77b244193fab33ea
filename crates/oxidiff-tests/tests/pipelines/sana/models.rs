//! The transformer and the ControlNet alone.

use oxidiff::{
    AnyModel, Config, DType, Device, Model, Request, SanaControlNetInputs, SanaControlNetModel, SanaInputs,
    SanaTransformer2DModel, Tensor,
};
use serde_json::{Value, json};

use super::{error, expect, model, recorded};
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
/// Where no token of a caption counts, Python adds -10000 to all scores, which rounds them.
const ROUNDED: f32 = 1e-3;
const TRANSFORMERS: [&str; 7] = ["plain", "positions", "sprint", "layer_norm", "l2", "learned", "small"];

fn captions() -> Tensor<3> {
    let factors = Tensor::<1>::from_data([1.0f32, 0.6].as_slice(), (&Device::flex(), DType::F32));
    values([1, 2, 5, 24], -1.0).reshape::<3, _>([2, 5, 24]) * factors.reshape([2, 1, 1])
}

fn mask(rows: [[f32; 5]; 2]) -> Option<Tensor<2>> {
    Some(Tensor::from_data(rows, (&Device::flex(), DType::F32)))
}

/// Calls with inputs like those of the script.
fn inputs<'a>(timestep: &'a [f32], guidance: Option<&'a [f32]>) -> SanaInputs<'a> {
    SanaInputs {
        hidden_states: values([2, 4, 4, 6], -1.2),
        encoder_hidden_states: captions(),
        encoder_attention_mask: None,
        timestep,
        guidance,
        controlnet_block_samples: &[],
    }
}

const COUNTED: [[f32; 5]; 2] = [[1.0, 1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]];
const HIDDEN: [[f32; 5]; 2] = [[1.0, 1.0, 1.0, 0.0, 0.0], [0.0; 5]];

#[test]
fn latents_are_predicted_as_in_python() {
    let expected = Recorded::open(&recorded("models.safetensors"));
    for name in TRANSFORMERS {
        let net: SanaTransformer2DModel = model(&format!("transformer.{name}"));
        let guidance: Option<&[f32]> = net.config().guidance_embeds.then_some(&[1.35, 0.4]);
        let cases: [(&str, &[f32], Option<Tensor<2>>); 3] = [
            ("", &[0.7], None),
            (".times", &[900.0, 20.5], mask(COUNTED)),
            (".hidden", &[500.0], mask(HIDDEN)),
        ];
        for (suffix, timestep, encoder_attention_mask) in cases {
            let key = format!("transformer.{name}{suffix}");
            let call = SanaInputs { encoder_attention_mask, ..inputs(timestep, guidance) };
            let tolerance = if suffix == ".hidden" { ROUNDED } else { TOLERANCE };
            assert_close(&key, net.forward(&call).unwrap(), expected.floats(&key), tolerance);
        }
    }
}

#[test]
fn a_controlnet_adds_to_the_tokens_as_in_python() {
    let expected = Recorded::open(&recorded("models.safetensors"));
    let net: SanaTransformer2DModel = model("transformer.plain");
    let samples = [-0.5, -0.8].map(|low| values([1, 2, 24, 32], low).reshape::<3, _>([2, 24, 32]));
    let call = SanaInputs { controlnet_block_samples: &samples, ..inputs(&[0.7], None) };
    let key = "transformer.plain.control";
    assert_close(key, net.forward(&call).unwrap(), expected.floats(key), TOLERANCE);
    for name in ["plain", "positions"] {
        let net: SanaControlNetModel = model(&format!("controlnet.{name}"));
        let cases: [(&str, &[f32], Option<Tensor<2>>, f64); 4] = [
            ("", &[0.7], None, 1.0),
            (".times", &[900.0, 20.5], mask(COUNTED), 1.0),
            (".hidden", &[500.0], mask(HIDDEN), 1.0),
            (".scale", &[0.7], None, 0.3),
        ];
        for (suffix, timestep, encoder_attention_mask, conditioning_scale) in cases {
            let key = format!("controlnet.{name}{suffix}");
            let made =
                net.forward(&control_inputs(timestep, encoder_attention_mask, conditioning_scale)).unwrap();
            let theirs: Tensor<4> = expected.floats(&key);
            let [_, _, _, features] = theirs.dims();
            let thin = |sample: &Tensor<3>| {
                let kept = (0..features).map(|index| sample.clone().narrow(2, 3 * index, 1));
                Tensor::cat(kept.collect::<Vec<_>>(), 2)
            };
            let made = Tensor::stack::<4>(made.iter().map(thin).collect(), 0);
            let tolerance = if suffix == ".hidden" { ROUNDED } else { TOLERANCE };
            assert_close(&key, made, theirs, tolerance);
        }
    }
}

fn control_inputs(
    timestep: &[f32],
    encoder_attention_mask: Option<Tensor<2>>,
    conditioning_scale: f64,
) -> SanaControlNetInputs<'_> {
    SanaControlNetInputs {
        hidden_states: values([2, 4, 4, 6], -1.2),
        controlnet_cond: values([2, 4, 4, 6], -0.7),
        conditioning_scale,
        encoder_hidden_states: captions(),
        encoder_attention_mask,
        timestep,
    }
}

#[test]
fn an_untrained_controlnet_changes_nothing() {
    let trained: SanaControlNetModel = model("controlnet.plain");
    let initial = SanaControlNetModel::init(trained.config(), &Device::flex()).unwrap();
    for sample in initial.forward(&control_inputs(&[0.7], None, 1.0)).unwrap() {
        assert_eq!(sample.abs().max().into_scalar::<f32>(), 0.0);
    }
}

#[test]
fn a_call_by_name_is_the_same() {
    let net: SanaTransformer2DModel = model("transformer.sprint");
    let guidance: [f32; 2] = [1.35, 0.4];
    let call = SanaInputs { encoder_attention_mask: mask(COUNTED), ..inputs(&[0.9, 0.2], Some(&guidance)) };
    let expected = net.forward(&call).unwrap();
    let request = Request::default()
        .with("hidden_states", call.hidden_states.clone())
        .with("encoder_hidden_states", call.encoder_hidden_states.clone())
        .with("timestep", vec![0.9, 0.2])
        .with("guidance", vec![1.35, 0.4])
        .with("encoder_attention_mask", mask(COUNTED).unwrap());
    let made = AnyModel::from(net).call(request).unwrap();
    let (name, sample) = made.into_iter().next().unwrap();
    assert_eq!(name, "sample");
    assert_close("by name", sample.to_rank::<4>("sample").unwrap(), expected, 0.0);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let net: SanaTransformer2DModel = model("transformer.positions");
    let good = || inputs(&[0.5], None);
    let refused = |inputs: SanaInputs<'_>| error(net.forward(&inputs));
    let call = SanaInputs { hidden_states: values([2, 3, 4, 6], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 3, 4, 6]", "4 channels"]);
    let call = SanaInputs { hidden_states: values([2, 4, 3, 6], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "multiples of 2"]);
    let call = SanaInputs { encoder_hidden_states: captions().narrow(2, 0, 23), ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 5, 23]", "24"]);
    expect(&refused(SanaInputs { timestep: &[0.1; 3], ..good() }), &["`timestep`", "3", "2 items"]);
    expect(&refused(SanaInputs { timestep: &[f32::NAN], ..good() }), &["`timestep`", "NaN"]);
    expect(&refused(SanaInputs { guidance: Some(&[1.0]), ..good() }), &["`guidance`", "guidance_embeds"]);
    let call = SanaInputs { encoder_attention_mask: mask([[0.5; 5]; 2]), ..good() };
    expect(&refused(call), &["`encoder_attention_mask`", "0.5"]);
    let short = mask(COUNTED).map(|mask| mask.narrow(1, 0, 4));
    let call = SanaInputs { encoder_attention_mask: short, ..good() };
    expect(&refused(call), &["`encoder_attention_mask`", "[2, 4]", "[2, 5]"]);
    let samples = [values([1, 2, 5, 32], 0.0).reshape::<3, _>([2, 5, 32])];
    let call = SanaInputs { controlnet_block_samples: &samples, ..good() };
    expect(&refused(call), &["`controlnet_block_samples`", "[2, 5, 32]", "[2, 6, 32]"]);
    let sprint: SanaTransformer2DModel = model("transformer.sprint");
    expect(&error(sprint.forward(&good())), &["`guidance`", "must be given"]);
    let control: SanaControlNetModel = model("controlnet.plain");
    let call = SanaControlNetInputs {
        controlnet_cond: values([2, 4, 4, 4], 0.0),
        ..control_inputs(&[0.5], None, 1.0)
    };
    expect(&error(control.forward(&call)), &["`controlnet_cond`", "[2, 4, 4, 4]", "[2, 4, 4, 6]"]);
    expect(&error(control.check_fit(&net)), &["`controlnet`", "patch_size", "1", "2"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for (field, value, words) in [
        ("qk_norm", json!("rms_norm"), &["qk_norm", "rms_norm_across_heads"][..]),
        ("cross_attention_dim", json!(null), &["cross_attention_dim", "null", "32"]),
        ("cross_attention_dim", json!(24), &["cross_attention_dim", "24", "32"]),
        ("num_cross_attention_heads", json!(null), &["num_cross_attention_heads", "0"]),
        ("num_attention_heads", json!(0), &["num_attention_heads", "0"]),
        ("patch_size", json!(64), &["sample_size", "64"]),
        ("mlp_ratio", json!(0.0), &["mlp_ratio", "0"]),
        ("interpolation_scale", json!(0), &["interpolation_scale", "0"]),
        ("num_layers", json!(5000), &["num_layers", "1024"]),
    ] {
        let all: Value = json(&recorded("models.json"));
        let mut config = all["transformer.plain"]["config"].clone();
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        expect(&error(SanaTransformer2DModel::from_config(&config, &Device::flex())), words);
    }
}
