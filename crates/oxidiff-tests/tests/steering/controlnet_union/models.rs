//! The models alone.

use oxidiff::{
    AddedConditions, AdditionEmbedType, AnyModel, ClassLabels, Config, ControlNetOutput,
    ControlNetUnionConfig, ControlNetUnionInputs, ControlNetUnionModel, Device, FromUNetOptions, Model,
    MultiControlNetUnionModel, Request, Tensor,
};

use super::{error, expect, net, recorded, xl};
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-4;

/// All values, in order.
fn flat(output: ControlNetOutput) -> Tensor<1> {
    let all = output.down_block_res_samples.into_iter().chain([output.mid_block_res_sample]);
    Tensor::cat(all.map(|tensor| tensor.flatten(0, 3)).collect(), 0)
}

fn sample(channels: usize) -> Tensor<4> {
    values([2, channels, 4, 3], -1.0)
}

fn text(features: usize) -> Tensor<3> {
    values([1, 2, 7, features], -1.5).squeeze_dim(0)
}

fn vectors(shape: [usize; 2], low: f32) -> Tensor<2> {
    values([1, 1, shape[0], shape[1]], low).reshape(shape)
}

/// The images that the script gives a model; every second one is inverted.
fn images(config: &ControlNetUnionConfig, count: usize) -> Vec<Tensor<4>> {
    let factor = 1 << (config.conditioning_embedding_out_channels.len() - 1);
    let image = values([2, config.conditioning_channels, 4 * factor, 3 * factor], 0.0);
    let inverted = image.clone().neg() + 1.0;
    (0..count).map(|index| if index % 2 == 0 { image.clone() } else { inverted.clone() }).collect()
}

/// The other inputs that the script gives a model.
fn inputs(config: &ControlNetUnionConfig) -> ControlNetUnionInputs {
    let class_labels = match config.projection_class_embeddings_input_dim {
        Some(3) => Some(ClassLabels::Vectors(vectors([2, 3], -1.0))),
        _ if config.num_class_embeds.is_some() || config.class_embed_type.is_some() => {
            Some(ClassLabels::Numbers(vec![3.0, 1.0]))
        }
        _ => None,
    };
    let added = match config.addition_embed_type {
        Some(AdditionEmbedType::TextTime) => AddedConditions {
            text_embeds: Some(vectors([2, 5], -1.0)),
            time_ids: Some(vectors([2, 6], 0.0) * 64.0),
            ..Default::default()
        },
        _ => AddedConditions::default(),
    };
    ControlNetUnionInputs { class_labels, added, ..Default::default() }
}

