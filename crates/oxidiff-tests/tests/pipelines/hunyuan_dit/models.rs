//! The transformer and its ControlNet alone.

use oxidiff::{
    AnyModel, Argument, Config, DType, Device, HunyuanDiT2DControlNetInputs, HunyuanDiT2DControlNetModel,
    HunyuanDiT2DModel, HunyuanDiTInputs, LoadOptions, Model, Request, Tensor, get_2d_rotary_pos_embed,
};
use serde_json::{Value, json};

use super::{controlnet, described, error, expect, recorded, transformer};
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;
const TRANSFORMERS: [&str; 9] =
    ["plain", "style", "patches", "shallow", "gelu", "geglu", "geglu-approximate", "swiglu", "linear-silu"];
const TIMES: [f32; 2] = [731.0, 18.0];
const SIZES: [[f32; 6]; 2] = [[1024.0, 1024.0, 48.0, 80.0, 0.0, 0.0], [1280.0, 768.0, 64.0, 32.0, 5.0, 7.0]];
/// The rows and columns of patches.
const GRID: [usize; 2] = [3, 4];

fn device() -> Device {
    Device::flex()
}

fn tokens(count: usize, features: usize, low: f32) -> Tensor<3> {
    values([1, 2, count, features], low).reshape([2, count, features])
}

/// Ones, and zeros from a token on in each of two texts.
fn counts(tokens: usize, firsts: [usize; 2]) -> Tensor<2> {
    let row = |first: usize| (0..tokens).map(move |token| if token < first { 1.0f32 } else { 0.0 });
    let values: Vec<f32> = firsts.into_iter().flat_map(row).collect();
    Tensor::<1>::from_data(values.as_slice(), (&device(), DType::F32)).reshape([2, tokens])
}

/// The places of a grid that is three rows high and four columns wide, in a square of 32.
fn places(head_dim: usize) -> [Tensor<2>; 2] {
    get_2d_rotary_pos_embed(head_dim, [[4.0, 0.0], [28.0, 32.0]], GRID, &device())
}

/// The calls of the script.
fn inputs<'a>(config: &Value, places: &'a [Tensor<2>; 2]) -> HunyuanDiTInputs<'a> {
    let number = |field: &str| config[field].as_u64().unwrap() as usize;
    let (text_len, text_len_t5) = (number("text_len"), number("text_len_t5"));
    let [height, width] = GRID.map(|side| side * number("patch_size"));
    HunyuanDiTInputs {
        hidden_states: values([2, number("in_channels"), height, width], -1.0),
        timestep: &TIMES,
        encoder_hidden_states: tokens(text_len, number("cross_attention_dim"), -1.2),
        text_embedding_mask: counts(text_len, [3, 4]),
        encoder_hidden_states_t5: tokens(text_len_t5, number("cross_attention_dim_t5"), -0.7),
        text_embedding_mask_t5: counts(text_len_t5, [2, text_len_t5]),
        image_meta_size: Some(&SIZES),
        style: Some(&[0, 0]),
        image_rotary_emb: Some(places),
    }
}

fn config(name: &str) -> Value {
    Value::Object(described(name).1)
}

#[test]
fn noise_is_predicted_as_in_python() {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    for name in TRANSFORMERS {
        let (model, key) = (transformer(name), format!("transformer.{name}"));
        let places = places(model.config().attention_head_dim);
        let made = model.forward(&inputs(&config(&key), &places)).unwrap();
        assert_close(&key, made, recorded.floats(&key), TOLERANCE);
    }
    let (model, places, config) = (transformer("plain"), places(8), config("transformer.plain"));
    let samples = [-0.8, -0.4].map(|low| tokens(12, 16, low));
    let made = model.forward_with(&inputs(&config, &places), &samples).unwrap();
    assert_close("controlled", made, recorded.floats("transformer.controlled"), TOLERANCE);
    let unrotated = HunyuanDiTInputs { image_rotary_emb: None, ..inputs(&config, &places) };
    let made = model.forward(&unrotated).unwrap();
    assert_close("unrotated", made, recorded.floats("transformer.unrotated"), TOLERANCE);
}

