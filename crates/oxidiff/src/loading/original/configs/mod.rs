//! The configurations and tokenizers that a layout implies: those of the repository in which a model was published. They are
//! part of the library, so that a single file needs no hub.
//!
//! A JSON file here has the fields of the published one. `tokenizer/merges.zip` holds `merges.txt`, from which the whole
//! vocabulary of CLIP follows.

use crate::loading::folder::EmbeddedFolder;

/// A static that all folders share: the file is in the binary once.
macro_rules! embed {
    ($($name:ident = $file:literal;)*) => {
        $(static $name: &[u8] = include_bytes!($file);)*
    };
}

embed! {
    MERGES = "tokenizer/merges.zip";
    PAD_END = "tokenizer/pad_end.json";
    PAD_EXCLAMATION_MARK = "tokenizer/pad_exclamation_mark.json";
    CLIP_L = "text_encoder/clip_l.json";
    OPEN_CLIP_H = "text_encoder/open_clip_h.json";
    OPEN_CLIP_G = "text_encoder/open_clip_g.json";
    T5_XXL = "text_encoder/t5_xxl.json";
    VAE = "vae/sd.json";
    VAE_XL = "vae/xl.json";
    PNDM = "scheduler/pndm.json";
    DDIM = "scheduler/ddim.json";
    EULER = "scheduler/euler.json";
    FLOW_SHIFT_3 = "scheduler/flow_shift_3.json";
    VAE_SD3 = "vae/sd3.json";
    SD3_INDEX = "model_index/sd3.json";
    SD3_INDEX_WITHOUT_TEXT = "model_index/sd3_without_text.json";
    SD3_TRANSFORMER = "transformer/sd3_medium.json";
    SD35_MEDIUM_TRANSFORMER = "transformer/sd35_medium.json";
    SD35_LARGE_TRANSFORMER = "transformer/sd35_large.json";
}

const MODEL_INDEX: &str = "model_index.json";
const UNET: &str = "unet/config.json";
const AUTOENCODER: &str = "vae/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const LOW_RES_SCHEDULER: &str = "low_res_scheduler/scheduler_config.json";
const TEXT_ENCODER: &str = "text_encoder/config.json";
const CONTROLNET: &str = "controlnet/config.json";
const TRANSFORMER: &str = "transformer/config.json";
const TEXT_ENCODER_2: &str = "text_encoder_2/config.json";
const TEXT_ENCODER_3: &str = "text_encoder_3/config.json";

/// A folder of the given files, and of the two of each tokenizer, which differ in the token that they pad with.
macro_rules! folder {
    ($name:literal, tokenizers: [$($tokenizer:literal: $pad:ident),*], $($path:ident: $file:expr),* $(,)?) => {
        EmbeddedFolder {
            name: $name,
            files: &[
                $((concat!($tokenizer, "/tokenizer_config.json"), $pad), (concat!($tokenizer, "/merges.zip"), MERGES),)*
                $(($path, $file)),*
            ],
        }
    };
}

pub(super) static STABLE_DIFFUSION_1: EmbeddedFolder = folder!(
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    tokenizers: ["tokenizer": PAD_END],
    MODEL_INDEX: include_bytes!("model_index/sd1.json"),
    UNET: include_bytes!("unet/sd1.json"),
    AUTOENCODER: VAE,
    SCHEDULER: PNDM,
    TEXT_ENCODER: CLIP_L,
);

pub(super) static STABLE_DIFFUSION_1_INPAINTING: EmbeddedFolder = folder!(
    "stable-diffusion-v1-5/stable-diffusion-inpainting",
    tokenizers: ["tokenizer": PAD_END],
    MODEL_INDEX: include_bytes!("model_index/sd1_inpaint.json"),
    UNET: include_bytes!("unet/sd1_inpaint.json"),
    AUTOENCODER: include_bytes!("vae/sd1_inpaint.json"),
    SCHEDULER: DDIM,
    TEXT_ENCODER: CLIP_L,
);

