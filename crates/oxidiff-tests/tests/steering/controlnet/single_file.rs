//! ControlNets in one file, as their author published them.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    ControlNetModel, DiffusionPipeline, Model, SingleFileOptions, StableDiffusionControlNetPipeline, Tensor,
};
use safetensors::tensor::{SafeTensors, TensorView};

use super::{components, error, load, recorded};
use crate::fixture::assert_close;
use crate::fixture::pictures::values;

/// Layers in each block of the ControlNet, and the convolutions of its image.
const LAYERS: usize = 1;
const CONVOLUTIONS: usize = 8;

/// The original key of a parameter, without its prefix.
fn original(key: &str) -> String {
    let part = |name: &str| {
        name.replace("norm1.", "in_layers.0.")
            .replace("conv1.", "in_layers.2.")
            .replace("norm2.", "out_layers.0.")
            .replace("conv2.", "out_layers.3.")
            .replace("time_emb_proj.", "emb_layers.1.")
            .replace("conv_shortcut.", "skip_connection.")
    };
    let words: Vec<&str> = key.split('.').collect();
    let number = |index: usize| words[index].parse::<usize>().unwrap();
    let rest = |start: usize| words[start..].join(".");
    match words[0] {
        "conv_in" => format!("input_blocks.0.0.{}", rest(1)),
        "time_embedding" if words[1] == "linear_1" => format!("time_embed.0.{}", rest(2)),
        "time_embedding" => format!("time_embed.2.{}", rest(2)),
        "controlnet_down_blocks" => format!("zero_convs.{}.0.{}", words[1], rest(2)),
        "controlnet_mid_block" => format!("middle_block_out.0.{}", rest(1)),
        "controlnet_cond_embedding" => match words[1] {
            "conv_in" => format!("input_hint_block.0.{}", rest(2)),
            "conv_out" => format!("input_hint_block.{}.{}", 2 * (CONVOLUTIONS - 1), rest(2)),
            _ => format!("input_hint_block.{}.{}", 2 * (number(2) + 1), rest(3)),
        },
        "mid_block" => match words[1] {
            "resnets" => format!("middle_block.{}.{}", 2 * number(2), part(&rest(3))),
            _ => format!("middle_block.1.{}", rest(3)),
        },
        _ => {
            let block = number(1) * (LAYERS + 1);
            match words[2] {
                "resnets" => format!("input_blocks.{}.0.{}", block + number(3) + 1, part(&rest(4))),
                "attentions" => format!("input_blocks.{}.1.{}", block + number(3) + 1, rest(4)),
                _ => format!("input_blocks.{}.0.op.{}", block + LAYERS + 1, rest(5)),
            }
        }
    }
}

/// Writes the ControlNet of the fixtures into a file, with this prefix before each key.
fn write(prefix: &str, file: &Path) {
    let bytes = std::fs::read(recorded("controlnet/diffusion_pytorch_model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let renamed: BTreeMap<String, TensorView<'_>> = stored
        .tensors()
        .into_iter()
        .map(|(key, view)| (format!("{prefix}{}", original(&key)), view))
        .collect();
    assert_eq!(renamed.len(), stored.len());
    std::fs::write(file, safetensors::serialize(renamed, None).unwrap()).unwrap();
}

fn residual(net: &ControlNetModel) -> Tensor<4> {
    let (sample, text) = (values([1, 4, 4, 4], -1.0), values([1, 1, 5, 24], -1.0).squeeze_dim(0));
    net.forward(sample, 301.0, text, values([1, 3, 32, 32], 0.0)).unwrap().mid_block_res_sample
}

#[test]
fn a_controlnet_loads_from_a_single_file() {
    let folder = tempfile::tempdir().unwrap();
    let expected = residual(&load::<ControlNetModel>(&recorded("controlnet")));
    let config = recorded("controlnet").to_str().unwrap().to_owned();
    let options = SingleFileOptions { config: Some(config), ..SingleFileOptions::default() };
    for prefix in ["control_model.", ""] {
        let file = folder.path().join("control_sd15_canny.safetensors");
        write(prefix, &file);
        let net = ControlNetModel::from_single_file(file.to_str().unwrap(), &options).unwrap();
        assert_close(prefix, residual(&net), expected.clone(), 0.0);
        assert!(StableDiffusionControlNetPipeline::new(components(), net).is_ok());
    }
    // A file in the layout of diffusers is taken as it is.
    let file = recorded("controlnet/diffusion_pytorch_model.safetensors");
    let net = ControlNetModel::from_single_file(file.to_str().unwrap(), &options).unwrap();
    assert_close("diffusers", residual(&net), expected, 0.0);
}

#[test]
fn the_configuration_follows_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control_sd15_canny.safetensors");
    write("control_model.", &file);
    let file = file.to_str().unwrap();
    // The file is not as wide as the published one, whose configuration the library has.
    let refused = error(ControlNetModel::from_single_file(file, &SingleFileOptions::default()));
    assert!(refused.contains(file) && refused.contains("320"), "{refused}");
    let refused = error(DiffusionPipeline::from_single_file(file, &SingleFileOptions::default()));
    assert!(refused.contains("a ControlNet, not a whole checkpoint"), "{refused}");
}
