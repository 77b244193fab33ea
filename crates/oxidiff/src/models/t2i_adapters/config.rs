//! The configuration of a T2I-Adapter.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::block::BlockShape;
use crate::error::{Error, Result};

/// The architecture of a T2I-Adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum T2IAdapterType {
    /// For Stable Diffusion 1 and 2: each block after the first halves the size.
    #[default]
    FullAdapter,
    /// For Stable Diffusion XL: only the third block halves the size.
    FullAdapterXl,
    /// As `full_adapter`, with a quarter of the channels inside of a block.
    LightAdapter,
}

/// The configuration of a [`T2IAdapter`](super::T2IAdapter); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct T2IAdapterConfig {
    /// The channels of the image: 3, or 1 for an adapter that takes grey images.
    pub in_channels: usize,
    /// The channels of the features. A `light_adapter` has one feature more, with the channels of the last one.
    pub channels: Vec<usize>,
    /// The residual blocks in each block.
    pub num_res_blocks: usize,
    /// How many pixels one position of the first feature stands for, in each direction.
    pub downscale_factor: usize,
    /// The architecture.
    pub adapter_type: T2IAdapterType,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for T2IAdapterConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            channels: vec![320, 640, 1280, 1280],
            num_res_blocks: 2,
            downscale_factor: 8,
            adapter_type: T2IAdapterType::FullAdapter,
            other: Map::new(),
        }
    }
}

/// The most channels, residual blocks and pixels that a configuration can ask for; more fit into no memory.
const MOST: usize = 1 << 16;

impl T2IAdapterConfig {
    /// The channels of the image after each `downscale_factor` x `downscale_factor` pixels became one position.
    pub(super) fn unshuffled(&self) -> usize {
        self.in_channels * self.downscale_factor * self.downscale_factor
    }

    /// The channels that enter the first block, and the shapes of the blocks.
    ///
    /// # Errors
    /// When a value is 0 or far too large, or the blocks do not follow each other; the error names the field.
    pub(super) fn blocks(&self) -> Result<Vec<BlockShape>> {
        for (field, value) in [("in_channels", self.in_channels), ("downscale_factor", self.downscale_factor)]
        {
            if value == 0 || value > 1 << 10 {
                return Err(Error::config("", field, format!("must be from 1 to {}, is {value}", 1 << 10)));
            }
        }
        if self.num_res_blocks > MOST {
            return Err(Error::config("", "num_res_blocks", format!("must be at most {MOST}")));
        }
        let least = if self.adapter_type == T2IAdapterType::LightAdapter { 4 } else { 1 };
        let is_wrong = |channels: &usize| *channels < least || *channels > MOST;
        if self.channels.is_empty() || self.channels.len() > 32 || self.channels.iter().any(is_wrong) {
            let message = format!("must be a list of up to 32 numbers from {least} to {MOST}");
            return Err(Error::config("", "channels", message));
        }
        let channels = &self.channels;
        let block = |from: usize, to: usize, halves: bool| BlockShape { from, to, halves };
        Ok(match self.adapter_type {
            T2IAdapterType::FullAdapter => {
                let others = channels.windows(2).map(|pair| block(pair[0], pair[1], true));
                [block(channels[0], channels[0], false)].into_iter().chain(others).collect()
            }
            T2IAdapterType::FullAdapterXl => {
                if let Some(index) = (3..channels.len()).find(|index| channels[*index] != channels[index - 1])
                {
                    let message = format!(
                        "must be {}, as the one before: a `full_adapter_xl` does not change the channels there",
                        channels[index - 1]
                    );
                    return Err(Error::config("", format!("channels[{index}]"), message));
                }
                let shape = |index: usize| match index {
                    1 | 2 => block(channels[index - 1], channels[index], index == 2),
                    _ => block(channels[index], channels[index], false),
                };
                (0..channels.len()).map(shape).collect()
            }
            T2IAdapterType::LightAdapter => {
                let others = channels.windows(2).map(|pair| block(pair[0], pair[1], true));
                let last = channels[channels.len() - 1];
                let first = [block(self.unshuffled(), channels[0], false)];
                first.into_iter().chain(others).chain([block(last, last, true)]).collect()
            }
        })
    }
}
