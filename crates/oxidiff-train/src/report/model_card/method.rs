//! What was trained, and how.

/// How a model was trained: each has its script, and its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A model without prompts, from scratch.
    Unconditional,
    /// All weights of the UNet on images with captions.
    TextToImage,
    /// A LoRA on images with captions.
    TextToImageLora,
    /// All weights of the UNet on a few images of one subject.
    DreamBooth,
    /// A LoRA on a few images of one subject.
    DreamBoothLora,
    /// A new word for the text encoder.
    TextualInversion,
    /// A ControlNet.
    ControlNet,
}

impl Method {
    /// Whether the result is an addition to the base model rather than a pipeline.
    pub(super) fn needs_base_model(self) -> bool {
        !matches!(self, Self::Unconditional | Self::TextToImage | Self::DreamBooth)
    }

    pub(super) fn is_lora(self) -> bool {
        matches!(self, Self::TextToImageLora | Self::DreamBoothLora)
    }

    pub(super) fn is_dreambooth(self) -> bool {
        matches!(self, Self::DreamBooth | Self::DreamBoothLora)
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Unconditional => "Unconditional image generation",
            Self::TextToImage => "Text-to-image finetuning",
            Self::TextToImageLora => "LoRA text2image fine-tuning",
            Self::DreamBooth => "DreamBooth",
            Self::DreamBoothLora => "LoRA DreamBooth",
            Self::TextualInversion => "Textual inversion text2image fine-tuning",
            Self::ControlNet => "ControlNet",
        }
    }

    /// The tags that the hub finds the model by, in the order of the scripts.
    pub(super) fn tags(self, family: Family) -> Vec<&'static str> {
        let own: &[_] = match self {
            Self::Unconditional => {
                return vec!["unconditional-image-generation", "diffusers", "diffusers-training"];
            }
            Self::TextToImage => &["text-to-image", "diffusers", "diffusers-training"],
            Self::TextToImageLora => &["text-to-image", "diffusers", "diffusers-training", "lora"],
            Self::DreamBooth => &["text-to-image", "dreambooth", "diffusers", "diffusers-training"],
            Self::DreamBoothLora => &[
                "text-to-image",
                "dreambooth",
                "diffusers",
                "diffusers-training",
                "lora",
                "template:sd-lora",
            ],
            Self::TextualInversion => {
                &["text-to-image", "diffusers", "textual_inversion", "diffusers-training"]
            }
            Self::ControlNet => &["text-to-image", "diffusers", "controlnet", "diffusers-training"],
        };
        [family.tags(), own].concat()
    }
}

/// The family of the model that was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1 and 2.
    #[default]
    StableDiffusion,
    /// Stable Diffusion XL.
    StableDiffusionXl,
    /// Stable Diffusion 3.
    StableDiffusion3,
    /// Flux.
    Flux,
    /// Z-Image.
    ZImage,
}

impl Family {
    fn tags(self) -> &'static [&'static str] {
        match self {
            Self::StableDiffusion => &["stable-diffusion", "stable-diffusion-diffusers"],
            Self::StableDiffusionXl => &["stable-diffusion-xl", "stable-diffusion-xl-diffusers"],
            Self::StableDiffusion3 => &["sd3", "sd3-diffusers"],
            Self::Flux => &["flux", "flux-diffusers"],
            Self::ZImage => &["z-image", "z-image-diffusers"],
        }
    }

    /// The licence of the family's models, which holds for what is derived from them.
    pub(super) fn license(self) -> &'static str {
        match self {
            Self::StableDiffusion => "creativeml-openrail-m",
            Self::StableDiffusionXl => "openrail++",
            Self::StableDiffusion3 | Self::Flux => "other",
            Self::ZImage => "apache-2.0",
        }
    }
}
