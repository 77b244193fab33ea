//! Autoencoders that overflow in half precision compute again in `f32`.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

use super::autoencoder::Autoencoder;
use super::encoded_image::EncodedImage;
use crate::error::Result;
use crate::models::finite::is_finite;

impl dyn Autoencoder + '_ {
    /// Like [`Autoencoder::encode`]. Where half precision overflows, the images are encoded again in `f32`.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub(crate) fn encode_upcasting(&self, image: Tensor<4>) -> Result<EncodedImage> {
        let encoded = self.encode(image.clone())?;
        if !self.is_half() || is_finite(&encoded.mode()) || self.has_broken_weight() {
            return Ok(encoded);
        }
        self.warn_of_overflow("encoded");
        Ok(self.upcast().encode(image)?.cast(self.dtype()))
    }

    /// Like [`Autoencoder::decode`]. Where half precision overflows, the latents are decoded again in `f32`, and the images are
    /// `f32` too.
    ///
    /// # Errors
    /// As for [`Autoencoder::decode`].
    pub(crate) fn decode_upcasting(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        let decoded = self.decode(latents.clone())?;
        if !self.is_half() || is_finite(&decoded) || self.has_broken_weight() {
            return Ok(decoded);
        }
        self.warn_of_overflow("decoded");
        self.upcast().decode(latents)
    }

    fn is_half(&self) -> bool {
        matches!(self.dtype(), DType::F16 | DType::BF16)
    }

    /// Whether a weight itself is not finite, in which case computing in `f32` does not help.
    fn has_broken_weight(&self) -> bool {
        self.suspect().broken_weight().is_some()
    }

    fn warn_of_overflow(&self, done: &str) {
        let dtype = format!("{:?}", self.dtype()).to_lowercase();
        tracing::warn!("the vae overflows in {dtype}: the image is {done} again in f32, which takes longer");
    }
}

/// A copy of the model with weights in `f32`.
pub(super) fn with_f32_weights<M: Module>(model: &M) -> M {
    model.clone().map(&mut Upcast)
}

struct Upcast;

impl ModuleMapper for Upcast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| weight.cast(DType::F32))
    }
}
