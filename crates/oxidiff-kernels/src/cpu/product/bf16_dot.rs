//! Products of several `bf16` values at once, summed in `f32`, with dedicated instructions: `tdpbf16ps` of AMX, `vdpbf16ps` of
//! AVX-512 BF16, `bfmmla` of Arm.

use half::bf16;
use pulp::Simd;

use super::bf16_tiles;
use super::panel::{self, Product, ROW_STEP, Unit, VECTORS};
use crate::cpu::storage::Storage;
use crate::cpu::vector::MOST_LANES;

/// The largest width of a panel.
const MOST_WIDTH: usize = VECTORS * MOST_LANES;

/// `bf16` values that one instruction multiplies per lane.
const GROUP: usize = if cfg!(target_arch = "aarch64") { 4 } else { 2 };

/// Neighbouring values along the depth of a product.
pub(crate) type Group = [bf16; GROUP];

/// Whether a product of this depth is faster in groups: the processor has the instructions, and groups divide the depth.
pub(crate) fn fits(depth: usize) -> bool {
    depth.is_multiple_of(GROUP) && are_there()
}

/// Whether the processor has the instructions.
pub(crate) fn are_there() -> bool {
    instructions(panel::widths().1)
}

/// Whether there are instructions for vectors of this many lanes.
#[inline(always)]
fn instructions(lanes: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    return lanes == 16
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return lanes == 4 && std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return lanes == 0;
}

impl Unit for Group {
    const VALUES: usize = GROUP;

    fn in_matrix_registers() -> bool {
        bf16_tiles::are_there()
    }

    fn row_step() -> usize {
        if Self::in_matrix_registers() { bf16_tiles::ROW_STEP } else { ROW_STEP }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd>(_: S, rows: usize, product: Product<Group>) {
        if panel::width::<S>() == bf16_tiles::WIDTH && bf16_tiles::are_there() {
            // SAFETY: the processor has the instructions, and the caller makes the same promises.
            unsafe { bf16_tiles::multiply(rows, product) };
            return;
        }
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if instructions(S::F32_LANES) {
            // SAFETY: the processor has the instructions, and the caller makes the same promises.
            unsafe { with_instructions::multiply(rows, product) };
            return;
        }
        // SAFETY: the caller makes the same promises.
        unsafe { plain(rows, panel::width::<S>(), product) };
    }

    fn write_panel(rows: &[f32], width: usize, out: &mut [Group]) {
        #[cfg(target_arch = "x86_64")]
        if width == MOST_WIDTH && instructions(MOST_LANES) {
            // SAFETY: the processor has the instructions.
            unsafe { with_instructions::write_panel(rows, out) };
            return;
        }
        let mut rounded = [[bf16::ZERO; MOST_WIDTH]; GROUP];
        for (rows, out) in rows.chunks_exact(GROUP * width).zip(out.chunks_exact_mut(width)) {
            for (row, rounded) in rows.chunks_exact(width).zip(&mut rounded) {
                bf16::narrow(row, &mut rounded[..width]);
            }
            for (column, group) in out.iter_mut().enumerate() {
                for (value, row) in group.iter_mut().zip(&rounded) {
                    *value = row[column];
                }
            }
        }
    }
}

/// The product on any processor; this also defines what the instructions compute.
///
/// # Safety
/// As for [`Unit::multiply`], with `width` units in a row of the panel.
unsafe fn plain(rows: usize, width: usize, product: Product<Group>) {
    let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
    for row in 0..rows {
        for column in 0..width {
            // SAFETY: the caller promises that these values are inside the matrices.
            unsafe {
                let mut sum = 0.0;
                for k in 0..depth {
                    let (left, right) = (*left.add(row * left_stride + k), *panel.add(k * width + column));
                    for (left, right) in left.into_iter().zip(right) {
                        sum += left.to_f32() * right.to_f32();
                    }
                }
                let out = out.add(row * out_stride + column);
                *out = if add { *out + sum } else { sum };
            }
        }
    }
}

/// Each pair of the left matrix is multiplied with a vector of pairs.
#[cfg(target_arch = "x86_64")]
mod with_instructions {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
        _mm512_storeu_si512,
    };

    use super::{GROUP, Group, MOST_WIDTH};
    use crate::cpu::prefetch::{LINE, prefetch};
    use crate::cpu::product::panel::{Product, VECTORS};

    const LANES: usize = 16;

