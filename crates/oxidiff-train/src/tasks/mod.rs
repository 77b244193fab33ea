//! The trainings: one file for each example script.

mod controlnet;
mod dreambooth;
mod dreambooth_lora;
mod dreambooth_lora_sdxl;
mod dreambooth_lora_z_image;
mod instance_options;
mod prior_options;
mod subject_options;
mod text_to_image;
mod text_to_image_lora;
mod text_to_image_lora_sdxl;
mod textual_inversion;
mod unconditional;

pub use self::controlnet::{ControlNetOptions, controlnet};
pub use self::dreambooth::{DreamBoothOptions, dreambooth};
pub use self::dreambooth_lora::{DreamBoothLoraOptions, dreambooth_lora};
pub use self::dreambooth_lora_sdxl::{DreamBoothLoraSdxlOptions, dreambooth_lora_sdxl};
pub use self::dreambooth_lora_z_image::{DreamBoothLoraZImageOptions, dreambooth_lora_z_image};
pub use self::instance_options::InstanceOptions;
pub use self::prior_options::PriorOptions;
pub use self::subject_options::SubjectOptions;
pub use self::text_to_image::{TextToImageOptions, text_to_image};
pub use self::text_to_image_lora::{TextToImageLoraOptions, text_to_image_lora};
pub use self::text_to_image_lora_sdxl::{TextToImageLoraSdxlOptions, text_to_image_lora_sdxl};
pub use self::textual_inversion::{TextualInversionOptions, textual_inversion};
pub use self::unconditional::{UnconditionalOptions, unconditional};

/// The file of low-rank layers, as the result and in checkpoints.
const LORA_WEIGHTS: &str = "pytorch_lora_weights.safetensors";
