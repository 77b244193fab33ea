//! The models alone.

use oxidiff::{
    AddedConditions, AnyModel, ClassLabels, Config, ControlNetConfig, ControlNetInputs, ControlNetModel,
    ControlNetOutput, Device, FromUNetOptions, Model, MultiControlNetModel, Request, Tensor,
    UNet2DConditionInputs, UNet2DConditionModel,
};

use super::{error, load, recorded, variant};
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

/// The inputs that the script gives a ControlNet.
fn inputs(config: &ControlNetConfig) -> ControlNetInputs {
    let class_labels = match config.projection_class_embeddings_input_dim {
        Some(3) => Some(ClassLabels::Vectors(vectors([2, 3], -1.0))),
        _ if config.num_class_embeds.is_some() || config.class_embed_type.is_some() => {
            Some(ClassLabels::Numbers(vec![3.0, 1.0]))
        }
        _ => None,
    };
    let added = match config.addition_embed_type {
        Some(_) => AddedConditions {
            text_embeds: Some(vectors([2, 5], -1.0)),
            time_ids: Some(vectors([2, 6], 0.0) * 64.0),
            ..Default::default()
        },
        None => AddedConditions::default(),
    };
    ControlNetInputs { class_labels, added, ..Default::default() }
}

fn image(config: &ControlNetConfig) -> Tensor<4> {
    let factor = 1 << (config.conditioning_embedding_out_channels.len() - 1);
    values([2, config.conditioning_channels, 4 * factor, 3 * factor], 0.0)
}

fn residuals(net: &ControlNetModel, conditioning_scale: f64, guess_mode: bool) -> ControlNetOutput {
    let config = net.config();
    let inputs = ControlNetInputs { conditioning_scale, guess_mode, ..inputs(config) };
    let (sample, text) = (sample(config.in_channels), text(config.cross_attention_dim));
    net.forward_with(sample, &[301.0], text, image(config), inputs).unwrap()
}

#[test]
fn residuals_are_those_of_python_for_every_option() {
    let expected = Recorded::open(&recorded("models.safetensors"));
    for name in ["xl", "classes", "projection", "timestep"] {
        let net: ControlNetModel = load(&recorded("models").join(name));
        assert_close(name, flat(residuals(&net, 1.0, false)), expected.floats(name), TOLERANCE);
    }
    for (name, changed, scale, guess_mode) in [
        ("controlnet", "plain", 1.0, false),
        ("guess", "plain", 0.7, true),
        ("bgr", "bgr", 1.0, false),
        ("pooled", "pooled", 1.5, true),
    ] {
        let output = residuals(&variant("controlnet", changed), scale, guess_mode);
        if name == "pooled" {
            assert_eq!(output.mid_block_res_sample.dims(), [2, 8, 1, 1]);
        }
        assert_close(name, flat(output), expected.floats(name), TOLERANCE);
    }
}

#[test]
fn several_add_their_residuals() {
    let nets = MultiControlNetModel::from_pretrained(recorded("controlnet")).unwrap();
    assert_eq!(nets.nets().len(), 2);
    let image = values([2, 3, 32, 24], 0.0);
    let images = [image.clone(), image.neg() + 1.0];
    let call = |images: &[Tensor<4>], scales: &[f64]| {
        nets.forward(sample(4), &[301.0], text(24), images, scales, ControlNetInputs::default())
    };
    let expected = Recorded::open(&recorded("models.safetensors"));
    assert_close("both", flat(call(&images, &[0.5, 1.5]).unwrap()), expected.floats("both"), TOLERANCE);
    assert!(error(call(&images[..1], &[0.5, 1.5])).contains("`controlnet_cond`: has 1 for 2 ControlNets"));
    assert!(error(call(&images, &[0.5])).contains("`conditioning_scale`: has 1 for 2 ControlNets"));
    assert!(error(MultiControlNetModel::new(Vec::new())).contains("empty list"));

    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("nets");
    nets.save_pretrained(&first).unwrap();
    assert!(folder.path().join("nets_1/config.json").is_file());
    let again = MultiControlNetModel::from_pretrained(&first).unwrap();
    assert_eq!(again.nets()[1].config(), nets.nets()[1].config());
    let missing = error(MultiControlNetModel::from_pretrained(folder.path().join("other")));
    assert!(missing.contains("other: no such folder"), "{missing}");
}