#[test]
fn controlnets_add_what_they_add_in_python() {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    for (name, blocks) in [("plain", 2), ("style", 1), ("second", 2)] {
        let (net, places) = (controlnet(name), places(8));
        let call = HunyuanDiT2DControlNetInputs {
            inputs: inputs(&config(&format!("controlnet.{name}")), &places),
            controlnet_cond: values([2, 4, 6, 8], -0.6),
            conditioning_scale: 0.7,
        };
        let samples = net.forward(&call).unwrap();
        assert_eq!(samples.len(), blocks);
        for (index, sample) in samples.into_iter().enumerate() {
            let key = format!("controlnet.{name}.{index}");
            assert_close(&key, sample, recorded.floats(&key), TOLERANCE);
        }
        let wrong = HunyuanDiT2DControlNetInputs { controlnet_cond: values([2, 4, 6, 6], 0.0), ..call };
        expect(&error(net.forward(&wrong)), &["`controlnet_cond`", "[2, 4, 6, 6]", "[2, 4, 6, 8]"]);
    }
}

#[test]
fn places_turn_features_as_in_python() {
    let recorded = Recorded::open(&recorded("models.safetensors"));
    let corners = |top: f64, left: f64, bottom: f64, right: f64| [[top, left], [bottom, right]];
    for (grid, base, corners) in [
        ([3, 4], 32, corners(4.0, 0.0, 28.0, 32.0)),
        ([64, 48], 32, corners(0.0, 4.0, 32.0, 28.0)),
        ([5, 1], 32, corners(0.0, 13.0, 32.0, 19.0)),
        // 10.5 and 2.5 are rounded to even numbers.
        ([7, 9], 21, corners(2.0, 0.0, 18.0, 21.0)),
        ([1, 1], 16, corners(0.0, 0.0, 16.0, 16.0)),
    ] {
        let key = format!("positions.{}x{}.{base}", grid[0], grid[1]);
        let expected: Tensor<3> = recorded.floats(&key);
        let tables = get_2d_rotary_pos_embed(8, corners, grid, &device());
        for (index, table) in tables.into_iter().enumerate() {
            let rows: Vec<Tensor<2>> =
                (0..table.dims()[0]).step_by(29).map(|row| table.clone().narrow(0, row, 1)).collect();
            let theirs = expected.clone().narrow(0, index, 1).squeeze_dim::<2>(0);
            assert_close(&key, Tensor::cat(rows, 0), theirs, 1e-5);
        }
    }
}

#[test]
fn smaller_types_stay_close() {
    let model = transformer("style");
    let folder = tempfile::tempdir().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    let places = places(8);
    let inputs = inputs(&config("transformer.style"), &places);
    let expected = model.forward(&inputs).unwrap();
    for (dtype, most) in [(DType::F16, 2e-2), (DType::BF16, 2e-1)] {
        let options = LoadOptions { dtype, ..Default::default() };
        let smaller =
            HunyuanDiT2DModel::from_pretrained_with(folder.path().to_str().unwrap(), &options).unwrap();
        let made = smaller.forward(&inputs).unwrap().cast(DType::F32);
        assert_close(&format!("{dtype:?}"), made, expected.clone(), most);
    }
}