    /// [`super::Unit::write_panel`] for the widest vectors.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub fn write_panel(rows: &[f32], out: &mut [Group]) {
        /// Interleaves two vectors of 16 values: the first of each, then the second of each, and so on.
        const IN_TURN: [u16; 2 * LANES] = {
            let mut places = [0; 2 * LANES];
            let mut lane = 0;
            while lane < LANES {
                places[2 * lane] = lane as u16;
                places[2 * lane + 1] = (LANES + lane) as u16;
                lane += 1;
            }
            places
        };
        // SAFETY: the array is as long as a vector, which is read unaligned.
        let in_turn = unsafe { _mm512_loadu_si512(IN_TURN.as_ptr().cast()) };
        let pairs = rows.chunks_exact(GROUP * MOST_WIDTH).zip(out.chunks_exact_mut(MOST_WIDTH));
        for (rows, out) in pairs {
            for lane in (0..MOST_WIDTH).step_by(LANES) {
                let (rows, out) = (rows[lane..].as_ptr(), out[lane..].as_mut_ptr());
                // SAFETY: a vector of each row, and as many pairs, are inside their slices.
                unsafe {
                    let (upper, lower) = (_mm512_loadu_ps(rows), _mm512_loadu_ps(rows.add(MOST_WIDTH)));
                    let rounded = _mm512_cvtne2ps_pbh(lower, upper);
                    let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
                    _mm512_storeu_si512(out.cast(), _mm512_permutexvar_epi16(in_turn, rounded));
                }
            }
        }
    }

    /// # Safety
    /// As for [`super::Unit::multiply`], on a processor that has AVX-512 F and BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn multiply(rows: usize, product: Product<Group>) {
        /// The most rows that leave registers for a row of the panel and one broadcast pair.
        const ROWS: usize = 12;
        let mut row = 0;
        // SAFETY: each tile is inside the rows, for which the caller promises the rest.
        unsafe {
            while row + ROWS <= rows {
                tile::<ROWS>(row, product);
                row += ROWS;
            }
            while row + 4 <= rows {
                tile::<4>(row, product);
                row += 4;
            }
            while row < rows {
                tile::<1>(row, product);
                row += 1;
            }
        }
    }

    /// # Safety
    /// As for [`multiply`], for the `ROWS` rows from `row` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn tile<const ROWS: usize>(row: usize, product: Product<Group>) {
        let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        // SAFETY: the caller promises that all rows are there; vectors are read and written unaligned.
        unsafe {
            let mut lefts = [left; ROWS];
            for (i, left) in lefts.iter_mut().enumerate() {
                *left = left.add((row + i) * left_stride);
            }
            let mut panel = panel.cast::<__m512bh>();
            for start in (0..depth).step_by(LINE) {
                for left in lefts {
                    prefetch::<true, _>(left.wrapping_add(ROWS * left_stride + start));
                }
                for k in start..(start + LINE).min(depth) {
                    let mut right = [panel.read_unaligned(); VECTORS];
                    for (j, right) in right.iter_mut().enumerate() {
                        *right = panel.add(j).read_unaligned();
                    }
                    for (sums, left) in sums.iter_mut().zip(lefts) {
                        let pair = _mm512_set1_epi32(left.add(k).cast::<i32>().read_unaligned());
                        let pair = std::mem::transmute::<__m512i, __m512bh>(pair);
                        for (sum, right) in sums.iter_mut().zip(right) {
                            *sum = _mm512_dpbf16_ps(*sum, pair, right);
                        }
                    }
                    panel = panel.add(VECTORS);
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let out = out.add((row + i) * out_stride);
                for (j, sum) in sums.into_iter().enumerate() {
                    let out = out.add(j * LANES);
                    let sum = if add { _mm512_add_ps(_mm512_loadu_ps(out), sum) } else { sum };
                    _mm512_storeu_ps(out, sum);
                }
            }
        }
    }
}

/// One instruction multiplies two rows of the left matrix, four values of each, with two columns and adds to four sums.
#[cfg(target_arch = "aarch64")]
mod with_instructions {
    use std::arch::aarch64::{
        float32x4_t, uint16x8_t, vaddq_f32, vcombine_f32, vcombine_u16, vdupq_n_f32, vget_high_f32,
        vget_low_f32, vld1_u16, vld1q_f32, vld1q_u16, vst1q_f32,
    };
    use std::arch::asm;

    use super::{GROUP, Group};
    use crate::cpu::product::panel::{Product, VECTORS};

    const LANES: usize = 4;

    /// # Safety
    /// As for [`super::Unit::multiply`], on a processor that has NEON and BF16.
    #[target_feature(enable = "neon,bf16")]
    pub unsafe fn multiply(rows: usize, product: Product<Group>) {
        /// The most pairs of rows that leave registers for one pair and two columns of the panel.
        const PAIRS: usize = 5;
        let mut row = 0;
        // SAFETY: each tile is inside the rows, for which the caller promises the rest.
        unsafe {
            while row + 2 * PAIRS <= rows {
                tile::<PAIRS>(row, rows, product);
                row += 2 * PAIRS;
            }
            while row < rows {
                tile::<1>(row, rows, product);
                row += 2;
            }
        }
    }

