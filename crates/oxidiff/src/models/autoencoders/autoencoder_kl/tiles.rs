//! Images that are encoded or decoded in overlapping tiles.

use burn::tensor::{Tensor, TensorData};

use crate::error::Result;

/// Cuts an image into overlapping tiles, and joins their results.
pub(in crate::models::autoencoders) struct Tiles {
    /// Height and width of a tile before.
    pub from: [usize; 2],
    /// From one tile to the next, before.
    pub stride: [usize; 2],
    /// Height and width of a tile after.
    pub to: [usize; 2],
    /// From one tile to the next, after; what is more of a tile fades into the next.
    pub kept: [usize; 2],
}

impl Tiles {
    /// The fraction of a tile that overlaps its neighbour.
    const OVERLAP: f64 = 0.25;

    /// Squares of a side before and after, of which each overlaps its neighbour by a quarter.
    pub(in crate::models::autoencoders) fn squares(from: usize, to: usize) -> Self {
        let stride = ((from as f64 * (1.0 - Self::OVERLAP)) as usize).max(1);
        let kept = to - (to as f64 * Self::OVERLAP) as usize;
        Self { from: [from; 2], stride: [stride; 2], to: [to; 2], kept: [kept; 2] }
    }

    /// Whether an image `[batch, channels, height, width]` is larger than one tile.
    pub(in crate::models::autoencoders) fn are_needed(&self, x: &Tensor<4>) -> bool {
        let [_, _, height, width] = x.dims();
        height > self.from[0] || width > self.from[1]
    }

    /// Height and width of the last tile of an image with these.
    pub(in crate::models::autoencoders) fn last(&self, sides: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| (sides[axis] - 1) % self.stride[axis] + 1)
    }

    /// The result of `code` for an image, computed tile by tile.
    pub(in crate::models::autoencoders) fn map(
        &self,
        x: Tensor<4>,
        code: impl Fn(Tensor<4>) -> Result<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let [_, _, height, width] = x.dims();
        let Self { from, stride, to, kept } = *self;
        let blend = [to[0] - kept[0], to[1] - kept[1]];

        let mut above: Vec<Tensor<4>> = Vec::new();
        let mut rows = Vec::new();
        for top in (0..height).step_by(stride[0]) {
            let mut row: Vec<Tensor<4>> = Vec::new();
            for left in (0..width).step_by(stride[1]) {
                let tile = x.clone().narrow(2, top, from[0].min(height - top));
                let mut tile = code(tile.narrow(3, left, from[1].min(width - left)))?;
                if let Some(above) = above.get(row.len()) {
                    tile = blend_into(above.clone(), tile, 2, blend[0]);
                }
                if let Some(left) = row.last() {
                    tile = blend_into(left.clone(), tile, 3, blend[1]);
                }
                row.push(tile);
            }
            let cropped = row.iter().map(|tile| {
                let [_, _, height, width] = tile.dims();
                tile.clone().narrow(2, 0, kept[0].min(height)).narrow(3, 0, kept[1].min(width))
            });
            rows.push(Tensor::cat(cropped.collect(), 3));
            above = row;
        }
        Ok(Tensor::cat(rows, 2))
    }
}

/// Fades from the end of `before` to the start of `after` over at most `extent` positions along `dim`.
fn blend_into(before: Tensor<4>, after: Tensor<4>, dim: usize, extent: usize) -> Tensor<4> {
    let (before_len, after_len) = (before.dims()[dim], after.dims()[dim]);
    let extent = extent.min(before_len).min(after_len);
    if extent == 0 {
        return after;
    }
    let mut shape = [1; 4];
    shape[dim] = extent;
    let ramp: Vec<f32> = (0..extent).map(|i| i as f32 / extent as f32).collect();
    let ramp = Tensor::<4>::from_data(TensorData::new(ramp, shape), (&after.device(), after.dtype()));

    let fading = before.narrow(dim, before_len - extent, extent) * (ramp.clone().neg() + 1.0);
    let growing = after.clone().narrow(dim, 0, extent) * ramp;
    let blended = fading + growing;
    if extent == after_len {
        return blended;
    }
    Tensor::cat(vec![blended, after.narrow(dim, extent, after_len - extent)], dim)
}