#[test]
fn a_unet_adds_the_residuals() {
    let unet: UNet2DConditionModel = load(&recorded("unet"));
    let expected = Recorded::open(&recorded("models.safetensors"));
    for (name, changed) in [("unet", "plain"), ("unet_pooled", "pooled")] {
        let output = residuals(&variant("controlnet", changed), 1.0, false);
        let inputs = UNet2DConditionInputs {
            down_block_additional_residuals: output.down_block_res_samples.clone(),
            mid_block_additional_residual: Some(output.mid_block_res_sample.clone()),
            ..Default::default()
        };
        let out = unet.forward_with(sample(4), &[301.0], text(24), inputs).unwrap();
        assert_close(name, out, expected.floats(name), TOLERANCE);

        let call = |down: Vec<Tensor<4>>, mid: Option<Tensor<4>>| {
            let inputs = UNet2DConditionInputs {
                down_block_additional_residuals: down,
                mid_block_additional_residual: mid,
                ..Default::default()
            };
            error(unet.forward_with(sample(4), &[301.0], text(24), inputs))
        };
        let (down, mid) = (output.down_block_res_samples, output.mid_block_res_sample);
        assert!(call(down.clone(), None).contains("`mid_block_additional_residual`: must be given together"));
        assert!(call(Vec::new(), Some(mid.clone())).contains("`down_block_additional_residuals`"));
        assert!(call(down[1..].to_vec(), Some(mid.clone())).contains("has 3 tensors, the model has 4 skips"));
        let turned: Vec<_> = down.iter().rev().cloned().collect();
        assert!(call(turned, Some(mid.clone())).contains("`down_block_additional_residuals`: has shape"));
        let one = mid.narrow(0, 0, 1);
        assert!(call(down, Some(one)).contains("`mid_block_additional_residual`: has shape"));
    }
}

#[test]
fn a_new_controlnet_adds_nothing_and_is_saved_with_the_weights_of_its_unet() {
    let unet: UNet2DConditionModel = load(&recorded("unet"));
    let options = FromUNetOptions {
        conditioning_embedding_out_channels: vec![4, 4, 6, 8],
        ..FromUNetOptions::default()
    };
    let made = ControlNetModel::from_unet(&unet, &options).unwrap();
    let trained: ControlNetModel = load(&recorded("controlnet"));
    assert_eq!(made.config().block_out_channels, trained.config().block_out_channels);
    let largest = flat(residuals(&made, 1.0, false)).abs().max().into_scalar::<f32>();
    assert_eq!(largest, 0.0);

    let folder = tempfile::tempdir().unwrap();
    made.save_pretrained(folder.path()).unwrap();
    let weights = Recorded::open(&folder.path().join("diffusion_pytorch_model.safetensors"));
    for key in ["mid_block.attentions.0.proj_in.weight", "down_blocks.0.resnets.0.conv1.weight"] {
        assert_close(key, weights.floats::<4>(key), half(&recorded("unet"), key), 0.0);
    }
    assert_eq!(weights.floats::<4>("controlnet_mid_block.weight").dims(), [8, 8, 1, 1]);
    let mut loaded = load::<ControlNetModel>(folder.path()).config().clone();
    loaded.other.clear();
    assert_eq!(&loaded, made.config());

    let consistency = UNet2DConditionModel::init(
        &oxidiff::UNet2DConditionConfig { time_cond_proj_dim: Some(8), ..unet.config().clone() },
        &Device::flex(),
    );
    let refused = error(ControlNetModel::from_unet(&consistency.unwrap(), &options));
    assert!(refused.contains("`time_cond_proj_dim`: has a value that no ControlNet can have"), "{refused}");
}

/// A weight that is stored in half precision.
fn half(folder: &std::path::Path, key: &str) -> Tensor<4> {
    let bytes = std::fs::read(folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(key).unwrap();
    let values: Vec<f32> = tensor
        .data()
        .chunks_exact(2)
        .map(|pair| half::f16::from_le_bytes([pair[0], pair[1]]).to_f32())
        .collect();
    let shape: [usize; 4] = tensor.shape().try_into().unwrap();
    Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape(shape)
}

#[test]
fn a_saved_controlnet_computes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let net: ControlNetModel = load(&recorded("models/xl"));
    net.save_pretrained(folder.path()).unwrap();
    let again: ControlNetModel = load(folder.path());
    assert_close("saved", flat(residuals(&again, 1.0, false)), flat(residuals(&net, 1.0, false)), 0.0);
}

