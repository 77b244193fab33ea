//! Images as tokens, and back.

use burn::tensor::Tensor;

use super::sequence::Position;

/// Tokens are added until their number is a multiple of this.
pub(super) const SEQUENCE_MULTIPLE: usize = 32;

/// The number of tokens that are added to this many.
pub(super) fn padding(tokens: usize) -> usize {
    tokens.next_multiple_of(SEQUENCE_MULTIPLE) - tokens
}

/// How an image `[channels, frames, height, width]` is cut into patches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patches {
    pub channels: usize,
    /// The frames, rows and columns of patches.
    pub grid: [usize; 3],
    /// The frames, rows and columns of a patch.
    pub size: [usize; 3],
}

impl Patches {
    /// The height and width of the image.
    pub fn sides(&self) -> [usize; 2] {
        [1, 2].map(|axis| self.grid[axis] * self.size[axis])
    }

    /// The number of patches.
    pub fn count(&self) -> usize {
        self.grid.iter().product()
    }

    /// A token for each patch, `[patches, features]`.
    pub fn cut(&self, image: Tensor<4>) -> Tensor<2> {
        let ([frames, rows, columns], [depth, height, width]) = (self.grid, self.size);
        let cut: Tensor<7> = image.reshape([self.channels, frames, depth, rows, height, columns, width]);
        cut.permute([1, 3, 5, 2, 4, 6, 0]).reshape([self.count(), depth * height * width * self.channels])
    }

    /// The image of tokens `[patches, features]`.
    pub fn join(&self, tokens: Tensor<2>) -> Tensor<4> {
        let ([frames, rows, columns], [depth, height, width]) = (self.grid, self.size);
        let cut: Tensor<7> = tokens.reshape([frames, rows, columns, depth, height, width, self.channels]);
        let shape = [self.channels, frames * depth, rows * height, columns * width];
        cut.permute([6, 0, 3, 1, 4, 2, 5]).reshape(shape)
    }

    /// The positions of the patches, and of the tokens that are added to them. The first frame is at time `start`.
    pub fn positions(&self, start: usize) -> Vec<Position> {
        let [frames, rows, columns] = self.grid;
        let places = (0..frames).flat_map(move |frame| {
            (0..rows).flat_map(move |row| (0..columns).map(move |column| [start + frame, row, column]))
        });
        let added = std::iter::repeat_n([0; 3], padding(self.count()));
        places.chain(added).collect()
    }
}
