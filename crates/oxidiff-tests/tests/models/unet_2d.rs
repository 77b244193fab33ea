//! Compares `UNet2DModel` with Python diffusers, stage by stage: at most 1e-4 apart.

use std::path::PathBuf;

use oxidiff::{
    ClassLabels, Config, Device, DownBlockType, LoadOptions, Model, SampleSize, Tensor, UNet2DConfig,
    UNet2DModel, UpBlockType,
};
use serde::Deserialize;

use crate::fixture::drawn::stored_or_drawn;
use crate::fixture::{Recorded, assert_close, fixtures, json, variants};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Call {
    timesteps: Vec<f32>,
    labels: Option<Vec<f32>>,
}

fn folder(name: &str) -> PathBuf {
    fixtures().join("unconditional/unets").join(name)
}

fn load(name: &str) -> UNet2DModel {
    stored_or_drawn(&folder(name), &LoadOptions::default())
}

fn class_labels(call: &Call, recorded: &Recorded) -> Option<ClassLabels> {
    match &call.labels {
        Some(numbers) => Some(ClassLabels::Numbers(numbers.clone())),
        None if recorded.has("label_vectors") => Some(ClassLabels::Vectors(recorded.floats("label_vectors"))),
        None => None,
    }
}

#[test]
fn every_option_computes_what_python_does() {
    let variants = variants("unconditional/unets");
    assert!(variants.len() > 25, "{} variants", variants.len());
    for (_, name, recorded) in &variants {
        let call: Call = json(&folder(name).join("call.json"));
        let mut stages = 0;
        let out = load(name)
            .forward_observed(
                recorded.floats("sample"),
                &call.timesteps,
                class_labels(&call, recorded),
                &mut |stage, x| {
                    let key = format!("stage.{stage}");
                    if recorded.has(&key) {
                        let first = x.clone().narrow(0, 0, 1);
                        assert_close(&format!("{name} {stage}"), first, recorded.floats(&key), TOLERANCE);
                        stages += 1;
                    }
                },
            )
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_close(name, out, recorded.floats("out"), TOLERANCE);
        let expected = match name.as_str() {
            "ddpm_256" => 15,
            "ncsnpp" | "consistency" => 9,
            _ => 0,
        };
        assert_eq!(stages, expected, "{name}");
    }
}

#[test]
fn one_timestep_applies_to_every_item() {
    let model = load("plain");
    let recorded = Recorded::open(&folder("plain").join("call.safetensors"));
    let sample: Tensor<4> = recorded.floats("sample");
    let one = model.forward(sample.clone(), &[7.0]).unwrap();
    let each = model.forward(sample.clone(), &[7.0, 7.0]).unwrap();
    assert_close("one for all", one, each, 0.0);
    // The second item was recorded with this timestep.
    let second = model.forward(sample.narrow(0, 1, 1), &[7.0]).unwrap();
    assert_close("alone", second, recorded.floats::<4>("out").narrow(0, 1, 1), TOLERANCE);
}

#[test]
fn a_saved_model_loads_again_and_computes_the_same() {
    let recorded = Recorded::open(&folder("ddpm_256").join("call.safetensors"));
    let call: Call = json(&folder("ddpm_256").join("call.json"));
    let saved = tempfile::tempdir().unwrap();
    load("ddpm_256").save_pretrained(saved.path()).unwrap();
    let model = UNet2DModel::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(model.config(), load("ddpm_256").config());
    let out = model.forward(recorded.floats("sample"), &call.timesteps).unwrap();
    assert_close("saved", out, recorded.floats("out"), TOLERANCE);
}

#[test]
fn a_call_refuses_invalid_arguments() {
    let device = Device::flex();
    let zeros = |dims| Tensor::<4>::zeros(dims, &device);
    let message = |model: &str, sample: Tensor<4>, timesteps: &[f32], labels: Option<ClassLabels>| {
        load(model).forward_with(sample, timesteps, labels).unwrap_err().to_string()
    };
    let numbers = |numbers: &[f32]| Some(ClassLabels::Numbers(numbers.to_vec()));
    let vectors = |features| Some(ClassLabels::Vectors(Tensor::zeros([1, features], &device)));
    let sample = || zeros([1, 3, 8, 8]);

    assert!(message("plain", zeros([1, 4, 8, 8]), &[1.0], None).contains("4 channels, the model takes 3"));
    assert!(message("plain", zeros([1, 3, 7, 8]), &[1.0], None).contains("7x8"));
    assert!(message("plain", sample(), &[1.0, 2.0], None).starts_with("`timestep`"));
    assert!(message("plain", sample(), &[], None).starts_with("`timestep`"));
    assert!(message("plain", sample(), &[1.0], numbers(&[1.0])).starts_with("`class_labels`"));
    assert!(message("class_table", sample(), &[1.0], None).starts_with("`class_labels`"));
    assert!(message("class_table", sample(), &[1.0], numbers(&[5.0])).contains("5 is not one of the 5"));
    assert!(message("class_table", sample(), &[1.0], numbers(&[-1.0])).contains("-1 is not one of"));
    assert!(message("class_table", sample(), &[1.0], numbers(&[1.0, 2.0])).contains("2 labels"));
    assert!(message("class_table", sample(), &[1.0], vectors(8)).contains("numbers, not vectors"));
    assert!(message("class_identity", sample(), &[1.0], vectors(9)).contains("length 9"));
    assert!(message("class_identity", sample(), &[1.0], numbers(&[1.0])).contains("vectors, not numbers"));
    assert!(message("learned", sample(), &[20.0], None).contains("`timestep`: 20 is not one of the 20"));
    assert!(message("learned", sample(), &[0.5], None).contains("0.5 is not one of"));
}