pub(super) static INSTRUCT_PIX2PIX: EmbeddedFolder = folder!(
    "timbrooks/instruct-pix2pix",
    tokenizers: ["tokenizer": PAD_END],
    MODEL_INDEX: include_bytes!("model_index/sd1_pix2pix.json"),
    UNET: include_bytes!("unet/sd1_pix2pix.json"),
    AUTOENCODER: VAE,
    SCHEDULER: include_bytes!("scheduler/euler_ancestral.json"),
    TEXT_ENCODER: CLIP_L,
);

pub(super) static STABLE_DIFFUSION_2: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-2-1",
    tokenizers: ["tokenizer": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/sd2.json"),
    UNET: include_bytes!("unet/sd2.json"),
    AUTOENCODER: include_bytes!("vae/sd2.json"),
    SCHEDULER: include_bytes!("scheduler/ddim_v.json"),
    TEXT_ENCODER: OPEN_CLIP_H,
);

pub(super) static STABLE_DIFFUSION_2_INPAINTING: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-2-inpainting",
    tokenizers: ["tokenizer": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/sd2_inpaint.json"),
    UNET: include_bytes!("unet/sd2_inpaint.json"),
    AUTOENCODER: VAE,
    SCHEDULER: PNDM,
    TEXT_ENCODER: OPEN_CLIP_H,
);

pub(super) static UPSCALER: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-x4-upscaler",
    tokenizers: ["tokenizer": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/upscaler.json"),
    UNET: include_bytes!("unet/upscaler.json"),
    AUTOENCODER: include_bytes!("vae/upscaler.json"),
    SCHEDULER: include_bytes!("scheduler/upscaler.json"),
    LOW_RES_SCHEDULER: include_bytes!("scheduler/upscaler_low_res.json"),
    TEXT_ENCODER: OPEN_CLIP_H,
);

pub(super) static XL_BASE: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-xl-base-1.0",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/xl.json"),
    UNET: include_bytes!("unet/xl.json"),
    AUTOENCODER: VAE_XL,
    SCHEDULER: EULER,
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
);

pub(super) static XL_REFINER: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-xl-refiner-1.0",
    tokenizers: ["tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/xl_refiner.json"),
    UNET: include_bytes!("unet/xl_refiner.json"),
    AUTOENCODER: VAE_XL,
    SCHEDULER: EULER,
    TEXT_ENCODER_2: OPEN_CLIP_G,
);

pub(super) static XL_INPAINTING: EmbeddedFolder = folder!(
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/xl_inpaint.json"),
    UNET: include_bytes!("unet/xl_inpaint.json"),
    AUTOENCODER: include_bytes!("vae/xl_inpaint.json"),
    SCHEDULER: EULER,
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
);

pub(super) static XL_INSTRUCT_PIX2PIX: EmbeddedFolder = folder!(
    "diffusers/sdxl-instructpix2pix-768",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/xl_pix2pix.json"),
    UNET: include_bytes!("unet/xl_pix2pix.json"),
    AUTOENCODER: VAE_XL,
    SCHEDULER: EULER,
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
);

pub(super) static PLAYGROUND: EmbeddedFolder = folder!(
    "playgroundai/playground-v2.5-1024px-aesthetic",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: include_bytes!("model_index/playground.json"),
    UNET: include_bytes!("unet/xl.json"),
    AUTOENCODER: include_bytes!("vae/playground.json"),
    SCHEDULER: include_bytes!("scheduler/edm.json"),
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
);

pub(super) static CONTROLNET_STABLE_DIFFUSION_1: EmbeddedFolder = folder!(
    "lllyasviel/control_v11p_sd15_canny",
    tokenizers: [],
    CONTROLNET: include_bytes!("controlnet/sd1.json"),
);

pub(super) static CONTROLNET_STABLE_DIFFUSION_2: EmbeddedFolder = folder!(
    "thibaud/controlnet-sd21-canny-diffusers",
    tokenizers: [],
    CONTROLNET: include_bytes!("controlnet/sd2.json"),
);

