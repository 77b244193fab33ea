//! The size that images are made in.

use super::arguments::Settings;
use super::components::SanaComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::resolution_binning::{BinnedSize, ResolutionBins};
use crate::pipelines::output::MOST_PIXELS;

/// Sides are multiples of this, whatever the autoencoder.
const MULTIPLE: usize = 32;

impl SanaComponents {
    /// The size that was asked for, and that in which the images are made; `bins` are those for a sample size.
    ///
    /// # Errors
    /// When there are no bins for the model, or a side is no multiple of 32.
    pub(super) fn image_size(
        &self,
        settings: &Settings,
        bins: impl Fn(usize) -> Option<ResolutionBins>,
    ) -> Result<BinnedSize> {
        let (asked, sample_size) = (settings.size, self.transformer.config().sample_size);
        let size = match settings.use_resolution_binning {
            false => BinnedSize { asked, made: asked },
            true => {
                let message = || {
                    format!(
                        "must be false: there are no sizes for a model with a `sample_size` of {sample_size}"
                    )
                };
                let bins = bins(sample_size);
                bins.ok_or_else(|| Error::argument("use_resolution_binning", message()))?.classify(asked)?
            }
        };
        let sides = ["height", "width"].into_iter().zip(size.asked.into_iter().zip(size.made));
        for (argument, (asked, made)) in sides {
            let least = MULTIPLE.max(self.vae.scale_factor());
            if !made.is_multiple_of(MULTIPLE) || !(least..=MOST_PIXELS).contains(&made) || asked > MOST_PIXELS
            {
                let message = format!(
                    "must be a multiple of {MULTIPLE} between {least} and {MOST_PIXELS}, but is {asked}"
                );
                return Err(Error::argument(argument, message));
            }
        }
        Ok(size)
    }

    /// Height and width of the latents of images of a size in pixels.
    pub(super) fn latent_size(&self, pixels: [usize; 2]) -> [usize; 2] {
        pixels.map(|side| side / self.vae.scale_factor())
    }
}

/// The sizes that Sana was trained with.
pub(super) fn sana_bins(sample_size: usize) -> Option<ResolutionBins> {
    match sample_size {
        16 => Some(ResolutionBins::Side512),
        32 => Some(ResolutionBins::Side1024),
        64 => Some(ResolutionBins::Side2048),
        128 => Some(ResolutionBins::Side4096),
        _ => None,
    }
}

/// The sizes that SANA-Sprint was trained with.
pub(super) fn sprint_bins(sample_size: usize) -> Option<ResolutionBins> {
    (sample_size == 32).then_some(ResolutionBins::Side1024)
}
