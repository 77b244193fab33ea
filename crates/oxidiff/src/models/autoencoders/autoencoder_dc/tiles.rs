//! The tiles that large images are cut into.

use crate::error::{Error, Result};
use crate::models::autoencoders::autoencoder_kl::tiles::Tiles;

/// The tiles of an [`AutoencoderDC`](super::AutoencoderDC), in pixels: the arguments of Python's `enable_tiling`.
///
/// ```
/// use oxidiff::DCTiles;
///
/// let tiles = DCTiles { tile_sample_min_width: 768, tile_sample_stride_width: 640, ..Default::default() };
/// assert_eq!(tiles.tile_sample_min_height, 512);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DCTiles {
    /// Height of a tile; lower images are not cut in this direction.
    pub tile_sample_min_height: usize,
    /// Width of a tile.
    pub tile_sample_min_width: usize,
    /// From one tile to the next below it.
    pub tile_sample_stride_height: usize,
    /// From one tile to the next on its right.
    pub tile_sample_stride_width: usize,
}

impl Default for DCTiles {
    fn default() -> Self {
        Self {
            tile_sample_min_height: 512,
            tile_sample_min_width: 512,
            tile_sample_stride_height: 448,
            tile_sample_stride_width: 448,
        }
    }
}

impl DCTiles {
    /// # Errors
    /// When tiles are smaller than what a position of the latents stands for, or leave gaps.
    pub(super) fn check(&self, factor: usize) -> Result<()> {
        for (argument, tile, stride) in [
            ("tile_sample_stride_height", self.tile_sample_min_height, self.tile_sample_stride_height),
            ("tile_sample_stride_width", self.tile_sample_min_width, self.tile_sample_stride_width),
        ] {
            if !(factor..=tile).contains(&stride) {
                let message =
                    format!("is {stride}; between {factor} and the {tile} pixels of a tile are possible");
                return Err(Error::argument(argument, message));
            }
        }
        Ok(())
    }

    fn pixels(&self) -> [[usize; 2]; 2] {
        [
            [self.tile_sample_min_height, self.tile_sample_min_width],
            [self.tile_sample_stride_height, self.tile_sample_stride_width],
        ]
    }

    fn latents(&self, factor: usize) -> [[usize; 2]; 2] {
        self.pixels().map(|sides| sides.map(|side| side / factor))
    }

    /// Those that images are encoded in.
    pub(super) fn of_images(&self, factor: usize) -> Tiles {
        let ([from, stride], [to, kept]) = (self.pixels(), self.latents(factor));
        Tiles { from, stride, to, kept }
    }

    /// Those that latents are decoded in.
    pub(super) fn of_latents(&self, factor: usize) -> Tiles {
        let ([from, stride], [to, kept]) = (self.latents(factor), self.pixels());
        Tiles { from, stride, to, kept }
    }
}
