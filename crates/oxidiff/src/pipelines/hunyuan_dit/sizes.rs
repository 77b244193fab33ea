//! The sizes of images, and where their patches are.

use burn::tensor::Tensor;

use super::components::HunyuanDiTComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::transformers::get_2d_rotary_pos_embed;
use crate::pipelines::output::MOST_PIXELS;

/// Sides are rounded down to a multiple of this.
const MULTIPLE: usize = 16;
/// The side of the images whose patches were first trained; those of others lie between the same places.
const BASE: usize = 512;

/// Width and height of images that the models were trained on, grouped by their ratio.
const STANDARD: [(f64, &[[usize; 2]]); 5] = [
    (1.0, &[[1024, 1024], [1280, 1280]]),
    (4.0 / 3.0, &[[1024, 768], [1152, 864], [1280, 960]]),
    (3.0 / 4.0, &[[768, 1024], [864, 1152], [960, 1280]]),
    (16.0 / 9.0, &[[1280, 768]]),
    (9.0 / 16.0, &[[768, 1280]]),
];

/// The sizes of a call, each height and width.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageSizes {
    pub asked: [Option<usize>; 2],
    /// Whether the size becomes one that the models were trained on.
    pub bins: bool,
    pub original: [usize; 2],
    pub target: Option<[usize; 2]>,
    /// What was cut off at the top and at the left.
    pub crop: [usize; 2],
}

impl ImageSizes {
    /// What models are conditioned on, for images of this height and width.
    pub fn condition(&self, size: [usize; 2]) -> [f32; 6] {
        let [original, target] = [self.original, self.target.unwrap_or(size)];
        [original[0], original[1], target[0], target[1], self.crop[0], self.crop[1]].map(|side| side as f32)
    }
}

impl HunyuanDiTComponents {
    /// Height and width of the images of a call in pixels.
    ///
    /// # Errors
    /// When a side is too short or too long, or no multiple of what a patch has.
    pub(super) fn image_size(&self, sizes: &ImageSizes) -> Result<[usize; 2]> {
        let trained = self.transformer.config().sample_size.saturating_mul(self.vae.scale_factor());
        let [height, width] = sizes.asked.map(|side| side.unwrap_or(trained));
        for (argument, pixels) in [("height", height), ("width", width)] {
            if !(MULTIPLE..=MOST_PIXELS).contains(&pixels) {
                let message = format!("must be from {MULTIPLE} to {MOST_PIXELS}, but is {pixels}");
                return Err(Error::argument(argument, message));
            }
        }
        let mut size = [height, width].map(|pixels| pixels / MULTIPLE * MULTIPLE);
        if sizes.bins {
            let standard = standard_size(size);
            if standard != size {
                tracing::warn!(
                    "images have height {} and width {}, the nearest size that the model was trained on; \
                     `use_resolution_binning=false` keeps the given size",
                    standard[0],
                    standard[1]
                );
                size = standard;
            }
        }
        self.check_size(size)?;
        Ok(size)
    }

    /// # Errors
    /// When a side is no multiple of what a patch has.
    pub(super) fn check_size(&self, size: [usize; 2]) -> Result<()> {
        let multiple = self.transformer.config().patch_size * self.vae.scale_factor();
        for (argument, pixels) in ["height", "width"].into_iter().zip(size) {
            if !pixels.is_multiple_of(multiple) || pixels == 0 {
                let message = format!("must be a multiple of {multiple}, but is {pixels}");
                return Err(Error::argument(argument, message));
            }
        }
        Ok(())
    }

    /// By how much the places of patches turn the features of a head, for images of this height and width.
    pub(super) fn places(&self, size: [usize; 2]) -> [Tensor<2>; 2] {
        let config = self.transformer.config();
        let patch = config.patch_size * self.vae.scale_factor();
        let grid = size.map(|side| side / patch);
        get_2d_rotary_pos_embed(
            config.attention_head_dim,
            region(grid, BASE / patch),
            grid,
            &self.transformer.device(),
        )
    }
}

/// The size nearest to this height and width that the models were trained on: first the nearest ratio, then the nearest area.
fn standard_size([height, width]: [usize; 2]) -> [usize; 2] {
    let ratio = width as f64 / height as f64;
    let by_ratio =
        STANDARD.iter().min_by(|one, other| (one.0 - ratio).abs().total_cmp(&(other.0 - ratio).abs()));
    let (_, sizes) = by_ratio.expect("there are some");
    let by_area = sizes.iter().min_by_key(|[w, h]| (w * h).abs_diff(width * height));
    let [width, height] = *by_area.expect("there are some for each ratio");
    [height, width]
}

/// The corners of a grid of so many rows and columns in the middle of a square, whose sides the longer ones of the grid fill.
fn region([rows, columns]: [usize; 2], side: usize) -> [[f64; 2]; 2] {
    let (rows, columns, side) = (rows as f64, columns as f64, side as f64);
    // Halves are rounded to even numbers, as Python does it.
    let [height, width] = match rows / columns > 1.0 {
        true => [side, (side / rows * columns).round_ties_even()],
        false => [(side / columns * rows).round_ties_even(), side],
    };
    let [top, left] = [height, width].map(|length| ((side - length) / 2.0).round_ties_even());
    [[top, left], [top + height, left + width]]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn sizes_become_those_that_python_chooses() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hunyuan_dit/shapes.json");
        let shapes: Vec<[usize; 4]> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut chosen: BTreeMap<[usize; 2], usize> = BTreeMap::new();
        for [width, height, standard_width, standard_height] in shapes {
            let nearest = standard_size([height, width]);
            assert_eq!(nearest, [standard_height, standard_width], "{height}x{width}");
            *chosen.entry(nearest).or_default() += 1;
        }
        assert_eq!(chosen.len(), 10);
    }

    #[test]
    fn the_longer_side_of_a_grid_fills_the_square() {
        assert_eq!(region([64, 48], 32), [[0.0, 4.0], [32.0, 28.0]]);
        assert_eq!(region([3, 4], 32), [[4.0, 0.0], [28.0, 32.0]]);
        // 16.33 becomes 16; 2.5 becomes 2.
        assert_eq!(region([7, 9], 21), [[2.0, 0.0], [18.0, 21.0]]);
    }
}
