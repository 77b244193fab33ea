//! Autoencoders, which are called to encode and decode again.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::models::autoencoders::{
    Autoencoder, AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage, AutoencoderTiny,
    EncodedImage,
};
use crate::pipelines::component::Component;
use crate::random::Generators;

call_arguments! {
    /// The arguments of a call of an [`Autoencoder`].
    pub struct AutoencoderArguments: "autoencoder" {
        /// The images, `[batch, in_channels, height, width]`, with values in [-1, 1].
        pub sample: Option<Tensor<4>> = None,
        /// Whether to draw the latents, where the model encodes an image as a distribution, or to take the most likely ones.
        pub sample_posterior: bool = false,
        /// Where the noise comes from; by default a freshly seeded generator.
        pub generator: Option<Generators> = None,
    }
}

fn call(autoencoder: &dyn Autoencoder, arguments: AutoencoderArguments) -> Result<ModelOutput> {
    let encoded = autoencoder.encode(required("sample", arguments.sample)?)?;
    let latents = match encoded {
        EncodedImage::Distribution(distribution) if arguments.sample_posterior => {
            distribution.sample(&mut arguments.generator.unwrap_or_else(Generators::from_entropy))?
        }
        encoded => encoded.mode(),
    };
    Ok(vec![("sample", autoencoder.decode(latents)?.into())])
}

macro_rules! autoencoder {
    ($class:ty) => {
        impl CallableModel for $class {
            type Arguments = AutoencoderArguments;

            const IS_AUTOENCODER: bool = true;

            fn dtype(&self) -> DType {
                self.dtype()
            }

            fn call(&self, arguments: AutoencoderArguments) -> Result<ModelOutput> {
                call(self, arguments)
            }

            /// Pipelines hold autoencoders of any class.
            fn to_component(&self) -> Box<dyn Component> {
                let autoencoder: Box<dyn Autoencoder> = Box::new(self.clone());
                Box::new(autoencoder)
            }

            fn as_autoencoder(&self) -> Option<&dyn Autoencoder> {
                Some(self)
            }

            fn as_autoencoder_mut(&mut self) -> Option<&mut dyn Autoencoder> {
                Some(self)
            }
        }
    };
}

autoencoder!(AutoencoderDC);
autoencoder!(AutoencoderKL);
autoencoder!(AutoencoderKLFlux2);
autoencoder!(AutoencoderKLQwenImage);
autoencoder!(AutoencoderTiny);