fn residuals(
    net: &ControlNetUnionModel,
    types: &[usize],
    change: impl FnOnce(&mut ControlNetUnionInputs),
) -> Tensor<1> {
    let config = net.config();
    let mut inputs = inputs(config);
    change(&mut inputs);
    let (sample, text) = (sample(config.in_channels), text(config.cross_attention_dim));
    let images = images(config, types.len());
    flat(net.forward_with(sample, &[301.0], text, &images, types, inputs).unwrap())
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

#[test]
fn residuals_are_those_of_python_for_every_option() {
    compare(|_| ());
}

#[cfg(feature = "cuda")]
#[test]
fn cards_compute_the_residuals_of_python() {
    compare(|net| net.place_on_card(&oxidiff::interpreter()).unwrap());
}

/// Compares the residuals of models that `prepare` has changed.
fn compare(prepare: impl Fn(&mut ControlNetUnionModel)) {
    let net = |name: &str| {
        let mut net = net(name);
        prepare(&mut net);
        net
    };
    let expected = outputs();
    let check = |name: &str, made: Tensor<1>| assert_close(name, made, expected.floats(name), TOLERANCE);
    for name in ["plain", "xl", "classes", "projection", "timestep", "pooled"] {
        check(name, residuals(&net(name), &[0, 2], |_| ()));
    }
    let plain = net("plain");
    let scale = |scales: &[f64]| {
        let scales = scales.to_vec();
        move |it: &mut ControlNetUnionInputs| it.conditioning_scale = scales
    };
    check("one", residuals(&plain, &[1], scale(&[0.7])));
    check(
        "one_guess",
        residuals(&plain, &[1], |it| {
            it.conditioning_scale = vec![0.7];
            it.guess_mode = true;
        }),
    );
    check("scales", residuals(&plain, &[2, 0], scale(&[0.5, 1.5])));
    check(
        "guess",
        residuals(&plain, &[2, 0], |it| {
            it.conditioning_scale = vec![0.5, 1.5];
            it.guess_mode = true;
        }),
    );
    check(
        "from_multi",
        residuals(&plain, &[2, 0], |it| {
            it.conditioning_scale = vec![0.6; 2];
            it.from_multi = true;
        }),
    );
    check("three", residuals(&net("xl"), &[7, 0, 3], scale(&[1.0, 0.5, 0.0])));
    check(
        "pooled_one",
        residuals(&net("pooled"), &[1], |it| {
            it.conditioning_scale = vec![1.5];
            it.guess_mode = true;
        }),
    );
    let mut stored = ControlNetUnionModel::from_pretrained(recorded("stored").to_str().unwrap()).unwrap();
    prepare(&mut stored);
    check("stored", residuals(&stored, &[0, 2], |_| ()));

    // The flags can be given, too.
    let flags = Tensor::<2>::from_floats([[1.0, 0.0, 1.0]; 2], &Device::flex());
    check("plain", residuals(&plain, &[0, 2], |it| it.control_type = Some(flags)));
}

#[test]
fn several_add_their_residuals() {
    let nets = MultiControlNetUnionModel::new(vec![net("plain"), net("other")]).unwrap();
    let (first, second) = (images(nets.nets()[0].config(), 2), images(nets.nets()[1].config(), 1));
    let call = |scales: &[f64], types: &[Vec<usize>]| {
        let images = [first.clone(), second.clone()];
        let inputs = ControlNetUnionInputs::default();
        nets.forward(sample(4), &[301.0], text(6), &images, types, scales, inputs)
    };
    let types = [vec![0, 2], vec![1]];
    let expected = outputs();
    for (name, scales) in [("several", [0.5, 1.5]), ("several_second", [0.0, 1.5])] {
        let made = flat(call(&scales, &types).unwrap().unwrap());
        assert_close(name, made, expected.floats(name), TOLERANCE);
    }
    assert!(call(&[0.0, 0.0], &types).unwrap().is_none());
    expect(&error(call(&[0.5], &types)), &["`conditioning_scale`: has 1 for 2 ControlNets"]);
    expect(&error(call(&[0.5, 1.0], &types[..1])), &["`control_type_idx`: has 1 for 2 ControlNets"]);
    expect(&error(MultiControlNetUnionModel::new(Vec::new())), &["empty list"]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nets");
    nets.save_pretrained(&path).unwrap();
    assert!(folder.path().join("nets_1/config.json").is_file());
    let again = MultiControlNetUnionModel::from_pretrained(&path).unwrap();
    assert_eq!(again.nets()[1].config().num_control_type, 3);
    let missing = error(MultiControlNetUnionModel::from_pretrained(folder.path().join("other")));
    expect(&missing, &["other: no such folder"]);
}

#[test]
fn a_new_one_adds_nothing_and_has_the_weights_of_its_unet() {
    let unet = xl().unet;
    let options = FromUNetOptions {
        conditioning_embedding_out_channels: vec![4, 4, 6, 8],
        ..FromUNetOptions::default()
    };
    let made = ControlNetUnionModel::from_unet(&unet, &options).unwrap();
    let trained = net("union_1");
    let config = made.config();
    assert_eq!(config.block_out_channels, trained.config().block_out_channels);
    assert_eq!([config.num_trans_channel, config.num_proj_channel, config.num_control_type], [8, 8, 6]);
    let added = AddedConditions {
        text_embeds: Some(vectors([2, 10], -1.0)),
        time_ids: Some(vectors([2, 6], 0.0) * 64.0),
        ..Default::default()
    };
    let inputs = ControlNetUnionInputs { added, ..Default::default() };
    let images = images(config, 1);
    let output = made.forward_with(sample(4), &[301.0], text(28), &images, &[5], inputs).unwrap();
    assert_eq!(flat(output).abs().max().into_scalar::<f32>(), 0.0);

    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made.save_pretrained(folder.path()).unwrap();
    unet.save_pretrained(other.path()).unwrap();
    let file = |folder: &std::path::Path| Recorded::open(&folder.join("diffusion_pytorch_model.safetensors"));
    let (weights, theirs) = (file(folder.path()), file(other.path()));
    for key in ["conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"] {
        assert_close(key, weights.floats::<4>(key), theirs.floats::<4>(key), 0.0);
    }
    for key in ["task_embedding", "transformer_layes.0.attn.in_proj_weight", "spatial_ch_projs.weight"] {
        assert!(weights.has(key), "{key}");
    }
}

#[test]
fn it_is_a_model_with_arguments_by_name() {
    let model = net("plain");
    let images = images(model.config(), 2);
    let any: AnyModel = model.into();
    let request = Request::default()
        .with("sample", sample(4))
        .with("timestep", 301)
        .with("encoder_hidden_states", text(6))
        .with("controlnet_cond", images)
        .with("control_type_idx", vec![2_usize, 0])
        .with("conditioning_scale", vec![0.5, 1.5]);
    let output = any.call(request).unwrap();
    assert_eq!(output.last().unwrap().0, "mid_block_res_sample");
    let parts: Vec<Tensor<1>> =
        output.into_iter().map(|(name, it)| it.to_rank::<4>(name).unwrap().flatten(0, 3)).collect();
    assert_close("by name", Tensor::cat(parts, 0), outputs().floats("scales"), TOLERANCE);
}

#[test]
fn invalid_inputs_and_configurations_are_refused() {
    let net = net("plain");
    let all = images(net.config(), 2);
    let call = |images: &[Tensor<4>], types: &[usize], scales: &[f64]| {
        let inputs =
            ControlNetUnionInputs { conditioning_scale: scales.to_vec(), ..ControlNetUnionInputs::default() };
        error(net.forward_with(sample(4), &[1.0], text(6), images, types, inputs))
    };
    expect(&call(&all, &[0], &[]), &["`controlnet_cond`: has 2 images for 1 type"]);
    expect(&call(&all, &[0, 3], &[]), &["`control_type_idx`: has 3", "types 0 to 2"]);
    expect(&call(&[], &[], &[]), &["`control_type_idx`: is empty"]);
    expect(&call(&all, &[0, 1], &[1.0]), &["`conditioning_scale`: has 1 for 2 images"]);
    expect(&call(&[values([2, 1, 8, 6], 0.0)], &[0], &[]), &["`controlnet_cond`", "3 channels"]);
    expect(&call(&[values([2, 3, 8, 8], 0.0)], &[0], &[]), &["`controlnet_cond`", "8x8 pixels"]);
    let flags = ControlNetUnionInputs {
        control_type: Some(vectors([2, 2], 0.0)),
        ..ControlNetUnionInputs::default()
    };
    let wrong = net.forward_with(sample(4), &[1.0], text(6), &all[..1], &[0], flags);
    expect(&error(wrong), &["`control_type`: has shape [2, 2]", "[2, 3]"]);
    for (json, field) in [
        ("{}", "addition_time_embed_dim"),
        (r#"{"num_control_type": 0}"#, "num_control_type"),
        (r#"{"num_trans_head": 7}"#, "num_trans_head"),
        (r#"{"num_trans_channel": 64}"#, "num_trans_channel"),
        (r#"{"num_proj_channel": 64}"#, "num_proj_channel"),
        (r#"{"num_trans_layer": 100000000}"#, "num_trans_layer"),
        (r#"{"controlnet_conditioning_channel_order": "bgr"}"#, "controlnet_conditioning_channel_order"),
        (r#"{"addition_time_embed_dim": 8, "down_block_types": ["AttnDownBlock2D"]}"#, "down_block_types[0]"),
    ] {
        let config = Config::from_json(json).unwrap();
        let refused = error(ControlNetUnionModel::from_config(&config, &Device::flex()));
        assert!(refused.contains(&format!("`{field}`")), "{json}: {refused}");
    }
}