#[test]
fn it_is_a_model_with_arguments_by_name() {
    let net = AnyModel::from_pretrained(
        "ControlNetModel",
        recorded("controlnet").to_str().unwrap(),
        &Default::default(),
    )
    .unwrap();
    let request = Request::default()
        .with("sample", sample(4))
        .with("timestep", 301)
        .with("encoder_hidden_states", text(24))
        .with("controlnet_cond", values([2, 3, 32, 24], 0.0));
    let output = net.call(request).unwrap();
    let names: Vec<_> = output.iter().map(|(name, _)| *name).collect();
    assert_eq!(names[..4], ["down_block_res_samples"; 4]);
    assert_eq!(names[4..], ["mid_block_res_sample"]);

    // A UNet takes them by name, too.
    let unet: AnyModel = load::<UNet2DConditionModel>(&recorded("unet")).into();
    let mut tensors: Vec<Tensor<4>> =
        output.into_iter().map(|(name, tensor)| tensor.to_rank(name).unwrap()).collect();
    let mid = tensors.pop();
    let request = Request::default()
        .with("sample", sample(4))
        .with("timestep", 301)
        .with("encoder_hidden_states", text(24))
        .with("down_block_additional_residuals", tensors)
        .with("mid_block_additional_residual", mid);
    let (_, out) = unet.call(request).unwrap().remove(0);
    let expected = Recorded::open(&recorded("models.safetensors"));
    assert_close("by name", out.to_rank("sample").unwrap(), expected.floats::<4>("unet"), TOLERANCE);
}

#[test]
fn invalid_inputs_are_refused() {
    let net: ControlNetModel = load(&recorded("controlnet"));
    let image = || values([2, 3, 32, 24], 0.0);
    let call = |sample, timesteps: &[f32], text, image| {
        error(net.forward_with(sample, timesteps, text, image, ControlNetInputs::default()))
    };
    assert!(call(sample(3), &[1.0], text(24), image()).contains("`sample`: has 3 channels"));
    assert!(call(sample(4), &[1.0; 3], text(24), image()).contains("`timestep`: 3 for a batch of 2"));
    assert!(call(sample(4), &[1.0], text(23), image()).contains("length 23"));
    let small = call(sample(4), &[1.0], text(24), values([2, 3, 32, 16], 0.0));
    assert!(small.contains("`controlnet_cond`: has 32x16 pixels"), "{small}");
    assert!(call(sample(4), &[1.0], text(24), values([2, 1, 32, 24], 0.0)).contains("3 channels"));
    assert!(call(sample(4), &[1.0], text(24), values([3, 3, 32, 24], 0.0)).contains("takes 2 images"));
    let classes: ControlNetModel = load(&recorded("models/classes"));
    let none = classes.forward(sample(4), 1.0, text(6), values([2, 3, 8, 6], 0.0));
    assert!(error(none).contains("`class_labels`"));
}

#[test]
fn invalid_configurations_are_refused_by_field() {
    for (json, field) in [
        (r#"{"attention_head_dim": 0}"#, "attention_head_dim"),
        (r#"{"block_out_channels": [320, 640]}"#, "block_out_channels"),
        (r#"{"down_block_types": ["AttnDownBlock2D"]}"#, "down_block_types[0]"),
        (r#"{"mid_block_type": null}"#, "mid_block_type"),
        (r#"{"controlnet_conditioning_channel_order": "gbr"}"#, "controlnet_conditioning_channel_order"),
        (r#"{"conditioning_embedding_out_channels": []}"#, "conditioning_embedding_out_channels"),
        (r#"{"encoder_hid_dim": 8}"#, "encoder_hid_dim"),
        (r#"{"addition_embed_type": "image"}"#, "addition_embed_type"),
        (r#"{"addition_embed_type": "text_time"}"#, "projection_class_embeddings_input_dim"),
        (r#"{"class_embed_type": "projection"}"#, "projection_class_embeddings_input_dim"),
        (r#"{"class_embed_type": "simple_projection"}"#, "class_embed_type"),
        (r#"{"layers_per_block": 100000000}"#, "layers_per_block"),
    ] {
        let config = Config::from_json(json).unwrap();
        let refused = error(ControlNetModel::from_config(&config, &Device::flex()));
        assert!(refused.contains(&format!("`{field}`")), "{json}: {refused}");
    }
}
