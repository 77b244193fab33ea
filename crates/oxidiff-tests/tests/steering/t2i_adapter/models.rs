//! The models alone.

use oxidiff::{
    AddedConditions, AnyModel, Config, Device, Model, MultiAdapter, Request, T2IAdapter, Tensor,
    UNet2DConditionInputs, UNet2DConditionModel,
};

use super::{adapter, described, error, expect, recorded};
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, fixtures};

const TOLERANCE: f32 = 1e-4;
const NAMES: [&str; 9] =
    ["full", "full_grey", "light", "xl", "xl_grey", "xl_mid", "first", "adapter", "adapter_1"];

/// All values, in order.
fn flat(features: Vec<Tensor<4>>) -> Tensor<1> {
    Tensor::cat(features.into_iter().map(|feature| feature.flatten(0, 3)).collect(), 0)
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

/// An image that gives an odd number of positions at each resolution.
fn image(net: &T2IAdapter) -> Tensor<4> {
    let factor = net.downscale_factor();
    values([2, net.config().in_channels, 5 * factor, 3 * factor], 0.0)
}

fn text(features: usize) -> Tensor<3> {
    values([1, 2, 7, features], -1.5).squeeze_dim(0)
}

fn vectors(shape: [usize; 2], low: f32) -> Tensor<2> {
    values([1, 1, shape[0], shape[1]], low).reshape(shape)
}

fn unet(folder: &str) -> UNet2DConditionModel {
    UNet2DConditionModel::from_pretrained(fixtures().join(folder).to_str().unwrap()).unwrap()
}

fn with_features(features: Vec<Tensor<4>>) -> UNet2DConditionInputs {
    UNet2DConditionInputs { down_intrablock_additional_residuals: features, ..Default::default() }
}

#[test]
fn features_are_those_of_python_for_every_type() {
    let expected = outputs();
    for name in NAMES {
        let net = adapter(name);
        assert_close(name, flat(net.forward(image(&net)).unwrap()), expected.floats(name), TOLERANCE);
    }
    assert_eq!(adapter("light").total_downscale_factor(), 32);
    assert_eq!(adapter("full").total_downscale_factor(), 32);
    assert_eq!(adapter("xl").total_downscale_factor(), 32);
}

#[test]
fn several_add_their_features() {
    let both = MultiAdapter::new(vec![adapter("full"), adapter("light")]).unwrap();
    let image = values([2, 3, 40, 24], 0.0);
    let images = [image.clone(), image.neg() + 1.0];
    let expected = outputs();
    let weighted = both.forward(&images, Some(&[0.5, 1.5])).unwrap();
    assert_close("both", flat(weighted), expected.floats("both"), TOLERANCE);
    let alike = both.forward(&images, None).unwrap();
    assert_close("alike", flat(alike), expected.floats("both_alike"), TOLERANCE);
    expect(&error(both.forward(&images[..1], None)), &["`xs`: has 1 for 2 adapters"]);
    expect(&error(both.forward(&images, Some(&[0.5]))), &["`adapter_weights`: has 1 for 2 adapters"]);
    let other = values([2, 3, 40, 32], 0.0);
    expect(
        &error(both.forward(&[images[0].clone(), other], None)),
        &["`xs`", "[2, 16, 5, 3]", "[2, 16, 5, 4]"],
    );

    expect(&error(MultiAdapter::new(Vec::new())), &["empty list"]);
    expect(&error(MultiAdapter::new(vec![adapter("full")])), &["at least two"]);
    let mixed = error(MultiAdapter::new(vec![adapter("full"), adapter("xl")]));
    expect(&mixed, &["downscale_factor", "8", "16"]);
    let mixed = error(MultiAdapter::new(vec![adapter("full"), adapter("first")]));
    expect(&mixed, &["total_downscale_factor", "32", "8"]);
}

#[test]
fn a_unet_adds_the_features() {
    let expected = outputs();
    let sd1 = unet("pipelines/sd1/unet");
    let (sample, small) = (values([2, 4, 5, 3], -1.0), values([2, 3, 40, 24], 0.0));
    let call = |inputs| sd1.forward_with(sample.clone(), &[301.0], text(24), inputs);
    for name in ["full", "first"] {
        let key = format!("unet_{name}");
        let out = call(with_features(adapter(name).forward(small.clone()).unwrap())).unwrap();
        assert_close(&key, out, expected.floats(&key), TOLERANCE);
    }
    // A ControlNet at the same time.
    let (wide, narrow) = (vec![[16, 5, 3]; 3], vec![[32, 2, 1]; 3]);
    let sizes = [wide, vec![[16, 3, 2], [32, 3, 2], [32, 3, 2]], narrow].concat();
    let down = sizes.into_iter().map(|[channels, rows, columns]| values([2, channels, rows, columns], -0.5));
    let inputs = UNet2DConditionInputs {
        down_block_additional_residuals: down.collect(),
        mid_block_additional_residual: Some(values([2, 32, 2, 1], -0.7)),
        ..with_features(adapter("full").forward(small.clone()).unwrap())
    };
    let out = call(inputs).unwrap();
    assert_close("unet_controlled", out, expected.floats("unet_controlled"), TOLERANCE);

    // A block without attention at the beginning, and the middle block.
    let (sample, image) = (values([2, 4, 12, 10], -1.0), values([2, 3, 96, 80], 0.0));
    let added = AddedConditions {
        text_embeds: Some(vectors([2, 10], -1.0)),
        time_ids: Some(vectors([2, 6], 0.0) * 64.0),
        ..Default::default()
    };
    let inputs =
        UNet2DConditionInputs { added, ..with_features(adapter("xl").forward(image.clone()).unwrap()) };
    let out = unet("stable_diffusion_xl/base/unet").forward_with(sample.clone(), &[301.0], text(28), inputs);
    assert_close("unet_xl", out.unwrap(), expected.floats("unet_xl"), TOLERANCE);
    let mid: UNet2DConditionModel = described("unet");
    let inputs = with_features(adapter("xl_mid").forward(image).unwrap());
    let out = mid.forward_with(sample, &[301.0], text(6), inputs).unwrap();
    assert_close("unet_mid", out, expected.floats("unet_mid"), TOLERANCE);

    // What does not fit.
    let refuse = |features| error(call(with_features(features)));
    let features = adapter("full").forward(small).unwrap();
    let argument = "`down_intrablock_additional_residuals`";
    let five = [features.clone(), features.clone()].concat();
    expect(&refuse(five[..5].to_vec()), &[argument, "has 5 tensors, the model adds at most 4"]);
    let turned: Vec<_> = features.iter().rev().cloned().collect();
    expect(&refuse(turned), &[argument, "[2, 32, 2, 1] at 0", "[2, 16, 5, 3]"]);
    let one = vec![features[0].clone().narrow(0, 0, 1)];
    expect(&refuse(one), &[argument, "[1, 16, 5, 3]"]);
}

#[test]
fn saved_adapters_compute_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["light", "xl"] {
        let net = adapter(name);
        net.save_pretrained(folder.path().join(name)).unwrap();
        let again = T2IAdapter::from_pretrained(folder.path().join(name).to_str().unwrap()).unwrap();
        assert_close(
            name,
            flat(again.forward(image(&net)).unwrap()),
            flat(net.forward(image(&net)).unwrap()),
            0.0,
        );
    }
}