#[test]
fn a_call_by_name_is_the_same() {
    let (model, places) = (transformer("style"), places(8));
    let typed = inputs(&config("transformer.style"), &places);
    let samples = vec![tokens(12, 16, -0.8)];
    let expected = model.forward_with(&typed, &samples).unwrap();
    let sizes = Tensor::<1>::from_data(SIZES.as_flattened(), (&device(), DType::F32)).reshape::<2, _>([2, 6]);
    let request = Request::default()
        .with("hidden_states", typed.hidden_states.clone())
        .with("timestep", TIMES.map(f64::from).to_vec())
        .with("encoder_hidden_states", typed.encoder_hidden_states.clone())
        .with("text_embedding_mask", typed.text_embedding_mask.clone())
        .with("encoder_hidden_states_t5", typed.encoder_hidden_states_t5.clone())
        .with("text_embedding_mask_t5", typed.text_embedding_mask_t5.clone())
        .with("image_meta_size", sizes)
        .with("style", vec![0usize, 0])
        .with("image_rotary_emb", places.to_vec())
        .with("controlnet_block_samples", Argument::List(samples.into_iter().map(Into::into).collect()));
    let made = AnyModel::from(model).call(request).unwrap();
    let (name, sample) = made.into_iter().next().unwrap();
    assert_eq!(name, "sample");
    assert_close("by name", sample.to_rank::<4>("sample").unwrap(), expected, 0.0);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let (model, places, config) = (transformer("style"), places(8), config("transformer.style"));
    let good = || inputs(&config, &places);
    let refused = |inputs: HunyuanDiTInputs<'_>| error(model.forward(&inputs));
    let call = HunyuanDiTInputs { hidden_states: values([2, 4, 7, 8], 0.0), ..good() };
    expect(&refused(call), &["`hidden_states`", "[2, 4, 7, 8]", "multiples of 2"]);
    let call = HunyuanDiTInputs { encoder_hidden_states: tokens(76, 16, 0.0), ..good() };
    expect(&refused(call), &["`encoder_hidden_states`", "[2, 76, 16]", "77"]);
    let call = HunyuanDiTInputs { encoder_hidden_states_t5: tokens(256, 31, 0.0), ..good() };
    expect(&refused(call), &["`encoder_hidden_states_t5`", "31", "32"]);
    let call = HunyuanDiTInputs { text_embedding_mask_t5: counts(255, [1, 1]), ..good() };
    expect(&refused(call), &["`text_embedding_mask_t5`", "[2, 255]"]);
    expect(&refused(HunyuanDiTInputs { timestep: &[1.0; 3], ..good() }), &["`timestep`", "3", "2 items"]);
    expect(&refused(HunyuanDiTInputs { timestep: &[f32::NAN], ..good() }), &["`timestep`", "NaN"]);
    expect(
        &refused(HunyuanDiTInputs { image_meta_size: None, ..good() }),
        &["`image_meta_size`", "use_style_cond_and_image_meta_size"],
    );
    expect(&refused(HunyuanDiTInputs { style: Some(&[0]), ..good() }), &["`style`", "1", "2 items"]);
    expect(&refused(HunyuanDiTInputs { style: Some(&[0, 1]), ..good() }), &["style", "1"]);
    let other = super::models::places(12);
    expect(
        &refused(HunyuanDiTInputs { image_rotary_emb: Some(&other), ..good() }),
        &["`image_rotary_emb`", "[12, 12]", "[12, 8]"],
    );
    let refused = |samples: &[Tensor<3>]| error(model.forward_with(&good(), samples));
    expect(&refused(&vec![tokens(12, 16, 0.0); 2]), &["`controlnet_block_samples`", "are 2"]);
    expect(&refused(&[tokens(11, 16, 0.0)]), &["`controlnet_block_samples`", "[2, 11, 16]", "[2, 12, 16]"]);
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let refused = |field: &str, value: Value| {
        let mut config: Value = json(&recorded("checkpoint/transformer/config.json"));
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        error(HunyuanDiT2DModel::from_config(&config, &device()))
    };
    for (field, value, words) in [
        ("hidden_size", json!(24), &["hidden_size", "24", "16"][..]),
        ("num_layers", json!(5), &["num_layers", "5", "even"]),
        ("num_layers", json!(0), &["num_layers", "0"]),
        ("attention_head_dim", json!(6), &["hidden_size", "12"]),
        ("cross_attention_dim_t5", json!(20), &["cross_attention_dim_t5", "20", "8 heads"]),
        ("mlp_ratio", json!(0.01), &["mlp_ratio", "0.01"]),
        ("patch_size", json!(0), &["patch_size", "0"]),
        ("activation_fn", json!("relu"), &["activation_fn", "relu"]),
        ("text_len", json!(1 << 20), &["text_len", "1048576"]),
    ] {
        expect(&refused(field, value), words);
    }
    let mut config = config("controlnet.plain");
    config["transformer_num_layers"] = 7.into();
    let config = Config::from_json(&config.to_string()).unwrap();
    let made = HunyuanDiT2DControlNetModel::from_config(&config, &device());
    expect(&error(made), &["transformer_num_layers", "7", "even"]);
}
