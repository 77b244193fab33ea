//! The blocks of a UNet, by the names that configurations use.

use serde::{Deserialize, Serialize};

/// A down block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks.
    #[serde(alias = "UNetResDownBlock2D")]
    DownBlock2D,
    /// Residual blocks and attention among the positions of the image.
    #[serde(alias = "UNetResAttnDownBlock2D")]
    AttnDownBlock2D,
    /// Residual blocks and transformers that look at a text.
    #[serde(alias = "UNetResCrossAttnDownBlock2D")]
    CrossAttnDownBlock2D,
    /// Residual blocks, the last of which halves the size.
    #[serde(alias = "UNetResResnetDownsampleBlock2D")]
    ResnetDownsampleBlock2D,
    /// Residual blocks, to which the sample itself is added at half the size.
    #[serde(alias = "UNetResSkipDownBlock2D")]
    SkipDownBlock2D,
    /// Residual blocks and attention, to which the sample itself is added at half the size.
    #[serde(alias = "UNetResAttnSkipDownBlock2D")]
    AttnSkipDownBlock2D,
    /// Residual blocks whose norms the timestep scales and shifts.
    #[serde(alias = "UNetResKDownBlock2D")]
    KDownBlock2D,
    /// The same with attention to a text.
    #[serde(alias = "UNetResKCrossAttnDownBlock2D")]
    KCrossAttnDownBlock2D,
}

impl DownBlockType {
    /// Whether it looks at a text.
    pub(in crate::models) fn has_cross_attention(self) -> bool {
        matches!(self, Self::CrossAttnDownBlock2D | Self::KCrossAttnDownBlock2D)
    }

    /// Whether it is a K block. These only work with each other.
    pub(in crate::models) fn is_k_block(self) -> bool {
        matches!(self, Self::KDownBlock2D | Self::KCrossAttnDownBlock2D)
    }
}

/// The block at the lowest resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MidBlockType {
    /// Residual blocks, with attention between them in unconditional models.
    UNetMidBlock2D,
    /// Two residual blocks with a transformer between them.
    UNetMidBlock2DCrossAttn,
}

/// An up block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    #[serde(alias = "UNetResUpBlock2D")]
    UpBlock2D,
    /// Residual blocks and attention among the positions of the image.
    #[serde(alias = "UNetResAttnUpBlock2D")]
    AttnUpBlock2D,
    /// Residual blocks and transformers that look at a text.
    #[serde(alias = "UNetResCrossAttnUpBlock2D")]
    CrossAttnUpBlock2D,
    /// Residual blocks, the last of which doubles the size.
    #[serde(alias = "UNetResResnetUpsampleBlock2D")]
    ResnetUpsampleBlock2D,
    /// Residual blocks that also add to the result of the model, at each resolution.
    #[serde(alias = "UNetResSkipUpBlock2D")]
    SkipUpBlock2D,
    /// Residual blocks and attention that also add to the result of the model, at each resolution.
    #[serde(alias = "UNetResAttnSkipUpBlock2D")]
    AttnSkipUpBlock2D,
    /// Residual blocks whose norms the timestep scales and shifts.
    #[serde(alias = "UNetResKUpBlock2D")]
    KUpBlock2D,
    /// The same with attention to a text.
    #[serde(alias = "UNetResKCrossAttnUpBlock2D")]
    KCrossAttnUpBlock2D,
}

impl UpBlockType {
    /// Whether it is a K block. These only work with each other.
    pub(super) fn is_k_block(self) -> bool {
        matches!(self, Self::KUpBlock2D | Self::KCrossAttnUpBlock2D)
    }
}
