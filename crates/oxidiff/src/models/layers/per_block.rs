//! Configuration values that are given once for all blocks, or once per block.

use serde::{Deserialize, Serialize};

/// One value for all blocks, or a list with one value per block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "must be a number or a list of numbers (true and false for a switch), whole numbers in a model"
)]
pub enum PerBlock<T> {
    /// The same value for all blocks.
    Same(T),
    /// One value per block, from the first to the last.
    Each(Vec<T>),
}

impl<T: Clone> PerBlock<T> {
    /// The values for `blocks` blocks; `None` if the list has another length.
    pub(crate) fn expand(&self, blocks: usize) -> Option<Vec<T>> {
        match self {
            Self::Same(value) => Some(vec![value.clone(); blocks]),
            Self::Each(values) => (values.len() == blocks).then(|| values.clone()),
        }
    }
}

impl<T: Copy> PerBlock<T> {
    /// The value of the first block; `None` if the list is empty.
    pub(crate) fn first(&self) -> Option<T> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.first().copied(),
        }
    }
}

/// The number of transformer layers of each attention: the same everywhere, or per block, and there again the same for all
/// attentions of the block or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a whole number, or a list with one or a list of them for each block")]
pub enum TransformerLayers {
    /// The same number everywhere.
    Same(usize),
    /// The numbers of each block, from the first to the last.
    Each(Vec<PerBlock<usize>>),
}

/// The size of the images that a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a whole number, or a list of height and width")]
pub enum SampleSize {
    /// Height and width.
    Square(usize),
    /// Height, then width.
    Rectangle([usize; 2]),
}

impl SampleSize {
    /// Height and width.
    pub fn height_width(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Rectangle(size) => size,
        }
    }
}
