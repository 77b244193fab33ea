//! Products with `smmla` of Arm, which multiplies matrices: two rows of eight numbers with two columns of eight.

use std::arch::aarch64::{
    float32x2_t, float32x4_t, int8x16_t, int32x4_t, vadd_f32, vaddq_f32, vcombine_f32, vcombine_s8,
    vcvtq_f32_s32, vdup_n_f32, vdupq_n_f32, vdupq_n_s32, vfmaq_f32, vfmsq_f32, vget_high_f32, vget_low_f32,
    vld1_f32, vld1_s8, vld1q_s8, vmulq_f32, vst1_f32,
};
use std::arch::asm;

use super::{BYTES, Integers, Place, Product, STEPS, VECTORS, plain};

const WIDTH: usize = 4 * VECTORS;
const COLUMN_PAIRS: usize = WIDTH / 2;
/// Numbers of a row that one instruction multiplies.
const EIGHT: usize = 2 * BYTES;
/// The most pairs of rows that leave registers for two sums of each and what is multiplied.
const ROW_PAIRS: usize = 2;

/// # Safety
/// As for [`Unit::multiply`](super::Unit::multiply), on a processor that has the instructions.
#[target_feature(enable = "neon,i8mm")]
pub unsafe fn multiply(rows: usize, product: Product<Integers>) {
    if rows == 0 || product.depth == 0 {
        // SAFETY: the caller makes the same promises.
        return unsafe { plain(rows, WIDTH, product) };
    }
    // SAFETY: the left matrix has a unit, and the caller promises the rest.
    unsafe {
        match (*product.left).traits {
            0 => all_rows::<false, false>(rows, product),
            Integers::HALVES => all_rows::<true, false>(rows, product),
            Integers::MINIMA => all_rows::<false, true>(rows, product),
            _ => all_rows::<true, true>(rows, product),
        }
    }
}

/// # Safety
/// As for [`multiply`], with these traits.
#[target_feature(enable = "neon,i8mm")]
unsafe fn all_rows<const HALVES: bool, const MINIMA: bool>(rows: usize, product: Product<Integers>) {
    const ROWS: usize = 2 * ROW_PAIRS;
    let mut row = 0;
    let mut ahead = product.ahead;
    let lines = ahead.map(|ahead| ahead.lines_at_once(rows.div_ceil(ROWS)));
    // SAFETY: each tile starts inside the rows, for which the caller promises the rest.
    unsafe {
        while row + ROWS <= rows {
            for (ahead, lines) in ahead.iter_mut().zip(lines) {
                ahead.fetch(lines);
            }
            tile::<ROW_PAIRS, HALVES, MINIMA>(row, rows, product);
            row += ROWS;
        }
        while row < rows {
            tile::<1, HALVES, MINIMA>(row, rows, product);
            row += 2;
        }
    }
}

/// # Safety
/// As for [`all_rows`], for `PAIRS` pairs of the rows from `row` on; beyond the last one, it is multiplied again.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn tile<const PAIRS: usize, const HALVES: bool, const MINIMA: bool>(
    row: usize,
    rows: usize,
    product: Product<Integers>,
) {
    let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
    let place = Place { width: WIDTH, in_eights: true };
    let parts = if HALVES { 2 } else { 1 };
    let eights = STEPS / 2;
    let pairs: [[usize; 2]; PAIRS] =
        std::array::from_fn(|pair| [0, 1].map(|second| (row + 2 * pair + second).min(rows - 1)));
    let mut sums = [[vdupq_n_f32(0.0); COLUMN_PAIRS]; PAIRS];
    // SAFETY: the caller promises that all rows are there, and all places are inside a row of the panel; vectors are read and
    // written unaligned.
    unsafe {
        for k in 0..depth {
            let weights = pairs.map(|pair| pair.map(|row| &*left.add(row * left_stride + k)));
            let panel = panel.add(k * WIDTH).cast::<u8>();
            let values =
                |place: usize, pair: usize| twice(vld1_f32(panel.add(place).cast::<f32>().add(2 * pair)));
            for part in 0..parts {
                let mut dots = [[vdupq_n_s32(0); COLUMN_PAIRS]; PAIRS];
                for eight in part * eights / parts..(part + 1) * eights / parts {
                    let numbers = panel.add(place.numbers(2 * eight, 0)).cast::<i8>();
                    let columns: [int8x16_t; COLUMN_PAIRS] =
                        std::array::from_fn(|pair| vld1q_s8(numbers.add(2 * EIGHT * pair)));
                    for (dots, weights) in dots.iter_mut().zip(&weights) {
                        let [first, second] =
                            weights.map(|row| vld1_s8(row.numbers.as_ptr().add(EIGHT * eight)));
                        let both = vcombine_s8(first, second);
                        for (dots, columns) in dots.iter_mut().zip(columns) {
                            *dots = add_products(*dots, both, columns);
                        }
                    }
                }
                for columns in 0..COLUMN_PAIRS {
                    let scales = values(place.scales(), columns);
                    let totals = if HALVES {
                        values(place.sums(part), columns)
                    } else {
                        vaddq_f32(values(place.sums(0), columns), values(place.sums(1), columns))
                    };
                    for (pair, weights) in weights.iter().enumerate() {
                        let of_rows =
                            |values: [f32; 2]| vcombine_f32(vdup_n_f32(values[0]), vdup_n_f32(values[1]));
                        let dot = vmulq_f32(vcvtq_f32_s32(dots[pair][columns]), scales);
                        let sum = &mut sums[pair][columns];
                        *sum = vfmaq_f32(*sum, dot, of_rows(weights.map(|row| row.scales[part])));
                        if MINIMA {
                            *sum = vfmsq_f32(*sum, totals, of_rows(weights.map(|row| row.minima[part])));
                        }
                    }
                }
            }
        }
        for (pair, sums) in pairs.into_iter().zip(sums) {
            let [first, second] = pair.map(|row| out.add(row * out_stride));
            for (columns, sum) in sums.into_iter().enumerate() {
                store(first.add(2 * columns), vget_low_f32(sum), add);
                if pair[1] != pair[0] {
                    store(second.add(2 * columns), vget_high_f32(sum), add);
                }
            }
        }
    }
}

/// The same two values for both rows.
#[inline]
#[target_feature(enable = "neon")]
fn twice(values: float32x2_t) -> float32x4_t {
    vcombine_f32(values, values)
}

/// # Safety
/// Two values can be written there, and read if they are to be added to.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store(out: *mut f32, values: float32x2_t, add: bool) {
    // SAFETY: promised by the caller.
    unsafe {
        vst1_f32(out, if add { vadd_f32(vld1_f32(out), values) } else { values });
    }
}

/// `sums`, of each row with each column, plus the products of their eight numbers. (Rust has no stable function for this yet.)
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add_products(mut sums: int32x4_t, rows: int8x16_t, columns: int8x16_t) -> int32x4_t {
    // SAFETY: the enabled features include the instruction, which only reads and writes these registers.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {rows:v}.16b, {columns:v}.16b",
            sums = inout(vreg) sums,
            rows = in(vreg) rows,
            columns = in(vreg) columns,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
