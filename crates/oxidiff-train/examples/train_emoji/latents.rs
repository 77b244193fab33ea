//! The pictures in the latents of the autoencoder, encoded once.

use std::error::Error;

use oxidiff::{Autoencoder, AutoencoderKL, DType, Device, Generator, Tensor};

use super::pictures::{self, Picture, Variation};

/// A view of a picture.
pub struct Latents {
    /// The picture's place in the list.
    pub picture: usize,
    mean: Tensor<4>,
    deviation: Tensor<4>,
}

/// Some views of each picture with sides of `side` pixels, in latents as a UNet sees them.
pub fn encode(
    vae: &AutoencoderKL,
    pictures: &[Picture],
    side: u32,
    (views, variation): (u64, Variation),
    generator: &mut Generator,
) -> Result<Vec<Latents>, Box<dyn Error>> {
    if vae.latent_statistics().is_some() {
        return Err("an autoencoder with latents_mean and latents_std is not supported".into());
    }
    let (shift, scale) = (vae.shift_factor().unwrap_or(0.0), vae.scaling_factor());
    let mut all = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        for _ in 0..views {
            let view = picture.view(side, variation, generator);
            let posterior = vae.encode(pictures::stack(vec![view])?)?;
            let (mean, deviation) = ((posterior.mode() - shift) * scale, posterior.std() * scale);
            all.push(Latents { picture: index, mean, deviation });
        }
    }
    Ok(all)
}

impl Latents {
    /// Draws latents `[1, channels, height, width]`.
    pub fn draw(&self, generator: &mut Generator) -> Tensor<4> {
        let noise = generator.randn(self.mean.dims(), DType::F32, &Device::flex());
        self.mean.clone() + self.deviation.clone() * noise
    }
}
