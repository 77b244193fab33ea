//! Images that the tiny autoencoder encodes or decodes in overlapping tiles.

use burn::tensor::{Tensor, TensorData};

use crate::error::Result;

/// The size of a result relative to its input.
pub(super) enum Scale {
    Up(usize),
    Down(usize),
}

impl Scale {
    fn of(&self, size: usize) -> usize {
        match self {
            Self::Up(factor) => size * factor,
            Self::Down(factor) => size / factor,
        }
    }
}

/// Cuts an image into overlapping tiles; the result of each fades in over those before it.
pub(super) struct Tiles {
    /// The side of a tile.
    pub size: usize,
    /// How much of it overlaps the tile before.
    pub blend: usize,
    /// The size of the result of a tile.
    pub result: Scale,
}

impl Tiles {
    /// The result of `code` for an image, computed tile by tile.
    pub(super) fn map(
        &self,
        x: Tensor<4>,
        code: impl Fn(Tensor<4>) -> Result<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let [_, _, height, width] = x.dims();
        let (whole_height, whole_width) = (self.result.of(height), self.result.of(width));
        let stride = self.size - self.blend;
        let mut whole: Option<Tensor<4>> = None;
        for top in (0..height).step_by(stride) {
            for left in (0..width).step_by(stride) {
                let tile = x.clone().narrow(2, top, self.size.min(height - top));
                let tile = code(tile.narrow(3, left, self.size.min(width - left)))?;
                let [batch, channels, tile_height, tile_width] = tile.dims();
                let (top_to, left_to) = (self.result.of(top), self.result.of(left));
                // An incomplete position at the edge of a tile may produce one beyond the edge of the whole.
                let kept_height = tile_height.min(whole_height - top_to);
                let kept_width = tile_width.min(whole_width - left_to);
                if kept_height == 0 || kept_width == 0 {
                    continue;
                }
                let tile = tile.narrow(2, 0, kept_height).narrow(3, 0, kept_width);
                let so_far = whole.unwrap_or_else(|| {
                    Tensor::zeros(
                        [batch, channels, whole_height, whole_width],
                        (&tile.device(), tile.dtype()),
                    )
                });
                let place =
                    [0..batch, 0..channels, top_to..top_to + kept_height, left_to..left_to + kept_width];
                let mask =
                    self.ramp(kept_height, top == 0, 2, &tile) * self.ramp(kept_width, left == 0, 3, &tile);
                let below = so_far.clone().slice(place.clone());
                let blended = mask.clone() * tile + (mask.neg() + 1.0) * below;
                whole = Some(so_far.slice_assign(place, blended));
            }
        }
        Ok(whole.expect("an image has pixels"))
    }

    /// How much each position along `dim` counts: from 0 to 1 over the overlap, or 1 at the edge of the image.
    fn ramp(&self, length: usize, at_edge: bool, dim: usize, like: &Tensor<4>) -> Tensor<4> {
        let end = self.result.of(self.blend) as f32 - 1.0;
        let weight = |index: usize| if at_edge { 1.0 } else { (index as f32 / end).clamp(0.0, 1.0) };
        let mut shape = [1; 4];
        shape[dim] = length;
        let weights: Vec<f32> = (0..length).map(weight).collect();
        Tensor::from_data(TensorData::new(weights, shape), (&like.device(), like.dtype()))
    }
}
