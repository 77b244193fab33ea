//! What Qwen2.5-VL is called with.

use super::vision_config::Qwen2_5_VLVisionConfig;
use crate::error::{Error, Result};
use crate::vision::Qwen2VLImages;

/// The inputs of a [`Qwen2_5_VLForConditionalGeneration`](super::Qwen2_5_VLForConditionalGeneration), by their names in Python.
#[derive(Clone, Copy, Debug, Default)]
pub struct Qwen2_5_VLInputs<'a> {
    /// The tokens, `[batch, tokens]`.
    pub input_ids: &'a [Vec<u32>],
    /// 0 for tokens that no token sees, of the same shape.
    pub attention_mask: Option<&'a [Vec<u32>]>,
    /// The images of all texts, in the order of their tokens.
    pub images: Option<&'a Qwen2VLImages>,
    /// 1 for tokens of images and 0 for others, of the shape of the tokens. With it, the tokens of an image are at positions in
    /// rows and columns. Without it, as the pipelines of diffusers call the model, all tokens are at positions along one line.
    pub mm_token_type_ids: Option<&'a [Vec<u32>]>,
}

impl Qwen2_5_VLInputs<'_> {
    /// Checks that images and tokens, which are in order by themselves, fit each other.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn check(&self, image_token: u32, vision: Option<&Qwen2_5_VLVisionConfig>) -> Result<()> {
        if let Some(types) = self.mm_token_type_ids {
            let has_shape = types.len() == self.input_ids.len()
                && types.iter().zip(self.input_ids).all(|(types, ids)| types.len() == ids.len());
            if !has_shape {
                return Err(Error::argument("mm_token_type_ids", "must have the shape of `input_ids`"));
            }
        }
        let Some(images) = self.images else { return Ok(()) };
        let merged = check_images(images, vision)?;
        let patches: usize = images.image_grid_thw.iter().map(|grid| grid.iter().product::<usize>()).sum();
        let tokens = self.input_ids.iter().flatten().filter(|id| **id == image_token).count();
        if tokens != patches / merged {
            let message = format!("has {tokens} tokens of images, but the images need {}", patches / merged);
            return Err(Error::argument("input_ids", message));
        }
        Ok(())
    }
}

/// Checks images by themselves, and returns how many of their patches become one token.
///
/// # Errors
/// When there is nothing that sees them, or their patches are not those of images of their sizes.
pub(super) fn check_images(images: &Qwen2VLImages, vision: Option<&Qwen2_5_VLVisionConfig>) -> Result<usize> {
    let wrong = |field, message: String| Err(Error::argument(field, message));
    let Some(vision) = vision else {
        let message = "cannot be seen: the checkpoint has the language model only".to_owned();
        return wrong("images", message);
    };
    let grids = &images.image_grid_thw;
    let merge = vision.spatial_merge_size;
    let is_impossible = |grid: &&[usize; 3]| {
        let [time, height, width] = **grid;
        grid.iter().any(|side| !(1..=1 << 16).contains(side))
            || time.checked_mul(height).and_then(|count| count.checked_mul(width)).is_none()
            || !height.is_multiple_of(merge)
            || !width.is_multiple_of(merge)
    };
    if let Some(grid) = grids.iter().find(is_impossible) {
        return wrong(
            "image_grid_thw",
            format!("has {grid:?}, which is not in squares of {merge} by {merge}"),
        );
    }
    let expected: usize = grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
    let [patches, values] = images.pixel_values.dims();
    if grids.is_empty() || patches != expected || values != vision.patch_values() {
        let message = format!(
            "has {patches} patches of {values} values; `image_grid_thw` asks for {expected}, and the model for {} values",
            vision.patch_values()
        );
        return wrong("pixel_values", message);
    }
    Ok(vision.merged())
}
