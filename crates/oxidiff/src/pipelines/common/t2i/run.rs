//! What the T2I-Adapters of a call add in each step.

use burn::tensor::{Device, Tensor};

use super::images::{own_size, prepare};
use crate::error::{Error, Result};
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::t2i_adapters::{T2IAdapter, T2IAdapters};
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::control::{FollowedImages, PerControlNet, Size};
use crate::pipelines::common::steering::StepInput;
use crate::pipelines::output::MOST_PIXELS;
use crate::wording::counted;

const IMAGE: &str = "image";

/// The T2I-Adapters of a call, and what it asks of them.
pub(crate) struct AdapterCall<'a> {
    pub adapter: &'a T2IAdapters,
    pub image: FollowedImages,
    pub adapter_conditioning_scale: PerControlNet,
    /// The part of the steps in which they count; all without it.
    pub adapter_conditioning_factor: Option<f64>,
}

/// The features of a run.
pub(crate) struct Adapted<'a> {
    adapters: &'a [T2IAdapter],
    /// `[images, channels, height, width]`.
    features: Vec<Tensor<4>>,
    size: [usize; 2],
    images: usize,
    factor: Option<f64>,
}

impl<'a> AdapterCall<'a> {
    /// Computes the features for `prompts` prompts with `images` images in all.
    ///
    /// # Errors
    /// When an argument has a value that the adapters cannot work with.
    pub fn prepare(
        self,
        vae_scale_factor: usize,
        size: Size,
        [prompts, images]: [usize; 2],
        device: &Device,
    ) -> Result<Adapted<'a>> {
        let adapters = self.adapter.adapters();
        let scale = self.adapter_conditioning_scale.expand(
            "adapter_conditioning_scale",
            adapters.len(),
            "T2I-Adapter",
        )?;
        if let Some(factor) = self.adapter_conditioning_factor {
            check_finite("adapter_conditioning_factor", factor)?;
        }
        let given = self.image.rows().for_each(IMAGE, adapters.len(), "T2I-Adapter")?;
        let own = own_size(IMAGE, &given[0])?;
        let size = final_size(size, own, adapters[0].downscale_factor(), vae_scale_factor)?;
        let each = given.iter().zip(adapters).map(|(images, adapter)| prepare(IMAGE, images, size, adapter));
        let mut values = each.collect::<Result<Vec<_>>>()?;
        let batch = values.iter().map(|values| values.dims()[0]).max().unwrap_or_default();
        for values in &mut values {
            match values.dims()[0] {
                1 => *values = values.clone().repeat_dim(0, batch),
                given if given == batch && given == prompts => {}
                given => {
                    let message =
                        format!("got {given} for {}: give one, or one for each", counted(prompts, "prompt"));
                    return Err(Error::argument(IMAGE, message));
                }
            }
        }
        let values: Vec<_> = values
            .into_iter()
            .zip(adapters)
            .map(|(values, adapter)| values.to_device(&adapter.device()))
            .collect();
        let features = self.adapter.features(&values, &scale)?;
        // With several images for each prompt, the features are repeated as a whole and the prompts one by one, as in Python.
        let repeated = |feature: Tensor<4>| feature.repeat_dim(0, images / batch).to_device(device);
        Ok(Adapted {
            adapters,
            features: features.into_iter().map(repeated).collect(),
            size,
            images,
            factor: self.adapter_conditioning_factor,
        })
    }
}

/// Height and width of the images that a call makes: those given, or else those of the first image to follow, rounded down to
/// what the adapter takes.
///
/// # Errors
/// When a side is nothing that both the adapter and the autoencoder take.
fn final_size(size: Size, own: [usize; 2], adapter: usize, vae: usize) -> Result<[usize; 2]> {
    let side = |argument: &'static str, given: Option<usize>, own: usize| {
        let pixels = given.unwrap_or(own - own % adapter);
        let multiple = vae.max(8);
        if pixels > 0
            && pixels <= MOST_PIXELS
            && pixels.is_multiple_of(multiple)
            && pixels.is_multiple_of(adapter)
        {
            return Ok(pixels);
        }
        let what = format!(
            "must be at most {MOST_PIXELS}, a multiple of {multiple}, and one of {adapter}, the `downscale_factor` of the {}",
            T2IAdapter::CLASS_NAME
        );
        Err(match given {
            Some(_) => Error::argument(argument, format!("{what}, but is {pixels}")),
            None => Error::argument(IMAGE, format!("has a {argument} of {own} pixels; `{argument}` {what}")),
        })
    };
    Ok([side("height", size.height, own[0])?, side("width", size.width, own[1])?])
}

impl Adapted<'_> {
    /// Height and width of the images in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        self.adapters.iter().map(|it| ("adapter", it as &dyn Suspect)).collect()
    }

    /// Adds the features to the UNet's inputs, in the steps in which they count.
    pub fn add_to(&self, inputs: &mut UNet2DConditionInputs, step: &StepInput<'_>) {
        let (index, steps) = step.step;
        if self.factor.is_some_and(|factor| index >= (steps as f64 * factor) as usize) {
            return;
        }
        let copies = step.sample.dims()[0] / self.images;
        let features = self.features.iter().map(|feature| feature.clone().repeat_dim(0, copies));
        inputs.down_intrablock_additional_residuals = features.collect();
    }
}
