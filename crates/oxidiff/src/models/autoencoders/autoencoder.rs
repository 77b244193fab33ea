//! What every autoencoder can do.

use std::any::Any;
use std::fmt::Debug;
use std::path::Path;

use burn::tensor::{DType, Tensor};

use super::encoded_image::EncodedImage;
use crate::error::Result;
use crate::models::finite::Suspect;

/// An autoencoder that a pipeline can have as its `vae`.
///
/// ```no_run
/// use oxidiff::{AutoencoderTiny, Model, Pipeline, StableDiffusionPipeline};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// pipeline.vae = AutoencoderTiny::from_pretrained("madebyollin/taesd")?.into();
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub trait Autoencoder: Debug + Send + Sync {
    /// The name of the class.
    fn class_name(&self) -> &'static str;

    /// The name of the card that the model computes on, if it does.
    fn card(&self) -> Option<&str>;

    /// Number of channels of an image.
    fn in_channels(&self) -> usize;

    /// Number of channels of the latents.
    fn latent_channels(&self) -> usize;

    /// Latents are multiplied by this before diffusion.
    fn scaling_factor(&self) -> f64;

    /// Replaces the configuration's `scaling_factor`.
    fn set_scaling_factor(&mut self, scaling_factor: f64);

    /// Subtracted from the latents before they are scaled, if the configuration has it.
    fn shift_factor(&self) -> Option<f64> {
        None
    }

    /// Mean and standard deviation of each channel of the latents, if the configuration has both: diffusion then works on
    /// latents that are standardised by them before they are scaled.
    fn latent_statistics(&self) -> Option<[&[f64]; 2]> {
        None
    }

    /// Mean and standard deviation of each channel of latents that were cut into patches of 2 by 2, each
    /// `[1, 4 * latent_channels, 1, 1]` in `f32`, if they are weights of the model: diffusion then works on such latents,
    /// standardised by them.
    fn patch_statistics(&self) -> Option<[Tensor<4>; 2]> {
        None
    }

    /// Whether the model overflows in half precision, so that pipelines compute it in `f32`.
    fn force_upcast(&self) -> bool {
        false
    }

    /// How many pixels of the image one position of the latents stands for, in each direction.
    fn scale_factor(&self) -> usize;

    /// The element type of the weights, in which the model computes.
    fn dtype(&self) -> DType;

    /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
    fn least_memory(&self, images: usize, height: usize, width: usize) -> u64;

    /// Whether large images are encoded and decoded in tiles.
    fn is_tiling(&self) -> bool;

    /// Encodes images `[batch, in_channels, height, width]` with values in [-1, 1].
    ///
    /// # Errors
    /// When the images do not fit the model.
    fn encode(&self, image: Tensor<4>) -> Result<EncodedImage>;

    /// Decodes latents `[batch, latent_channels, ...]` to images `[batch, out_channels, height, width]` with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents do not fit the model.
    fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>>;

    /// Encode and decode the items of a batch one by one, which takes less memory.
    fn enable_slicing(&mut self);

    /// Encode and decode whole batches.
    fn disable_slicing(&mut self);

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size.
    fn enable_tiling(&mut self);

    /// Encode and decode whole images.
    fn disable_tiling(&mut self);

    /// The model, to search for a weight that is not finite.
    #[doc(hidden)]
    fn suspect(&self) -> &dyn Suspect;

    /// Writes `config.json` and the weights into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_pretrained(&self, folder: &Path) -> Result<()>;

    /// The same autoencoder with weights in `f32`.
    fn upcast(&self) -> Box<dyn Autoencoder>;

    /// As [`Model::release_memory`](crate::Model::release_memory).
    fn release_memory(&self);

    /// A copy of this autoencoder, which shares its weights.
    fn clone_box(&self) -> Box<dyn Autoencoder>;

    /// This autoencoder, to downcast to its class.
    fn as_any(&self) -> &dyn Any;
}

impl Clone for Box<dyn Autoencoder> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

impl<A: Autoencoder + 'static> From<A> for Box<dyn Autoencoder> {
    fn from(autoencoder: A) -> Self {
        Box::new(autoencoder)
    }
}

/// Inside `impl Autoencoder`: the methods that a model already has under the same name, or as a
/// [`Model`](crate::models::model::Model).
macro_rules! model_methods {
    () => {
        $crate::models::autoencoders::autoencoder::model_methods!(but set_scaling_factor);

        fn set_scaling_factor(&mut self, scaling_factor: f64) {
            self.config.scaling_factor = scaling_factor;
        }
    };
    (but set_scaling_factor) => {
        fn class_name(&self) -> &'static str {
            <Self as $crate::models::model::Model>::CLASS_NAME
        }

        fn card(&self) -> Option<&str> {
            $crate::models::model::Model::card(self)
        }

        fn scale_factor(&self) -> usize {
            self.scale_factor()
        }

        fn dtype(&self) -> ::burn::tensor::DType {
            self.dtype()
        }

        fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
            self.least_memory(images, height, width)
        }

        fn is_tiling(&self) -> bool {
            self.is_tiling()
        }

        fn enable_slicing(&mut self) {
            self.enable_slicing();
        }

        fn disable_slicing(&mut self) {
            self.disable_slicing();
        }

        fn enable_tiling(&mut self) {
            self.enable_tiling();
        }

        fn disable_tiling(&mut self) {
            self.disable_tiling();
        }

        fn suspect(&self) -> &dyn $crate::models::finite::Suspect {
            self
        }

        fn save_pretrained(&self, folder: &::std::path::Path) -> $crate::error::Result<()> {
            $crate::models::model::Model::save_pretrained(self, folder)
        }

        fn release_memory(&self) {
            $crate::Model::release_memory(self);
        }

        fn upcast(&self) -> Box<dyn $crate::models::autoencoders::Autoencoder> {
            Box::new($crate::models::autoencoders::upcasting::with_f32_weights(self))
        }

        fn clone_box(&self) -> Box<dyn $crate::models::autoencoders::Autoencoder> {
            Box::new(self.clone())
        }

        fn as_any(&self) -> &dyn ::std::any::Any {
            self
        }
    };
}

pub(super) use model_methods;
