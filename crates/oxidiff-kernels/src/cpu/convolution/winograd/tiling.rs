//! The division of an image into tiles.

use crate::cpu::convolution::shape::ConvolutionShape;

/// Width and height of a tile of the result.
pub(super) const TILE: usize = 4;
/// Width and height of the input patch that a tile depends on.
pub(super) const PATCH: usize = 6;
/// Positions in a transformed patch.
pub(super) const POINTS: usize = PATCH * PATCH;
/// Unused values between one position and the next, so that positions do not compete for the same cache lines.
pub(super) const GAP: usize = 16;

/// The tiles of a 3x3 convolution of stride 1, padded with one row and column of zeros on each side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Tiling {
    /// The tiles of a convolution that [`Tiling`] describes.
    pub fn new(shape: &ConvolutionShape) -> Self {
        let ConvolutionShape { batch, in_channels, out_channels, input: [height, width], .. } = *shape;
        Self { batch, in_channels, out_channels, height, width }
    }

    fn tile_rows(&self) -> usize {
        self.height.div_ceil(TILE)
    }

    fn tile_columns(&self) -> usize {
        self.width.div_ceil(TILE)
    }

    /// The number of tiles of the result.
    pub fn tiles(&self) -> usize {
        self.batch * self.tile_rows() * self.tile_columns()
    }

    /// The upper left pixel of a tile.
    pub(super) fn first_pixel(&self, tile: usize) -> Pixel {
        let (rows, columns) = (self.tile_rows(), self.tile_columns());
        Pixel { item: tile / columns / rows, y: tile / columns % rows * TILE, x: tile % columns * TILE }
    }

    /// The pixels of a tile that are inside the image: row and column in the tile, and the index of the pixel.
    #[inline(always)]
    pub(super) fn pixels(&self, tile: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let Pixel { item, y, x } = self.first_pixel(tile);
        let (rows, columns) = (TILE.min(self.height - y), TILE.min(self.width - x));
        let first = self.pixel_index(item, y, x);
        let width = self.width;
        (0..rows).flat_map(move |dy| (0..columns).map(move |dx| (dy, dx, first + dy * width + dx)))
    }

    /// The index of a pixel, counted through all items.
    pub(super) fn pixel_index(&self, item: usize, y: usize, x: usize) -> usize {
        (item * self.height + y) * self.width + x
    }
}

/// The position of a pixel.
pub(super) struct Pixel {
    pub item: usize,
    pub y: usize,
    pub x: usize,
}
