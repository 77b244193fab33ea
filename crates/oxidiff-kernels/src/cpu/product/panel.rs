//! The innermost loop of all products: rows of the left matrix times a panel, a strip of the right one that is a few vectors
//! wide.

use bytemuck::Pod;
use pulp::{Arch, Simd, WithSimd};

use crate::cpu::prefetch::{Ahead, LINE, prefetch};

/// Vectors side by side in a panel.
pub(crate) const VECTORS: usize = 2;

/// A multiple of the rows that are multiplied together in vectors.
pub(crate) const ROW_STEP: usize = 12;

/// Columns of the left matrix per iteration of the unrolled loop. If two threads share a core, each gets half of the decoded
/// instructions, so that instructions for counting would displace multiplications.
const STEPS: usize = 8;

/// The width of a panel for these vectors.
#[inline(always)]
pub(crate) fn width<S: Simd>() -> usize {
    VECTORS * S::F32_LANES
}

/// The widths of a panel and of a vector on this machine.
pub(crate) fn widths() -> (usize, usize) {
    struct Widths;
    impl WithSimd for Widths {
        type Output = (usize, usize);

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
            (width::<S>(), S::F32_LANES)
        }
    }
    Arch::new().dispatch(Widths)
}

/// Rows of a matrix inside a slice, one every `stride` units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, U = f32> {
    pub values: &'a [U],
    pub stride: usize,
}

/// What is multiplied at once along the depth of a product: one `f32`, or several neighbouring `bf16`. Sums are `f32`.
pub(crate) trait Unit: Pod + Send + Sync {
    /// The number of values in a unit.
    const VALUES: usize;

    /// Whether this machine multiplies these units in registers that hold matrices: so fast that an algorithm with fewer
    /// multiplications, but more memory traffic, does not pay off.
    fn in_matrix_registers() -> bool {
        false
    }

    /// Rows of the left matrix that are multiplied together on this machine: tasks take a multiple of them.
    fn row_step() -> usize {
        ROW_STEP
    }

    /// [`multiply`] without its checks.
    ///
    /// # Safety
    /// `left` must have `rows` rows of `depth` units, and `panel` must have `depth` rows of a panel's width. `out`
    /// must have room for `rows` rows of a panel's width, to which nothing else refers.
    unsafe fn multiply<S: Simd>(simd: S, rows: usize, product: Product<Self>);

    /// Writes rows of `width` values as a panel: `VALUES` rows become one row of units.
    fn write_panel(rows: &[f32], width: usize, out: &mut [Self]);

    /// Rows of `width` values as a panel, which is written to `scratch` if necessary.
    fn panel<'a>(rows: &'a [f32], width: usize, scratch: &'a mut [Self]) -> &'a [Self] {
        let scratch = &mut scratch[..rows.len() / Self::VALUES];
        Self::write_panel(rows, width, scratch);
        scratch
    }
}

/// `out = left panel`, or with `add` `out += left panel`: `left` is `rows x depth`, `panel` `depth x width` without gaps,
/// and the rows of `out` start every `out_stride` values. What is `ahead`, the next panel and a part of the next rows of the left
/// matrix, is prefetched meanwhile.
///
/// # Panics
/// When a matrix reaches past the end of its slice.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "three matrices with their shapes")]
pub(crate) fn multiply<S: Simd, U: Unit>(
    simd: S,
    rows: usize,
    depth: usize,
    left: Rows<'_, U>,
    panel: &[U],
    ahead: [Ahead; 3],
    out: &mut [f32],
    out_stride: usize,
    add: bool,
) {
    if rows == 0 {
        return;
    }
    let width = width::<S>();
    assert!(left.values.len() >= (rows - 1) * left.stride + depth, "the left matrix");
    assert!(panel.len() >= depth * width, "the panel");
    assert!(out.len() >= (rows - 1) * out_stride + width, "the product");
    let product = Product {
        depth,
        left: left.values.as_ptr(),
        left_stride: left.stride,
        panel: panel.as_ptr(),
        ahead,
        out: out.as_mut_ptr(),
        out_stride,
        add,
    };
    // SAFETY: all matrices are inside their slices, as just checked, and `out`, borrowed mutably, overlaps neither of the
    // others.
    unsafe { U::multiply(simd, rows, product) }
}

