//! Whether a T2I-Adapter belongs to a UNet.

use std::fmt;

use super::t2i_adapter::T2IAdapter;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::unets::{UNet2DConditionConfig, UNet2DConditionModel};

/// A tensor of features: its channels, and how many pixels one of its positions stands for, in each direction.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Feature {
    channels: usize,
    pixels: usize,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} channels at 1/{} of the image's size", self.channels, self.pixels)
    }
}

impl T2IAdapter {
    /// Checks that a UNet with this configuration can add the features of this model, in a pipeline that has one position of
    /// the latents for `scale_factor` x `scale_factor` pixels.
    ///
    /// # Errors
    /// When it cannot; the error names the feature, and what both models say about it.
    pub(crate) fn check_fits(&self, unet: &UNet2DConditionConfig, scale_factor: usize) -> Result<()> {
        let refuse = |what: String, other: String| {
            let message = format!(
                "the {} has {what}, but the {} {other}: it was made for another model",
                Self::CLASS_NAME,
                UNet2DConditionModel::CLASS_NAME
            );
            Err(Error::argument("adapter", message))
        };
        let (own, taken) = (self.shapes()?, of_unet(unet, scale_factor));
        if own.len() > taken.len() {
            return refuse(format!("{} features", own.len()), format!("takes at most {}", taken.len()));
        }
        match own.iter().zip(&taken).position(|(own, taken)| own != taken) {
            Some(index) => {
                refuse(format!("{} as feature {index}", own[index]), format!("takes {}", taken[index]))
            }
            None => Ok(()),
        }
    }

    fn shapes(&self) -> Result<Vec<Feature>> {
        let mut pixels = self.downscale_factor();
        let blocks = self.config().blocks()?.into_iter();
        let shape = |block: super::block::BlockShape| {
            pixels <<= u32::from(block.halves);
            Feature { channels: block.to, pixels }
        };
        Ok(blocks.map(shape).collect())
    }
}

/// What the blocks of a UNet add: a block with attention inside, another one at its end, and the middle block at its end.
fn of_unet(unet: &UNet2DConditionConfig, scale_factor: usize) -> Vec<Feature> {
    if unet.down_block_types.iter().any(|kind| kind.is_k_block()) {
        return Vec::new();
    }
    let mut pixels = scale_factor;
    let mut features = Vec::new();
    let last = unet.block_out_channels.len().saturating_sub(1);
    for (block, (&channels, kind)) in unet.block_out_channels.iter().zip(&unet.down_block_types).enumerate() {
        let halved = if block < last { 2 * pixels } else { pixels };
        features.push(Feature { channels, pixels: if kind.has_cross_attention() { pixels } else { halved } });
        pixels = halved;
    }
    let middle = unet.mid_block_type.and(unet.block_out_channels.last());
    features.extend(middle.map(|&channels| Feature { channels, pixels }));
    features
}
