//! Autoencoders: between images and the latents that a UNet denoises.

mod autoencoder_kl;
mod autoencoder_tiny;
mod vae;

pub use autoencoder_kl::{AutoencoderKL, AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
pub use autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig, UpsampleFn};
pub use vae::DiagonalGaussianDistribution;