pub(super) static CONTROLNET_XL: EmbeddedFolder = folder!(
    "diffusers/controlnet-canny-sdxl-1.0",
    tokenizers: [],
    CONTROLNET: include_bytes!("controlnet/xl.json"),
);

/// Folders of one file.
macro_rules! alone {
    ($($name:ident = $repository:literal, $path:ident: $file:literal;)*) => {
        $(
            pub(super) static $name: EmbeddedFolder =
                folder!($repository, tokenizers: [], $path: include_bytes!($file));
        )*
    };
}

alone! {
    SANA_1600M = "Efficient-Large-Model/Sana_1600M_1024px_diffusers", TRANSFORMER: "transformer/sana_1600m.json";
    SANA_600M = "Efficient-Large-Model/Sana_600M_1024px_diffusers", TRANSFORMER: "transformer/sana_600m.json";
    DC_SANA = "mit-han-lab/dc-ae-f32c32-sana-1.0-diffusers", AUTOENCODER: "vae/dc_sana.json";
    DC_F32C32 = "mit-han-lab/dc-ae-f32c32-mix-1.0-diffusers", AUTOENCODER: "vae/dc_f32c32.json";
    DC_F64C128 = "mit-han-lab/dc-ae-f64c128-mix-1.0-diffusers", AUTOENCODER: "vae/dc_f64c128.json";
    DC_F128C512 = "mit-han-lab/dc-ae-f128c512-mix-1.0-diffusers", AUTOENCODER: "vae/dc_f128c512.json";
}

pub(super) static AURA_FLOW_1: EmbeddedFolder = folder!(
    "fal/AuraFlow",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/aura_flow_1.json"),
);

pub(super) static AURA_FLOW_3: EmbeddedFolder = folder!(
    "fal/AuraFlow-v0.3",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/aura_flow_3.json"),
);

pub(super) static CHROMA: EmbeddedFolder = folder!(
    "lodestones/Chroma1-HD",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/chroma.json"),
);

pub(super) static FLUX1_DEV: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.1-dev",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux1_dev.json"),
);

pub(super) static FLUX1_SCHNELL: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.1-schnell",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux1_schnell.json"),
);

pub(super) static FLUX1_FILL: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.1-Fill-dev",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux1_fill.json"),
);

pub(super) static FLUX1_CONTROL: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.1-Depth-dev",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux1_control.json"),
);

pub(super) static FLUX2_DEV: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.2-dev",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux2_dev.json"),
);

pub(super) static FLUX2_KLEIN_4B: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.2-klein-4B",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux2_klein_4b.json"),
    AUTOENCODER: include_bytes!("vae/flux2.json"),
);

pub(super) static FLUX2_KLEIN_9B: EmbeddedFolder = folder!(
    "black-forest-labs/FLUX.2-klein-9B",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/flux2_klein_9b.json"),
);

pub(super) static Z_IMAGE: EmbeddedFolder = folder!(
    "Tongyi-MAI/Z-Image-Turbo",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/z_image.json"),
    TEXT_ENCODER: include_bytes!("text_encoder/qwen3_4b.json"),
);

pub(super) static Z_IMAGE_OMNI: EmbeddedFolder = folder!(
    "Tongyi-MAI/Z-Image-Omni-Base",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/z_image_omni.json"),
    TEXT_ENCODER: include_bytes!("text_encoder/qwen3_4b.json"),
);

pub(super) static GEMMA2: EmbeddedFolder = folder!(
    "google/gemma-2-2b",
    tokenizers: [],
    TEXT_ENCODER: include_bytes!("text_encoder/gemma2_2b.json"),
);

pub(super) static LUMINA2: EmbeddedFolder = folder!(
    "Alpha-VLLM/Lumina-Image-2.0",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/lumina2.json"),
);

pub(super) static QWEN2_5_VL: EmbeddedFolder = folder!(
    "Qwen/Qwen-Image",
    tokenizers: [],
    TEXT_ENCODER: include_bytes!("text_encoder/qwen2_5_vl_7b.json"),
);

