//! Autoencoders: between images and the latents that a UNet denoises.
//!
//! An autoencoder is a file or folder here, with its `impl Autoencoder`, and a row of [`AUTOENCODERS`](registry::AUTOENCODERS).

mod autoencoder;
mod autoencoder_dc;
mod autoencoder_kl;
mod autoencoder_kl_flux2;
mod autoencoder_kl_qwen_image;
mod autoencoder_tiny;
mod encoded_image;
pub(crate) mod registry;
mod slicing;
mod upcasting;

pub use autoencoder::Autoencoder;
pub use autoencoder_dc::{AutoencoderDC, AutoencoderDCConfig, DCBlockType, DCNormType, DCTiles};
pub use autoencoder_kl::{AutoencoderKL, AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
pub use autoencoder_kl_flux2::{AutoencoderKLFlux2, AutoencoderKLFlux2Config};
pub use autoencoder_kl_qwen_image::{AutoencoderKLQwenImage, AutoencoderKLQwenImageConfig};
pub use autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig, UpsampleFn};
pub use encoded_image::{DiagonalGaussianDistribution, EncodedImage};
