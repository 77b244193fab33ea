//! The model that needs no download: emoji, 128x128.

use oxidiff::EmbeddedFolder;

macro_rules! embed {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_bytes!(concat!("../../../models/emoji-diffusion/", $file)))),*]
    };
}

/// A small Stable Diffusion pipeline in half precision; see `models/emoji-diffusion/README.md`.
pub(crate) static EMOJI_DIFFUSION: EmbeddedFolder = EmbeddedFolder {
    name: "emoji-diffusion",
    files: embed![
        "generation_config.json",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ],
};
