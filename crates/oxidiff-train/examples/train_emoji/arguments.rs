//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use oxidiff::DType;

use super::pictures::Variation;

/// Train a small Stable Diffusion from random weights, on pictures with captions
#[derive(Parser, Clone, Debug)]
pub struct Arguments {
    /// The pictures, with a metadata.jsonl or with a .txt beside each
    pub pictures: PathBuf,
    /// The folder for the model
    pub output: PathBuf,
    /// The pipeline whose configurations and tokenizer the model has; its weights are not read
    #[arg(long, value_name = "DIR", default_value = "models/emoji-diffusion")]
    pub like: PathBuf,
    /// A trained autoencoder, instead of a new one
    #[arg(long, value_name = "DIR")]
    pub vae: Option<PathBuf>,
    /// How long to train
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0, value_parser = positive)]
    pub minutes: f64,
    /// The share of the minutes for the autoencoder
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = share)]
    pub vae_share: f64,
    /// How many steps to train the autoencoder, instead of its minutes
    #[arg(long, value_name = "N", value_parser = at_least_1())]
    pub vae_steps: Option<u64>,
    /// How many steps to train text encoder and UNet, instead of their minutes
    #[arg(long, value_name = "N", value_parser = at_least_1())]
    pub steps: Option<u64>,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Parts of pictures in a batch for the autoencoder: many small steps get further in a short time than few large ones
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = at_least_1())]
    pub vae_batch: u64,
    /// Both sides of such a part in pixels; towards the end, there are as many pixels in whole pictures
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = at_least_1())]
    pub vae_crop: u64,
    /// The highest learning rate of the autoencoder
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = positive)]
    pub vae_learning_rate: f64,
    /// How much the distance of the latents from normal noise counts, beside that of the pixels
    #[arg(long, value_name = "WEIGHT", default_value_t = 5e-4, value_parser = positive)]
    pub kl_weight: f64,
    /// How often to encode each picture, each time moved and scaled differently
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_1())]
    pub views: u64,
    /// Pictures in a batch for text encoder and UNet
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_1())]
    pub batch: u64,
    /// The highest learning rate of text encoder and UNet
    #[arg(long, value_name = "RATE", default_value_t = 5e-4, value_parser = positive)]
    pub learning_rate: f64,
    /// The γ of Min-SNR weights; by default all timesteps weigh the same, as those with much noise decide what is where
    #[arg(long, value_name = "GAMMA", value_parser = positive)]
    pub snr_gamma: Option<f64>,
    /// Computes text encoder and UNet in bf16, with weights and moments in f32: faster on processors with instructions for it
    #[arg(long)]
    pub bf16: bool,
    /// The most by which a view is smaller or larger than its picture, as a share of it
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub scale: f64,
    /// Mirrors half of the views
    #[arg(long)]
    pub mirror: bool,
    /// The share of captions that are left out, for classifier-free guidance
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub empty_captions: f64,
    /// How often to draw samples and to write the model
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_1())]
    pub samples: u64,
    /// A prompt to draw a sample of, several times for several; by default, 16 of the captions
    #[arg(long = "prompt", value_name = "PROMPT")]
    pub prompts: Vec<String>,
}

impl Arguments {
    /// How views differ from their pictures.
    pub fn variation(&self) -> Variation {
        Variation { scale: self.scale as f32, mirror: self.mirror }
    }

    /// What text encoder and UNet compute in.
    pub fn dtype(&self) -> DType {
        if self.bf16 { DType::BF16 } else { DType::F32 }
    }
}

fn at_least_1() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=1 << 32)
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value.is_finite() && value > 0.0, "a number above 0")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..1.0).contains(&value), "a number from 0 up to but not including 1")
}

fn number(text: &str, is_valid: impl Fn(f64) -> bool, needed: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| is_valid(*value)).ok_or_else(|| format!("must be {needed}"))
}
