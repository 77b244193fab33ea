//! The inputs of a call, checked.

use burn::tensor::Tensor;

use super::ZImageTransformer2DModel;
use super::patches::{Patches, padding};
use super::sequence::Position;
use crate::error::{Error, Result};

/// The height and width of a patch, and its frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatchSize {
    pub size: usize,
    pub frames: usize,
}

impl PatchSize {
    /// The name of the layers for patches of this size.
    pub fn key(self) -> String {
        format!("{}-{}", self.size, self.frames)
    }
}

/// What follows from the inputs of a call.
pub(super) struct Checked {
    pub size: PatchSize,
    /// One for all images, or one for each.
    pub times: Vec<f32>,
    /// How each image is cut.
    pub patches: Vec<Patches>,
    pub positions: Vec<Positions>,
}

impl Checked {
    /// The number of tokens of images and captions together.
    pub fn tokens(&self) -> usize {
        self.positions.iter().map(|item| item.image.len() + item.caption.len()).sum()
    }
}

/// The positions of an item's tokens.
pub(super) struct Positions {
    pub image: Vec<Position>,
    pub caption: Vec<Position>,
}

impl Positions {
    /// Those of the image, then those of the caption.
    pub fn unified(&self) -> Vec<Position> {
        [self.image.as_slice(), &self.caption].concat()
    }
}

impl ZImageTransformer2DModel {
    /// Checks the inputs of a call.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(
        &self,
        x: &[Tensor<4>],
        t: &[f32],
        cap_feats: &[Tensor<2>],
        size: PatchSize,
    ) -> Result<Checked> {
        if x.is_empty() {
            return Err(Error::argument("x", "must hold at least one image"));
        }
        self.check_patch_size(size)?;
        let patches = patches("x", x, self.config.in_channels, size)?;
        self.check_captions(x.len(), cap_feats)?;
        let times = times(t, x.len())?;
        let positions = self.positions(&patches, cap_feats)?;
        Ok(Checked { size, times, patches, positions })
    }

    /// # Errors
    /// When the model has no such patches.
    pub(super) fn check_patch_size(&self, size: PatchSize) -> Result<()> {
        if self.all_x_embedder.get(&size.key()).is_some() {
            return Ok(());
        }
        let sizes = self.config.patch_sizes();
        let known: Vec<String> = sizes.map(|(size, frames)| PatchSize { size, frames }.key()).collect();
        let message = format!(
            "is {} with {} frames; the model has patches of {}",
            size.size,
            size.frames,
            known.join(", ")
        );
        Err(Error::argument("patch_size", message))
    }

    fn check_captions(&self, images: usize, cap_feats: &[Tensor<2>]) -> Result<()> {
        if cap_feats.len() != images {
            let message = format!("{} captions for {images} images", cap_feats.len());
            return Err(Error::argument("cap_feats", message));
        }
        self.check_tokens(cap_feats)
    }

    /// # Errors
    /// When a text has no tokens, or such of another length.
    pub(super) fn check_tokens(&self, cap_feats: &[Tensor<2>]) -> Result<()> {
        for caption in cap_feats {
            let [tokens, features] = caption.dims();
            if tokens == 0 || features != self.config.cap_feat_dim {
                let message = format!(
                    "have shape {:?}, the model takes at least one token of {}",
                    caption.dims(),
                    self.config.cap_feat_dim
                );
                return Err(Error::argument("cap_feats", message));
            }
        }
        Ok(())
    }

    /// The positions of the tokens of each item. Those of a caption follow each other in time, and its image comes after them.
    fn positions(&self, patches: &[Patches], cap_feats: &[Tensor<2>]) -> Result<Vec<Positions>> {
        let positions = patches.iter().zip(cap_feats).map(|(patches, caption)| {
            let tokens = caption.dims()[0];
            let tokens = tokens + padding(tokens);
            let last = [tokens + patches.grid[0], patches.grid[1] - 1, patches.grid[2] - 1];
            self.check_positions(last)?;
            Ok(Positions {
                image: patches.positions(tokens + 1),
                caption: (1..=tokens).map(|time| [time, 0, 0]).collect(),
            })
        });
        positions.collect()
    }

    /// # Errors
    /// When the model does not have as many positions as the last of the tokens need.
    pub(super) fn check_positions(&self, last: Position) -> Result<()> {
        for (axis, (last, length)) in last.iter().zip(self.config.axes_lens).enumerate() {
            if *last >= length {
                let what = ["caption tokens and frames", "rows", "columns"][axis];
                let message = format!(
                    "would give position {last} to the last of its {what}, but `axes_lens` has {length} positions"
                );
                return Err(Error::argument(if axis == 0 { "cap_feats" } else { "x" }, message));
            }
        }
        Ok(())
    }
}

/// The times of so many items: one for all, or one for each.
///
/// # Errors
/// When there are as many as neither.
pub(super) fn times(t: &[f32], items: usize) -> Result<Vec<f32>> {
    match t {
        [time] => Ok(vec![*time]),
        _ if t.len() == items && t.windows(2).all(|pair| pair[0] == pair[1]) => Ok(vec![t[0]]),
        _ if t.len() == items => Ok(t.to_vec()),
        _ => Err(Error::argument("t", format!("{} times for {items} images", t.len()))),
    }
}

/// How images `[channels, frames, height, width]` are cut into patches.
///
/// # Errors
/// When they have another number of channels, or do not divide into patches; the error names `argument`.
pub(super) fn patches(
    argument: &'static str,
    images: &[Tensor<4>],
    channels: usize,
    size: PatchSize,
) -> Result<Vec<Patches>> {
    let size = [size.frames, size.size, size.size];
    let patches = images.iter().map(|image| {
        let dims @ [found, frames, height, width] = image.dims();
        if found != channels {
            let message = format!("has {found} channels, the model takes {channels}");
            return Err(Error::argument(argument, message));
        }
        let sides = [frames, height, width];
        if sides.iter().zip(size).any(|(side, patch)| *side == 0 || side % patch != 0) {
            let message = format!("has shape {dims:?}, which does not divide into patches of {size:?}");
            return Err(Error::argument(argument, message));
        }
        let grid = [0, 1, 2].map(|axis| sides[axis] / size[axis]);
        Ok(Patches { channels, grid, size })
    });
    patches.collect()
}
