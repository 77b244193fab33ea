//! Autoencoders: between images and the latents that a UNet denoises.

mod any_autoencoder;
mod autoencoder_kl;
mod autoencoder_tiny;
mod slicing;
mod vae;

pub use any_autoencoder::{Autoencoder, EncodedImage};
pub use autoencoder_kl::{AutoencoderKL, AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
pub use autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig, UpsampleFn};
pub use vae::DiagonalGaussianDistribution;
