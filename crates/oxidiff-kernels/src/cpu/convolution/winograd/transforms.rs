//! The transforms of patches, kernels and products.
//!
//! They interpolate at 0, ±3/4, ±3/2 and ∞. These points lose half as many digits as the usual 0, ±1, ±2, ∞: for 1280
//! channels the relative error of the result is about 3e-6 (2-norm).

use pulp::Simd;

use super::tiling::{PATCH, TILE};

/// The finite interpolation points are 0, ±INNER and ±OUTER.
const INNER: f32 = 0.75;
const OUTER: f32 = 1.5;
const INNER2: f32 = INNER * INNER;
const OUTER2: f32 = OUTER * OUTER;
/// Factors of the transformed kernels.
const INNER_SCALE: f32 = 1.0 / (2.0 * INNER2 * (INNER2 - OUTER2));
const OUTER_SCALE: f32 = 1.0 / (2.0 * OUTER2 * (OUTER2 - INNER2));

#[inline(always)]
fn scaled<S: Simd>(simd: S, factor: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), x)
}

/// `factor * x + y`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, factor: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y)
}

/// `Bᵀ d` for six positions.
#[inline(always)]
pub(super) fn patch_line<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    const SUM: f32 = INNER2 + OUTER2;
    const PRODUCT: f32 = INNER2 * OUTER2;
    let inner_even = add_scaled(simd, -OUTER2, d[2], d[4]);
    let inner_odd = add_scaled(simd, -OUTER2, d[1], d[3]);
    let outer_even = add_scaled(simd, -INNER2, d[2], d[4]);
    let outer_odd = add_scaled(simd, -INNER2, d[1], d[3]);
    [
        add_scaled(simd, PRODUCT, d[0], add_scaled(simd, -SUM, d[2], d[4])),
        add_scaled(simd, INNER, inner_odd, inner_even),
        add_scaled(simd, -INNER, inner_odd, inner_even),
        add_scaled(simd, OUTER, outer_odd, outer_even),
        add_scaled(simd, -OUTER, outer_odd, outer_even),
        add_scaled(simd, PRODUCT, d[1], add_scaled(simd, -SUM, d[3], d[5])),
    ]
}

/// `G g` for three taps of a kernel.
#[inline(always)]
pub(super) fn kernel_line<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; PATCH] {
    let inner_even = add_scaled(simd, INNER2 * INNER_SCALE, g[2], scaled(simd, INNER_SCALE, g[0]));
    let outer_even = add_scaled(simd, OUTER2 * OUTER_SCALE, g[2], scaled(simd, OUTER_SCALE, g[0]));
    [
        scaled(simd, 1.0 / (INNER2 * OUTER2), g[0]),
        add_scaled(simd, INNER * INNER_SCALE, g[1], inner_even),
        add_scaled(simd, -INNER * INNER_SCALE, g[1], inner_even),
        add_scaled(simd, OUTER * OUTER_SCALE, g[1], outer_even),
        add_scaled(simd, -OUTER * OUTER_SCALE, g[1], outer_even),
        g[2],
    ]
}

/// `Aᵀ m` for six positions.
#[inline(always)]
pub(super) fn product_line<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; TILE] {
    let (inner_sum, inner_difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (outer_sum, outer_difference) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(inner_sum, outer_sum)),
        add_scaled(simd, INNER, inner_difference, scaled(simd, OUTER, outer_difference)),
        add_scaled(simd, INNER2, inner_sum, scaled(simd, OUTER2, outer_sum)),
        add_scaled(
            simd,
            INNER * INNER2,
            inner_difference,
            add_scaled(simd, OUTER * OUTER2, outer_difference, m[5]),
        ),
    ]
}

/// `A y` for the gradient of a line of a tile.
#[inline(always)]
pub(super) fn product_gradient_line<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; PATCH] {
    let inner_even = add_scaled(simd, INNER2, y[2], y[0]);
    let inner_odd = add_scaled(simd, INNER2, y[3], y[1]);
    let outer_even = add_scaled(simd, OUTER2, y[2], y[0]);
    let outer_odd = add_scaled(simd, OUTER2, y[3], y[1]);
    [
        y[0],
        add_scaled(simd, INNER, inner_odd, inner_even),
        add_scaled(simd, -INNER, inner_odd, inner_even),
        add_scaled(simd, OUTER, outer_odd, outer_even),
        add_scaled(simd, -OUTER, outer_odd, outer_even),
        y[3],
    ]
}

/// `Gᵀ u` for the gradients of six positions of a transformed kernel.
#[inline(always)]
pub(super) fn kernel_gradient_line<S: Simd>(simd: S, u: [S::f32s; PATCH]) -> [S::f32s; 3] {
    let inner_sum = scaled(simd, INNER_SCALE, simd.add_f32s(u[1], u[2]));
    let inner_difference = scaled(simd, INNER * INNER_SCALE, simd.sub_f32s(u[1], u[2]));
    let outer_sum = scaled(simd, OUTER_SCALE, simd.add_f32s(u[3], u[4]));
    let outer_difference = scaled(simd, OUTER * OUTER_SCALE, simd.sub_f32s(u[3], u[4]));
    [
        add_scaled(simd, 1.0 / (INNER2 * OUTER2), u[0], simd.add_f32s(inner_sum, outer_sum)),
        simd.add_f32s(inner_difference, outer_difference),
        add_scaled(simd, INNER2, inner_sum, add_scaled(simd, OUTER2, outer_sum, u[5])),
    ]
}

/// The values of all columns in one row.
#[inline(always)]
pub(super) fn across<V: Copy, const COLUMNS: usize, const ROWS: usize>(
    columns: &[[V; ROWS]; COLUMNS],
    row: usize,
) -> [V; COLUMNS] {
    let mut values = [columns[0][row]; COLUMNS];
    for (value, column) in values.iter_mut().zip(columns) {
        *value = column[row];
    }
    values
}