pub(super) static Z_IMAGE_CONTROLNET_1: EmbeddedFolder = folder!(
    "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union",
    tokenizers: [],
    CONTROLNET: include_bytes!("controlnet/z_image_1.json"),
);

pub(super) static Z_IMAGE_CONTROLNET_2_0: EmbeddedFolder = folder!(
    "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.0",
    tokenizers: [],
    CONTROLNET: include_bytes!("controlnet/z_image_2_0.json"),
);

pub(super) static Z_IMAGE_CONTROLNET_2_1: EmbeddedFolder = folder!(
    "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1",
    tokenizers: [],
    CONTROLNET: include_bytes!("controlnet/z_image_2_1.json"),
);

pub(super) static QWEN_IMAGE: EmbeddedFolder = folder!(
    "Qwen/Qwen-Image",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/qwen_image.json"),
);

pub(super) static QWEN_IMAGE_EDIT_2511: EmbeddedFolder = folder!(
    "Qwen/Qwen-Image-Edit-2511",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/qwen_image_edit_2511.json"),
);

pub(super) static QWEN_IMAGE_LAYERED: EmbeddedFolder = folder!(
    "Qwen/Qwen-Image-Layered",
    tokenizers: [],
    TRANSFORMER: include_bytes!("transformer/qwen_image_layered.json"),
);

pub(super) static T5: EmbeddedFolder = folder!(
    "google/t5-v1_1-xxl",
    tokenizers: [],
    TEXT_ENCODER: T5_XXL,
);

pub(super) static SD3_MEDIUM: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-3-medium-diffusers",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: SD3_INDEX,
    TRANSFORMER: SD3_TRANSFORMER,
    AUTOENCODER: VAE_SD3,
    SCHEDULER: FLOW_SHIFT_3,
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
    TEXT_ENCODER_3: T5_XXL,
);

pub(super) static SD3_MEDIUM_WITHOUT_TEXT: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-3-medium-diffusers",
    tokenizers: [],
    MODEL_INDEX: SD3_INDEX_WITHOUT_TEXT,
    TRANSFORMER: SD3_TRANSFORMER,
    AUTOENCODER: VAE_SD3,
    SCHEDULER: FLOW_SHIFT_3,
);

pub(super) static SD35_MEDIUM: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-3.5-medium",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: SD3_INDEX,
    TRANSFORMER: SD35_MEDIUM_TRANSFORMER,
    AUTOENCODER: VAE_SD3,
    SCHEDULER: FLOW_SHIFT_3,
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
    TEXT_ENCODER_3: T5_XXL,
);

pub(super) static SD35_MEDIUM_WITHOUT_TEXT: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-3.5-medium",
    tokenizers: [],
    MODEL_INDEX: SD3_INDEX_WITHOUT_TEXT,
    TRANSFORMER: SD35_MEDIUM_TRANSFORMER,
    AUTOENCODER: VAE_SD3,
    SCHEDULER: FLOW_SHIFT_3,
);

pub(super) static SD35_LARGE: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-3.5-large",
    tokenizers: ["tokenizer": PAD_END, "tokenizer_2": PAD_EXCLAMATION_MARK],
    MODEL_INDEX: SD3_INDEX,
    TRANSFORMER: SD35_LARGE_TRANSFORMER,
    AUTOENCODER: VAE_SD3,
    SCHEDULER: FLOW_SHIFT_3,
    TEXT_ENCODER: CLIP_L,
    TEXT_ENCODER_2: OPEN_CLIP_G,
    TEXT_ENCODER_3: T5_XXL,
);

pub(super) static SD35_LARGE_WITHOUT_TEXT: EmbeddedFolder = folder!(
    "stabilityai/stable-diffusion-3.5-large",
    tokenizers: [],
    MODEL_INDEX: SD3_INDEX_WITHOUT_TEXT,
    TRANSFORMER: SD35_LARGE_TRANSFORMER,
    AUTOENCODER: VAE_SD3,
    SCHEDULER: FLOW_SHIFT_3,
);
