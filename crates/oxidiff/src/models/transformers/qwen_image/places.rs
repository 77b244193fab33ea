//! The places of tokens, by which queries and keys are rotated: the number of the image, the row and the column. The middle of each
//! image lies at 0, so that a larger one extends the places that are known in all directions, and the text lies on the diagonal
//! beyond the images (Wu et al. 2025, <https://arxiv.org/abs/2508.02324>, section 2.4).

use burn::tensor::Device;
use oxidiff_kernels::Pairs;

use crate::error::{Error, Result};
use crate::models::layers::rotary_embedding::{RotaryEmbedding, axial_angles};

/// The base of the frequencies.
const ROPE_THETA: f64 = 10_000.0;
/// Places on an axis lie between this and its negative.
const MOST: usize = 4096;

/// The images of each item: frames, rows and columns of tokens.
pub(super) type ImageShape = [usize; 3];

/// Where the tokens of an item are.
pub(super) struct Places<'a> {
    pub images: &'a [ImageShape],
    pub text_tokens: usize,
    /// Whether the last image is the one whose layers the others are.
    pub layered: bool,
}

impl Places<'_> {
    /// The place of the first token of the text, on each axis.
    fn text_start(&self) -> usize {
        let middle = self.images.iter().map(|[_, height, width]| (height / 2).max(width / 2)).max();
        let layers = if self.layered { self.images.len() - 1 } else { 0 };
        middle.unwrap_or(0).max(layers)
    }

    /// # Errors
    /// When the images do not have as many tokens, or a place is beyond those that the model knows.
    pub fn check(&self, tokens: usize) -> Result<()> {
        let invalid = |message: String| Err(Error::argument("img_shapes", message));
        if self.images.is_empty() {
            return invalid("must hold at least one image".into());
        }
        let counted = self.images.iter().try_fold(0usize, |sum, shape| {
            let [frames, height, width] = *shape;
            sum.checked_add(frames.checked_mul(height)?.checked_mul(width)?)
        });
        if counted != Some(tokens) || self.images.iter().flatten().any(|side| *side == 0) {
            return invalid(format!("are {:?}, but there are {tokens} tokens", self.images));
        }
        for (index, [frames, height, width]) in self.images.iter().enumerate() {
            if index + frames > MOST || height.div_ceil(2) > MOST || width.div_ceil(2) > MOST {
                return invalid(format!("are {:?}; the model knows {MOST} places on an axis", self.images));
            }
        }
        if self.layered && self.images[self.images.len() - 1][0] != 1 {
            return invalid(format!("are {:?}, but the last of them must be one image", self.images));
        }
        if self.text_start() + self.text_tokens > MOST {
            let message =
                format!("has {} tokens; the model knows {MOST} places on an axis", self.text_tokens);
            return Err(Error::argument("encoder_hidden_states", message));
        }
        Ok(())
    }

    /// The rotations of the tokens of the text, then of those of the images.
    pub fn rotary(&self, axes: [usize; 3], device: &Device) -> RotaryEmbedding {
        let places = self.list();
        // Rounded, as the table of the reference is.
        let angles: Vec<f32> =
            axial_angles(ROPE_THETA, axes, &places).into_iter().map(|angle| angle as f32).collect();
        RotaryEmbedding::new(&angles, places.len(), Pairs::Neighbours, device)
    }

    fn list(&self) -> Vec<[f64; 3]> {
        let start = self.text_start();
        let mut places: Vec<[f64; 3]> =
            (start..start + self.text_tokens).map(|place| [place as f64; 3]).collect();
        let last = self.images.len() - 1;
        for (index, [frames, height, width]) in self.images.iter().enumerate() {
            let is_whole = self.layered && index == last;
            for frame in 0..*frames {
                let frame = if is_whole { -1.0 } else { (index + frame) as f64 };
                for row in centred(*height) {
                    places.extend(centred(*width).map(|column| [frame, row, column]));
                }
            }
        }
        places
    }
}

/// So many places around 0, more of them before it.
fn centred(count: usize) -> impl Iterator<Item = f64> {
    let before = (count - count / 2) as f64;
    (0..count).map(move |place| place as f64 - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_centred_and_the_text_lies_beyond_them() {
        let images = [[1, 3, 2], [1, 1, 5]];
        let places = Places { images: &images, text_tokens: 2, layered: false }.list();
        assert_eq!(places[..2], [[2.0; 3], [3.0; 3]]);
        assert_eq!(places[2], [0.0, -2.0, -1.0]);
        assert_eq!(places[7], [0.0, 0.0, 0.0]);
        assert_eq!(places[8], [1.0, -1.0, -3.0]);
        let layers = Places { images: &[[1, 1, 1]; 4], text_tokens: 1, layered: true }.list();
        assert_eq!(layers[0], [3.0; 3]);
        assert_eq!(layers[4], [-1.0, -1.0, -1.0]);
    }
}