#[test]
fn it_is_a_model_with_arguments_by_name() {
    let net: AnyModel = adapter("light").into();
    let small = values([2, 3, 40, 24], 0.0);
    let output = net.call(Request::default().with("x", small.clone())).unwrap();
    let features: Vec<Tensor<4>> =
        output.into_iter().map(|(name, tensor)| tensor.to_rank(name).unwrap()).collect();
    assert_close("by name", flat(features.clone()), outputs().floats("light"), TOLERANCE);
    // A UNet takes them by name, too.
    let unet: AnyModel = unet("pipelines/sd1/unet").into();
    let full = adapter("full").forward(small).unwrap();
    let request = Request::default()
        .with("sample", values([2, 4, 5, 3], -1.0))
        .with("timestep", 301)
        .with("encoder_hidden_states", text(24))
        .with("down_intrablock_additional_residuals", full);
    let (_, out) = unet.call(request).unwrap().remove(0);
    let expected = outputs().floats::<4>("unet_full");
    assert_close("by name", out.to_rank("sample").unwrap(), expected, TOLERANCE);
}

#[test]
fn invalid_inputs_and_configurations_are_refused() {
    let net = adapter("full");
    expect(
        &error(net.forward(values([1, 1, 16, 16], 0.0))),
        &["`x`: has 1 channels, the T2IAdapter takes 3"],
    );
    expect(&error(net.forward(values([1, 3, 16, 12], 0.0))), &["`x`", "[1, 3, 16, 12]", "multiples of 8"]);
    for (json, field) in [
        (r#"{"adapter_type": "full_adapter_2"}"#, "adapter_type"),
        (r#"{"channels": []}"#, "channels"),
        (r#"{"channels": [8, 0]}"#, "channels"),
        (r#"{"channels": [3, 8], "adapter_type": "light_adapter"}"#, "channels"),
        (r#"{"channels": [8, 8, 8, 16], "adapter_type": "full_adapter_xl"}"#, "channels[3]"),
        (r#"{"in_channels": 0}"#, "in_channels"),
        (r#"{"downscale_factor": 0}"#, "downscale_factor"),
        (r#"{"num_res_blocks": 100000000}"#, "num_res_blocks"),
    ] {
        let config = Config::from_json(json).unwrap();
        let refused = error(T2IAdapter::from_config(&config, &Device::flex()));
        assert!(refused.contains(&format!("`{field}`")), "{json}: {refused}");
    }
}