    /// # Safety
    /// As for [`multiply`], for `PAIRS` pairs of the `rows` rows from `row` on; a single last row is paired with itself.
    #[inline]
    #[target_feature(enable = "neon,bf16")]
    unsafe fn tile<const PAIRS: usize>(row: usize, rows: usize, product: Product<Group>) {
        let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
        // For each two rows and four columns, two registers of four sums.
        let mut sums = [[[vdupq_n_f32(0.0); 2]; VECTORS]; PAIRS];
        // SAFETY: the caller promises that all rows are there.
        unsafe {
            let mut lefts = [[left.cast::<u16>(); 2]; PAIRS];
            for (i, left) in lefts.as_flattened_mut().iter_mut().enumerate() {
                *left = left.add((row + i).min(rows - 1) * left_stride * GROUP);
            }
            let mut panel = panel.cast::<u16>();
            for k in 0..depth {
                let mut pairs = [vld1q_u16(panel); PAIRS];
                for (pair, [upper, lower]) in pairs.iter_mut().zip(lefts) {
                    *pair = vcombine_u16(vld1_u16(upper.add(k * GROUP)), vld1_u16(lower.add(k * GROUP)));
                }
                for j in 0..VECTORS {
                    for half in 0..2 {
                        let columns = vld1q_u16(panel);
                        for (sums, pair) in sums.iter_mut().zip(pairs) {
                            sums[j][half] = add_products(sums[j][half], pair, columns);
                        }
                        panel = panel.add(2 * GROUP);
                    }
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let row = row + 2 * i;
                for (j, [low, high]) in sums.into_iter().enumerate() {
                    let upper = vcombine_f32(vget_low_f32(low), vget_low_f32(high));
                    let lower = vcombine_f32(vget_high_f32(low), vget_high_f32(high));
                    for (row, sum) in [(row, upper), (row + 1, lower)] {
                        if row < rows {
                            let out = out.add(row * out_stride + j * LANES);
                            vst1q_f32(out, if add { vaddq_f32(vld1q_f32(out), sum) } else { sum });
                        }
                    }
                }
            }
        }
    }

    /// `sums` plus the products of two rows with two columns, four values of each. (Rust has no stable function for this yet.)
    #[inline]
    #[target_feature(enable = "neon,bf16")]
    fn add_products(mut sums: float32x4_t, rows: uint16x8_t, columns: uint16x8_t) -> float32x4_t {
        // SAFETY: the enabled features include the instruction, which only reads and writes these registers.
        unsafe {
            asm!(
                "bfmmla {sums:v}.4s, {rows:v}.8h, {columns:v}.8h",
                sums = inout(vreg) sums,
                rows = in(vreg) rows,
                columns = in(vreg) columns,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "x86_64")]
    use crate::cpu::prefetch::Ahead;
    use crate::cpu::product::panel::tests::check_products;

    /// Small whole numbers, so that sums are exact in any order.
    fn group(index: usize, count: usize) -> Group {
        let value = |place| ((GROUP * index + place) % count) as f32 - (count / 2) as f32;
        std::array::from_fn(|place| bf16::from_f32(value(place)))
    }

    #[test]
    fn multiplies_any_number_of_rows() {
        let product = |left: Group, right: Group| {
            left.into_iter().zip(right).map(|(left, right)| left.to_f32() * right.to_f32()).sum()
        };
        check_products(group, product);
    }

    /// Processors with faster instructions have these as well, and would leave them untested.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vectors_of_pairs_multiply_any_number_of_rows() {
        if !instructions(MOST_LANES) {
            return;
        }
        for (rows, depth) in [(1, 1), (5, 40), (12, 9), (33, 16)] {
            let left: Vec<Group> = (0..rows * depth).map(|index| group(index, 11)).collect();
            let panel: Vec<Group> = (0..depth * MOST_WIDTH).map(|index| group(index, 7)).collect();
            for add in [false, true] {
                let product = |multiply: &dyn Fn(Product<Group>)| {
                    let mut out = vec![1.0; rows * MOST_WIDTH];
                    multiply(Product {
                        depth,
                        left: left.as_ptr(),
                        left_stride: depth,
                        panel: panel.as_ptr(),
                        ahead: [Ahead::NONE; 3],
                        out: out.as_mut_ptr(),
                        out_stride: MOST_WIDTH,
                        add,
                    });
                    out
                };
                // SAFETY: the matrices are as large as the products say, and the processor has the instructions.
                let found = product(&|product| unsafe { with_instructions::multiply(rows, product) });
                // SAFETY: as above.
                let expected = product(&|product| unsafe { plain(rows, MOST_WIDTH, product) });
                assert_eq!(found, expected, "{rows} rows, {depth} pairs deep");
            }
        }
    }
}
