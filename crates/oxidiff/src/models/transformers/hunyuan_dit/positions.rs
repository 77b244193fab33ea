//! The places of patches (Su et al. 2021, <https://arxiv.org/abs/2104.09864>, for two dimensions).

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::models::layers::rotary_embedding::text_frequencies;

const THETA: f64 = 10_000.0;

/// Cosines and sines by which patches turn the features of a head, each `[rows * columns, embed_dim]`: a half of them by the column, the
/// other by the row. The grid of `grid_size` rows and columns lies between the two corners `crops_coords`, each a row and a column.
///
/// ```
/// use oxidiff::{Device, get_2d_rotary_pos_embed};
///
/// let [cos, sin] = get_2d_rotary_pos_embed(8, [[0.0, 0.0], [32.0, 24.0]], [64, 48], &Device::flex());
/// assert_eq!([cos.dims(), sin.dims()], [[64 * 48, 8]; 2]);
/// ```
///
/// # Panics
/// When `embed_dim` is no multiple of 4.
pub fn get_2d_rotary_pos_embed(
    embed_dim: usize,
    crops_coords: [[f64; 2]; 2],
    grid_size: [usize; 2],
    device: &Device,
) -> [Tensor<2>; 2] {
    assert!(
        embed_dim.is_multiple_of(4),
        "{embed_dim} features of a head cannot be shared by two axes in pairs"
    );
    let [rows, columns] =
        [0, 1].map(|axis| places(crops_coords[0][axis], crops_coords[1][axis], grid_size[axis]));
    let frequencies = text_frequencies(THETA, embed_dim / 2);
    let table = |function: fn(f32) -> f32| {
        let mut values = Vec::with_capacity(rows.len() * columns.len() * embed_dim);
        for row in &rows {
            for column in &columns {
                let angles = [column, row]
                    .into_iter()
                    .flat_map(|place| frequencies.iter().map(move |frequency| place * frequency));
                values.extend(angles.flat_map(|angle| [function(angle); 2]));
            }
        }
        let shape = [rows.len() * columns.len(), embed_dim];
        Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
    };
    [table(f32::cos), table(f32::sin)]
}

/// So many places from `start` on, with equal distances and the last one as far from `stop`. They are rounded as PyTorch's `linspace`
/// rounds them, which counts from both ends.
fn places(start: f64, stop: f64, count: usize) -> Vec<f32> {
    let last = (stop * (count as f64 - 1.0) / count as f64) as f32;
    let start = start as f32;
    let step = (last - start) / (count.max(2) - 1) as f32;
    let place = |index: usize| {
        if index < count / 2 || count == 1 {
            start + step * index as f32
        } else {
            last - step * (count - 1 - index) as f32
        }
    };
    (0..count).map(place).collect()
}
