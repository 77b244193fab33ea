//! Autoencoders: between images and the latents that a UNet denoises.

mod autoencoder_kl;
mod vae;

pub use autoencoder_kl::{AutoencoderKL, AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
pub use vae::DiagonalGaussianDistribution;
