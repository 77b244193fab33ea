//! 3x3 convolution with 36 instead of 144 products per 4x4 tile of the result: Winograd's minimal filtering F(4x4, 3x3)
//! (Lavin & Gray 2015, <https://arxiv.org/abs/1509.09308>).
//!
//! A tile of the result is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for a 3x3 kernel `g` and the 6x6 patch `d` of the input around the
//! tile. Summed over input channels, the elementwise product becomes a matrix product for each of the 36 positions:
//! `[tiles, input channels]` times `[input channels, output channels]`.

mod kernels;
mod patches;
mod products;
mod tiling;
mod transforms;
mod weight_gradient;

use pulp::Arch;

pub(in crate::cpu) use self::kernels::{Kernels, Stored, Turned};
use self::patches::transform_patches;
use self::products::Products;
pub(in crate::cpu) use self::tiling::Tiling;
use self::tiling::{GAP, POINTS};
pub(in crate::cpu) use self::weight_gradient::weight_gradient;
use super::pixel_sink::PixelSink;
use crate::cpu::product::{ROW_STEP, panel};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::in_parallel;
use crate::host::scratch::Scratch;

/// At most this many values in the transformed patches of a part of the image: they stay in the third-level cache.
const MOST_VALUES: usize = 3 << 19;
/// At least this many tiles per part, even if the cache holds fewer: each part transforms the kernels again.
const FEWEST_TILES: usize = 36;

/// Convolves `input` `[batch, height, width, in_channels]` with `kernels`.
///
/// # Panics
/// When the input or the kernels do not match the tiling, or there are fewer input channels than a vector has lanes.
pub(in crate::cpu) fn convolve<T: Storage, K: Kernels>(
    input: &[T],
    kernels: &K,
    sink: &PixelSink<'_, T>,
    tiling: Tiling,
) {
    let Tiling { in_channels, out_channels, .. } = tiling;
    assert_eq!(input.len(), tiling.batch * tiling.height * tiling.width * in_channels, "the input");
    assert_eq!(kernels.channels(), [in_channels, out_channels], "the kernels");

    // Parts have about equally many tiles, a multiple of the rows that are multiplied together.
    let total = tiling.tiles();
    let most = (MOST_VALUES / POINTS / in_channels).max(FEWEST_TILES);
    let tiles_each = total.div_ceil(total.div_ceil(most)).next_multiple_of(ROW_STEP);
    let position_len = tiles_each.min(total) * in_channels + GAP;
    let mut patches = Scratch::new(POINTS * position_len);
    let (width, _) = panel::widths();
    for first in (0..total).step_by(tiles_each) {
        let tiles = first..(first + tiles_each).min(total);
        transform_patches(input, tiling, tiles.clone(), position_len, &mut patches);
        // Each task computes a panel of output channels for a group of tiles.
        let patches = &patches[..];
        let panels = out_channels.div_ceil(width);
        let groups = groups_of_tiles(panels, rayon::current_num_threads());
        let group_len = tiles.len().div_ceil(groups).next_multiple_of(ROW_STEP);
        in_parallel(panels * tiles.len().div_ceil(group_len), &|task| {
            let first_channel = task % panels * width;
            let start = tiles.start + task / panels * group_len;
            Arch::new().dispatch(Products {
                patches: &patches[(start - first) * in_channels..],
                position_len,
                kernels,
                sink,
                tiling,
                tiles: start..(start + group_len).min(tiles.end),
                channels: first_channel..(first_channel + width).min(out_channels),
            });
        });
    }
}

/// The number of groups into which the tiles are divided for each panel: one if there are many panels, else the smallest that
/// gives each thread the same number of tasks, since each group transforms the kernels again.
fn groups_of_tiles(panels: usize, threads: usize) -> usize {
    const MOST: usize = 4;
    let even = |tasks: usize| tasks >= MOST * threads || tasks.is_multiple_of(threads);
    (1..=MOST).find(|groups| even(panels * groups)).unwrap_or(threads.div_ceil(panels))
}
