//! Where the tokens of images and captions are.

use burn::tensor::Device;
use oxidiff_kernels::Pairs;

use super::ZImageTransformer2DConfig;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, axial_angles};
use crate::models::layers::sequence::Sequence;

/// Positions of tokens: in time, from top to bottom, and from left to right.
pub(super) type Position = [usize; 3];

/// The sequence of items whose tokens have these positions.
pub(super) fn sequence(
    items: &[Vec<Position>],
    config: &ZImageTransformer2DConfig,
    device: &Device,
) -> Sequence {
    let places: Vec<_> = items.iter().flatten().map(|place| place.map(|axis| axis as f64)).collect();
    // Rounded, as the table of the reference is.
    let angles: Vec<f32> = axial_angles(config.rope_theta, config.axes_dims, &places)
        .into_iter()
        .map(|angle| angle as f32)
        .collect();
    let rotary = RotaryEmbedding::new(&angles, places.len(), Pairs::Neighbours, device);
    Sequence::new(items.iter().map(Vec::len).collect(), rotary)
}
