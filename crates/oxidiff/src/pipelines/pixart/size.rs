//! The size that images are made in.

use super::arguments::Settings;
use super::components::PixArtComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::resolution_binning::{BinnedSize, ResolutionBins};
use crate::pipelines::output::MOST_PIXELS;

impl PixArtComponents {
    /// The size that was asked for, and that in which the images are made; `bins` are those for a sample size.
    ///
    /// # Errors
    /// When there are no bins for the model, or the size does not divide into patches.
    pub(super) fn image_size(
        &self,
        settings: &Settings,
        bins: impl Fn(usize) -> Option<ResolutionBins>,
    ) -> Result<BinnedSize> {
        let (config, factor) = (self.transformer.config(), self.vae.scale_factor());
        let asked = settings.size.map(|given| given.unwrap_or(config.sample_size * factor));
        let size = match settings.use_resolution_binning {
            false => BinnedSize { asked, made: asked },
            true => {
                let message = || {
                    format!(
                        "must be false: there are no sizes for a model with a sample size of {}",
                        config.sample_size
                    )
                };
                let bins = bins(config.sample_size);
                bins.ok_or_else(|| Error::argument("use_resolution_binning", message()))?.classify(asked)?
            }
        };
        let multiple = factor * config.patch_size;
        for ((argument, pixels), asked) in [("height", 0), ("width", 1)].into_iter().zip(size.asked) {
            let made = size.made[pixels];
            if !made.is_multiple_of(multiple)
                || !(multiple..=MOST_PIXELS).contains(&made)
                || asked > MOST_PIXELS
            {
                let message = format!(
                    "must be a multiple of {multiple} between {multiple} and {MOST_PIXELS}, but is {made}"
                );
                return Err(Error::argument(argument, message));
            }
        }
        Ok(size)
    }
}

/// The sizes that PixArt-alpha was trained with.
pub(super) fn alpha_bins(sample_size: usize) -> Option<ResolutionBins> {
    match sample_size {
        32 => Some(ResolutionBins::Side256),
        64 => Some(ResolutionBins::Side512),
        128 => Some(ResolutionBins::Side1024),
        _ => None,
    }
}

/// The sizes that PixArt-Sigma was trained with.
pub(super) fn sigma_bins(sample_size: usize) -> Option<ResolutionBins> {
    match sample_size {
        256 => Some(ResolutionBins::Side2048),
        _ => alpha_bins(sample_size),
    }
}
