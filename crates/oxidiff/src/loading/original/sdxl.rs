//! The layout of Stable Diffusion XL and its refiner (Stability AI's `generative-models`): that of Stable Diffusion, with the
//! text encoders under `conditioner.embedders`.

use super::{Layout, OriginalModel, UNET, configs, input_channels, open_clip, stable_diffusion, width};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::folder::EmbeddedFolder;
use crate::loading::formats::state_dict::StateDict;

/// OpenCLIP's encoder in the base model, and in the refiner, which has no other.
const OPEN_CLIP: [&str; 2] = ["conditioner.embedders.1.model.", "conditioner.embedders.0.model."];
/// How many features the UNets of both embed besides the timestep: those of the pooled text, and of 6 or 5 numbers.
const ADDED_FEATURES: [usize; 2] = [1280 + 6 * 256, 1280 + 5 * 256];
/// What Playground adds: how its latents are normalized.
const LATENTS_MEAN: &str = "edm_mean";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| {
        OPEN_CLIP.iter().any(|prefix| has(tensors, prefix))
            || added_features(tensors).is_some_and(|features| ADDED_FEATURES.contains(&features))
    },
    configs,
    models: &[
        OriginalModel {
            class_name: "UNet2DConditionModel",
            subfolder: "unet",
            convert: stable_diffusion::unet,
        },
        OriginalModel { class_name: "AutoencoderKL", subfolder: "vae", convert: stable_diffusion::vae },
        OriginalModel {
            class_name: "CLIPTextModel",
            subfolder: "text_encoder",
            convert: stable_diffusion::text_encoder,
        },
        OriginalModel {
            class_name: "CLIPTextModelWithProjection",
            subfolder: "text_encoder_2",
            convert: text_encoder_2,
        },
    ],
};

fn has(tensors: &StateDict, prefix: &str) -> bool {
    tensors.keys().any(|key| key.starts_with(prefix))
}

/// The features that a UNet embeds besides the timestep. A UNet that is alone in its file may be in the layout of diffusers.
fn added_features(tensors: &StateDict) -> Option<usize> {
    let original = width(tensors, &format!("{UNET}label_emb.0.0.weight"));
    original.or_else(|| width(tensors, "add_embedding.linear_1.weight"))
}

fn configs(tensors: &StateDict) -> &'static EmbeddedFolder {
    let [base, refiner] = OPEN_CLIP.map(|prefix| has(tensors, prefix));
    if !base && (refiner || added_features(tensors) == Some(ADDED_FEATURES[1])) {
        return &configs::XL_REFINER;
    }
    match input_channels(tensors) {
        Some(9) => &configs::XL_INPAINTING,
        Some(8) => &configs::XL_INSTRUCT_PIX2PIX,
        _ if tensors.contains(LATENTS_MEAN) => &configs::PLAYGROUND,
        _ => &configs::XL_BASE,
    }
}

fn text_encoder_2(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let [base, refiner] = OPEN_CLIP;
    open_clip::convert_with_projection(tensors, if has(tensors, base) { base } else { refiner })
}