/// [`multiply`] as a function of its own, for callers of which there are dozens for each kind of vectors: a copy of the unrolled
/// loops in each would double what there is to compile. A call costs little beside the product of a whole block.
///
/// # Panics
/// As [`multiply`].
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "three matrices with their shapes")]
pub(crate) fn multiply_apart<S: Simd, U: Unit>(
    simd: S,
    rows: usize,
    depth: usize,
    left: Rows<'_, U>,
    panel: &[U],
    ahead: [Ahead; 3],
    out: &mut [f32],
    out_stride: usize,
    add: bool,
) {
    simd.vectorize(
        #[inline(always)]
        || multiply(simd, rows, depth, left, panel, ahead, out, out_stride, add),
    );
}

/// The matrices of a product.
#[derive(Clone, Copy)]
pub(crate) struct Product<U> {
    pub depth: usize,
    pub left: *const U,
    pub left_stride: usize,
    pub panel: *const U,
    /// What to prefetch meanwhile.
    pub ahead: [Ahead; 3],
    pub out: *mut f32,
    pub out_stride: usize,
    pub add: bool,
}

impl Unit for f32 {
    const VALUES: usize = 1;

    #[inline(always)]
    unsafe fn multiply<S: Simd>(simd: S, rows: usize, product: Product<f32>) {
        let tiles = Tiles { simd, product };
        // SAFETY: the caller makes the same promises.
        unsafe {
            // The most rows that leave registers for a row of the panel and one broadcast value.
            if S::REGISTER_COUNT >= 32 { tiles.all_rows::<12>(rows) } else { tiles.all_rows::<6>(rows) }
        }
    }

    #[inline(always)]
    fn write_panel(rows: &[f32], _: usize, out: &mut [f32]) {
        out.copy_from_slice(rows);
    }

    #[inline(always)]
    fn panel<'a>(rows: &'a [f32], _: usize, _: &'a mut [f32]) -> &'a [f32] {
        rows
    }
}

#[derive(Clone, Copy)]
struct Tiles<S> {
    simd: S,
    product: Product<f32>,
}

impl<S: Simd> Tiles<S> {
    /// # Safety
    /// As for [`Unit::multiply`].
    #[inline(always)]
    unsafe fn all_rows<const ROWS: usize>(self, rows: usize) {
        let mut row = 0;
        // SAFETY: each tile is inside the rows, for which the caller promises the rest.
        unsafe {
            let mut ahead = self.product.ahead;
            let lines = ahead.map(|ahead| ahead.lines_at_once(rows.div_ceil(ROWS)));
            // Eight rows are split into four and four: a tile of two rows keeps few multipliers busy.
            while row + ROWS <= rows && rows - row != 8 {
                for (ahead, lines) in ahead.iter_mut().zip(lines) {
                    ahead.fetch(lines);
                }
                self.tile::<ROWS>(row);
                row += ROWS;
            }
            while row + 4 <= rows {
                self.tile::<4>(row);
                row += 4;
            }
            while row + 2 <= rows {
                self.tile::<2>(row);
                row += 2;
            }
            while row < rows {
                self.tile::<1>(row);
                row += 1;
            }
        }
    }