#[test]
fn invalid_configurations_are_refused_by_field() {
    let device = Device::flex();
    let two = r#""block_out_channels": [32, 64], "norm_num_groups": 32"#;
    for (json, field) in [
        (r#"{"block_out_channels": []}"#.to_owned(), "block_out_channels"),
        (r#"{"block_out_channels": [32, 64]}"#.to_owned(), "down_block_types"),
        (format!(r#"{{{two}, "down_block_types": ["DownBlock2D", "DownBlock2D"]}}"#), "up_block_types"),
        (r#"{"down_block_types": ["SpiralBlock2D"]}"#.to_owned(), "down_block_types[0]"),
        (r#"{"up_block_types": ["SpiralBlock2D"]}"#.to_owned(), "up_block_types[0]"),
        (r#"{"mid_block_type": "UNetMidBlock2DCrossAttn"}"#.to_owned(), "mid_block_type"),
        (r#"{"norm_num_groups": 9}"#.to_owned(), "norm_num_groups"),
        (r#"{"norm_num_groups": 0}"#.to_owned(), "norm_num_groups"),
        (r#"{"norm_num_groups": null}"#.to_owned(), "norm_num_groups"),
        (r#"{"attn_norm_num_groups": 17}"#.to_owned(), "attn_norm_num_groups"),
        (r#"{"attention_head_dim": 0}"#.to_owned(), "attention_head_dim"),
        (r#"{"attention_head_dim": 500}"#.to_owned(), "attention_head_dim"),
        (r#"{"layers_per_block": 0}"#.to_owned(), "layers_per_block"),
        (r#"{"layers_per_block": 99999999}"#.to_owned(), "layers_per_block"),
        (r#"{"downsample_padding": 2}"#.to_owned(), "downsample_padding"),
        (r#"{"downsample_type": "fir"}"#.to_owned(), "downsample_type"),
        (r#"{"time_embedding_type": "learned"}"#.to_owned(), "num_train_timesteps"),
        (r#"{"time_embedding_type": "spiral"}"#.to_owned(), "time_embedding_type"),
        (r#"{"class_embed_type": "projection"}"#.to_owned(), "class_embed_type"),
        (r#"{"act_fn": "sine"}"#.to_owned(), "act_fn"),
        (r#"{"in_channels": 0}"#.to_owned(), "in_channels"),
        (r#"{"resnet_time_scale_shift": "spatial"}"#.to_owned(), "resnet_time_scale_shift"),
    ] {
        let config = Config::from_json(&json).unwrap();
        let error = UNet2DModel::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{json}: {error}");
    }
}

#[test]
fn skip_blocks_are_refused_if_their_sizes_cannot_fit() {
    use DownBlockType::{AttnSkipDownBlock2D, DownBlock2D, SkipDownBlock2D};
    use UpBlockType::{SkipUpBlock2D, UpBlock2D};
    let device = Device::flex();
    let base = UNet2DConfig {
        sample_size: Some(SampleSize::Square(8)),
        block_out_channels: vec![8, 8, 8],
        norm_num_groups: Some(2),
        down_block_types: vec![DownBlock2D; 3],
        up_block_types: vec![UpBlock2D; 3],
        ..Default::default()
    };
    let refused = |config: UNet2DConfig| UNet2DModel::init(&config, &device).unwrap_err().to_string();
    assert!(UNet2DModel::init(&base, &device).is_ok());

    let down = vec![DownBlock2D, SkipDownBlock2D, DownBlock2D];
    assert!(refused(UNet2DConfig { down_block_types: down, ..base.clone() }).contains("`down_block_types`"));
    let up = vec![SkipUpBlock2D, SkipUpBlock2D, UpBlock2D];
    assert!(refused(UNet2DConfig { up_block_types: up, ..base.clone() }).contains("`up_block_types`"));
    let down = vec![SkipDownBlock2D, DownBlock2D, DownBlock2D];
    let four = UNet2DConfig { down_block_types: down, in_channels: 4, ..base.clone() };
    assert!(refused(four).contains("`in_channels`"));
    let up = vec![UpBlock2D, SkipUpBlock2D, SkipUpBlock2D];
    let four = UNet2DConfig { up_block_types: up, out_channels: 4, ..base.clone() };
    assert!(refused(four).contains("`out_channels`"));
    // The attention of a skip block always has 32 groups.
    let down = vec![AttnSkipDownBlock2D, DownBlock2D, DownBlock2D];
    let narrow = UNet2DConfig { down_block_types: down, ..base };
    assert!(refused(narrow).contains("8 channels of a skip block do not divide into 32 groups"));
}