    /// Adds the products of a column of the left matrix and a row of the panel.
    ///
    /// # Safety
    /// Column `k` of all rows, and the row of the panel, must be inside their matrices.
    #[inline(always)]
    unsafe fn step<const ROWS: usize>(
        self,
        left: &[*const f32; ROWS],
        k: usize,
        panel: *const S::f32s,
        sums: &mut [[S::f32s; VECTORS]; ROWS],
    ) {
        // SAFETY: the caller promises this; vectors are read unaligned.
        unsafe {
            let right: [S::f32s; VECTORS] = std::array::from_fn(|j| panel.add(j).read_unaligned());
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = self.simd.splat_f32s(*left[i].add(k));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = self.simd.mul_add_e_f32s(left, right, *sum);
                }
            }
        }
    }

    /// # Safety
    /// As for [`Unit::multiply`], for the `ROWS` rows from `row` on.
    #[inline(always)]
    unsafe fn tile<const ROWS: usize>(self, row: usize) {
        let Self { simd, product: Product { depth, left, left_stride, panel, out, out_stride, add, .. } } =
            self;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        // SAFETY: the caller promises that all rows are there; vectors are read and written unaligned.
        unsafe {
            let left: [*const f32; ROWS] = std::array::from_fn(|i| left.add((row + i) * left_stride));
            let mut panel = panel.cast::<S::f32s>();
            let mut k = 0;
            while k + STEPS <= depth {
                // Rows are so short that the hardware prefetcher would come too late for the next ones.
                if k % LINE == 0 {
                    for left in left {
                        prefetch::<true, _>(left.wrapping_add(ROWS * left_stride + k));
                    }
                }
                for step in 0..STEPS {
                    self.step(&left, k + step, panel.add(VECTORS * step), &mut sums);
                }
                panel = panel.add(VECTORS * STEPS);
                k += STEPS;
            }
            while k < depth {
                self.step(&left, k, panel, &mut sums);
                panel = panel.add(VECTORS);
                k += 1;
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let out = out.add((row + i) * out_stride).cast::<S::f32s>();
                for (j, sum) in sums.into_iter().enumerate() {
                    let sum = if add { simd.add_f32s(out.add(j).read_unaligned(), sum) } else { sum };
                    out.add(j).write_unaligned(sum);
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    struct Check<U> {
        rows: usize,
        depth: usize,
        unit: fn(usize, usize) -> U,
        product: fn(U, U) -> f32,
    }

    impl<U: Unit> WithSimd for Check<U> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self { rows, depth, unit, product } = self;
            let width = width::<S>();
            let (left_stride, out_stride) = (depth + 3, width + 5);
            let left: Vec<U> = (0..rows * left_stride).map(|i| unit(i, 11)).collect();
            let panel: Vec<U> = (0..depth * width).map(|i| unit(i, 7)).collect();
            for add in [false, true] {
                let mut out = vec![1.0; rows * out_stride];
                let rows_of_left = Rows { values: &left, stride: left_stride };
                multiply(
                    simd,
                    rows,
                    depth,
                    rows_of_left,
                    &panel,
                    [Ahead::NONE; 3],
                    &mut out,
                    out_stride,
                    add,
                );
                for row in 0..rows {
                    for column in 0..out_stride {
                        let sum: f32 = (0..depth)
                            .map(|k| product(left[row * left_stride + k], panel[k * width + column % width]))
                            .sum();
                        let expected = match (column < width, add) {
                            (false, _) => 1.0,
                            (true, false) => sum,
                            (true, true) => sum + 1.0,
                        };
                        let found = out[row * out_stride + column];
                        assert_eq!(found, expected, "{rows} rows, {depth} units deep");
                    }
                }
            }
        }
    }

    /// Compares [`multiply`] with the definition, with and without vectors, for many numbers of rows. `unit` makes a unit of
    /// small whole numbers, so that sums are exact in any order, from an index and the number of different values; `product`
    /// multiplies two units.
    pub(crate) fn check_products<U: Unit>(unit: fn(usize, usize) -> U, product: fn(U, U) -> f32) {
        for rows in [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 31, 32, 33, 79] {
            for depth in [0, 1, 9, 16, 40] {
                Arch::new().dispatch(Check { rows, depth, unit, product });
                Check { rows, depth, unit, product }.with_simd(pulp::Scalar);
            }
        }
    }

    #[test]
    fn multiplies_any_number_of_rows_on_vectors_and_without() {
        check_products(
            |index, count| (index % count) as f32 - (count / 2) as f32,
            |left, right| left * right,
        );
    }

    #[test]
    #[should_panic(expected = "the left matrix")]
    fn refuses_rows_past_the_end() {
        let left = Rows { values: &[0.0; 8], stride: 3 };
        multiply(pulp::Scalar, 3, 3, left, &[0.0; 6], [Ahead::NONE; 3], &mut [0.0; 12], 4, false);
    }
}
