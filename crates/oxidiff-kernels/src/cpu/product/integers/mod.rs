//! Products of whole numbers of 8 bits that share scales, summed in `f32`, with dedicated instructions: `vpdpbusd` of AVX-512 VNNI
//! and AVX-VNNI, `sdot` and `smmla` of Arm. Weights are exactly what their file says; the values of the right matrix are rounded to 8 bits.

#[cfg(target_arch = "aarch64")]
mod matrices;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;

use bytemuck::{Pod, Zeroable};
use pulp::Simd;

use super::factor::Right;
use super::matrix::Matrix;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::panel::VECTORS;
use super::panel::{self, Product, Unit};
use crate::cpu::storage::Storage;

/// Values that share a scale in the right matrix, and at least 16 of which do in the left one.
pub(crate) const LEN: usize = 32;
const HALF: usize = LEN / 2;
/// Bytes that one instruction multiplies and adds up per lane.
const BYTES: usize = 4;
const STEPS: usize = LEN / BYTES;
/// What is added to the numbers of the right matrix where one factor of the instruction has no sign.
const OFFSET: i32 = if cfg!(target_arch = "aarch64") { 0 } else { 128 };
/// The largest rounded number of the right matrix.
const MOST: f32 = 127.0;

/// In the left matrix, 32 neighbouring values `scale * number - minimum` of a row. In a panel, units are only room: a row of them
/// holds the numbers and scales of all its columns in the order in which they are multiplied (see [`Place`]).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Integers {
    numbers: [i8; LEN],
    /// Those of the halves.
    scales: [f32; 2],
    minima: [f32; 2],
    /// What adding [`OFFSET`] to the other factor adds to the product, negative: of the halves, or with
    /// [`Self::HALVES`] unset of all, in the first place.
    corrections: [i32; 2],
    /// Of [`Self::HALVES`] and [`Self::MINIMA`], the same for all units of a matrix.
    traits: u32,
    unused: u32,
}

// SAFETY: all bits are numbers.
unsafe impl Zeroable for Integers {}
// SAFETY: all bits are numbers, and there are no gaps between them.
unsafe impl Pod for Integers {}

impl Integers {
    /// The halves have scales of their own.
    const HALVES: u32 = 1;
    const MINIMA: u32 = 2;

    /// Values of the left matrix: `offset` is subtracted from the numbers. (Numbers without a sign are added up faster.)
    #[inline(always)]
    pub fn new(
        (numbers, offset): (&[u8; LEN], u8),
        scales: [f32; 2],
        minima: Option<[f32; 2]>,
        are_halves: bool,
    ) -> Self {
        let sums: [i32; 2] = std::array::from_fn(|half| {
            let sum: u32 = numbers[half * HALF..][..HALF].iter().map(|number| u32::from(*number)).sum();
            sum as i32 - HALF as i32 * i32::from(offset)
        });
        let mut signed = [0; LEN];
        for (signed, number) in signed.iter_mut().zip(numbers) {
            *signed = number.wrapping_sub(offset) as i8;
        }
        let corrections = if are_halves { sums } else { [sums[0] + sums[1], 0] };
        let traits = u32::from(are_halves) * Self::HALVES + u32::from(minima.is_some()) * Self::MINIMA;
        Self {
            numbers: signed,
            scales,
            minima: minima.unwrap_or_default(),
            corrections: corrections.map(|sum| -OFFSET * sum),
            traits,
            unused: 0,
        }
    }
}

/// Whether the processor has the instructions.
pub(crate) fn are_there() -> bool {
    instructions(panel::widths().1)
}

/// Whether there are instructions for vectors of this many lanes.
#[inline(always)]
fn instructions(lanes: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    return match lanes {
        16 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"),
        8 => {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("avxvnni")
        }
        _ => false,
    };
    #[cfg(target_arch = "aarch64")]
    return lanes == 4 && std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return lanes == 0;
}

/// Whether the processor multiplies matrices of eight columns, which is twice as fast as with `sdot`.
#[inline(always)]
pub(crate) fn in_matrices() -> bool {
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("i8mm");
    #[cfg(not(target_arch = "aarch64"))]
    return false;
}

/// Where things are in a row of a panel that is `width` units wide, in bytes.
#[derive(Clone, Copy)]
struct Place {
    width: usize,
    /// Whether eight numbers of a column are together, and not four.
    in_eights: bool,
}

impl Place {
    #[inline(always)]
    fn new(width: usize) -> Self {
        Self { width, in_eights: in_matrices() }
    }

    /// The four numbers of a column that belong to this step.
    #[inline(always)]
    fn numbers(self, step: usize, column: usize) -> usize {
        match self.in_eights {
            true => BYTES * (2 * (self.width * (step / 2) + column) + step % 2),
            false => BYTES * (self.width * step + column),
        }
    }

    /// The scale of each column.
    #[inline(always)]
    fn scales(self) -> usize {
        BYTES * self.width * STEPS
    }

    /// The sum of the values in this half of each column.
    #[inline(always)]
    fn sums(self, half: usize) -> usize {
        BYTES * self.width * (STEPS + 1 + half)
    }
}

/// Rounds `values` and writes them as a column of a row of a panel.
#[inline(always)]
fn write_column(values: &[f32; LEN], column: usize, row: &mut [Integers]) {
    let place = Place::new(row.len());
    let row: &mut [u8] = bytemuck::cast_slice_mut(row);
    let mut numbers = [0; LEN];
    let scale = rounded(values, &mut numbers);
    for (step, numbers) in numbers.as_chunks::<BYTES>().0.iter().enumerate() {
        // Adding 128 to a number of 8 bits turns its first bit.
        let offset = u32::from_ne_bytes([OFFSET as u8; BYTES]);
        let numbers = u32::from_ne_bytes(numbers.map(|number| number as u8)) ^ offset;
        row[place.numbers(step, column)..][..BYTES].copy_from_slice(&numbers.to_ne_bytes());
    }
    row[place.scales() + BYTES * column..][..BYTES].copy_from_slice(&scale.to_ne_bytes());
    for (half, numbers) in numbers.as_chunks::<HALF>().0.iter().enumerate() {
        let sum: i32 = numbers.iter().map(|number| i32::from(*number)).sum();
        let sum = scale * sum as f32;
        row[place.sums(half) + BYTES * column..][..BYTES].copy_from_slice(&sum.to_ne_bytes());
    }
}

/// Rounds values to numbers with a common scale, and returns it. It is not a number if a value is not finite, so that no product is
/// finite either.
#[inline(always)]
pub(crate) fn rounded(values: &[f32; LEN], numbers: &mut [i8; LEN]) -> f32 {
    let (mut largest, mut not_finite) = ([0.0f32; HALF], [0.0f32; HALF]);
    for values in values.as_chunks::<HALF>().0 {
        for (lane, value) in values.iter().enumerate() {
            largest[lane] = largest[lane].max(value.abs());
            not_finite[lane] += value * 0.0;
        }
    }
    let largest = largest.iter().copied().fold(0.0, f32::max);
    let inverse = if largest > 0.0 { MOST / largest } else { 0.0 };
    // The inverse of the smallest numbers overflows; they have no weight beside any other.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    // Adding this rounds to a whole number and leaves it in the low bits; compilers do not make vectors of conversions.
    const ROUND: f32 = 12_582_912.0;
    for (number, value) in numbers.iter_mut().zip(values) {
        *number = (value * inverse + ROUND).to_bits() as i8;
    }
    largest / MOST + not_finite.iter().sum::<f32>()
}

/// The transpose of a matrix as the right factor, whose values are rounded when they are packed. Its rows must be whole units.
pub(crate) struct Rounded<'a, T>(pub Matrix<'a, T>);

impl<T: Storage> Right<Integers> for Rounded<'_, T> {
    #[inline(always)]
    fn pack(&self, panel: usize, width: usize, depth: std::ops::Range<usize>, out: &mut [Integers]) {
        let Self(Matrix { values, rows, depth: row_len }) = *self;
        let rows = panel * width..((panel + 1) * width).min(rows);
        if rows.len() < width {
            out.fill(Integers::zeroed());
        }
        let mut wide = [0.0; LEN];
        for (column, row) in rows.enumerate() {
            let values = &values[row * row_len..][depth.start * LEN..depth.end * LEN];
            for (values, out) in values.as_chunks::<LEN>().0.iter().zip(out.chunks_exact_mut(width)) {
                T::widen(values, &mut wide);
                write_column(&wide, column, out);
            }
        }
    }
}

impl Unit for Integers {
    const VALUES: usize = LEN;

    #[inline(always)]
    unsafe fn multiply<S: Simd>(_: S, rows: usize, product: Product<Integers>) {
        #[cfg(target_arch = "x86_64")]
        if instructions(S::F32_LANES) {
            // SAFETY: the processor has the instructions, and the caller makes the same promises.
            unsafe {
                match S::F32_LANES {
                    16 => vectors::avx512::multiply(rows, product),
                    _ => vectors::avx2::multiply(rows, product),
                }
            }
            return;
        }
        #[cfg(target_arch = "aarch64")]
        if instructions(S::F32_LANES) {
            // SAFETY: the processor has the instructions, and the caller makes the same promises.
            unsafe {
                match in_matrices() {
                    true => matrices::multiply(rows, product),
                    false => vectors::neon::multiply(rows, product),
                }
            }
            return;
        }
        // SAFETY: the caller makes the same promises.
        unsafe { plain(rows, panel::width::<S>(), product) };
    }

    fn write_panel(rows: &[f32], width: usize, out: &mut [Integers]) {
        for (rows, out) in rows.chunks_exact(LEN * width).zip(out.chunks_exact_mut(width)) {
            for column in 0..width {
                write_column(&std::array::from_fn(|row| rows[row * width + column]), column, out);
            }
        }
    }
}

/// The product on any processor; this also defines what the instructions compute.
///
/// # Safety
/// As for [`Unit::multiply`], with `width` units in a row of the panel.
unsafe fn plain(rows: usize, width: usize, product: Product<Integers>) {
    let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
    let place = Place::new(width);
    for row in 0..rows {
        for column in 0..width {
            let mut sum = 0.0;
            for k in 0..depth {
                // SAFETY: the caller promises that this unit, and this row of the panel, are inside the matrices.
                let (weights, panel) =
                    unsafe { (&*left.add(row * left_stride + k), panel.add(k * width).cast::<u8>()) };
                // SAFETY: all places are inside the row of the panel; four bytes are read unaligned.
                let word = |place: usize| unsafe { panel.add(place).cast::<u32>().read_unaligned() };
                let float = |place: usize| f32::from_bits(word(place + BYTES * column));
                // The numbers have a sign only where they have no offset.
                let value = |byte: u8| if OFFSET == 0 { i32::from(byte as i8) } else { i32::from(byte) };
                let dot = |steps: std::ops::Range<usize>| -> i32 {
                    let products = steps.flat_map(|step| {
                        let values = word(place.numbers(step, column)).to_ne_bytes();
                        let weights = &weights.numbers[step * BYTES..];
                        (0..BYTES).map(move |byte| i32::from(weights[byte]) * value(values[byte]))
                    });
                    products.sum()
                };
                let mut add = |half: usize, dot: i32, values: f32| {
                    let dot = (dot + weights.corrections[half]) as f32;
                    sum = (dot * float(place.scales())).mul_add(weights.scales[half], sum);
                    if weights.traits & Integers::MINIMA != 0 {
                        sum = values.mul_add(-weights.minima[half], sum);
                    }
                };
                let sums = [0, 1].map(|half| float(place.sums(half)));
                if weights.traits & Integers::HALVES != 0 {
                    for (half, sum) in sums.into_iter().enumerate() {
                        add(half, dot(half * STEPS / 2..(half + 1) * STEPS / 2), sum);
                    }
                } else {
                    add(0, dot(0..STEPS), sums[0] + sums[1]);
                }
            }
            // SAFETY: the caller promises that this value is inside the product.
            unsafe {
                let out = out.add(row * out_stride + column);
                *out = if add { *out + sum } else { sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::prefetch::Ahead;

    /// Every number occurs, and scales and minima of either sign.
    fn units(count: usize, has_minima: bool, are_halves: bool) -> Vec<Integers> {
        let unit = |unit: usize| {
            let numbers = std::array::from_fn(|i| ((unit * LEN + i).wrapping_mul(0x9e37_79b9) >> 7) as u8);
            let scales = [0.02 * (unit % 5) as f32 - 0.03, if are_halves { 0.01 } else { f32::NAN }];
            let minima = [0.3 - 0.1 * (unit % 7) as f32, if are_halves { 0.2 } else { f32::NAN }];
            Integers::new((&numbers, 128), scales, has_minima.then_some(minima), are_halves)
        };
        (0..count).map(unit).collect()
    }

    /// The panel of the first columns of a matrix, and its values, in rows.
    fn panel(width: usize, columns: usize, depth: usize) -> (Vec<Integers>, Vec<f32>) {
        let values: Vec<f32> =
            (0..columns * depth * LEN).map(|i| (i as f32 * 0.71).sin() * (1 + i % 3) as f32).collect();
        let mut panel = vec![Integers::zeroed(); depth * width];
        let matrix = Rounded(Matrix { values: &values, rows: columns, depth: depth * LEN });
        matrix.pack(0, width, 0..depth, &mut panel);
        (panel, values)
    }

    type Multiply = unsafe fn(usize, usize, Product<Integers>);

    fn product(
        multiply: Multiply,
        left: &[Integers],
        panel: &[Integers],
        depth: usize,
        add: bool,
    ) -> Vec<f32> {
        let (rows, width) = (left.len() / depth, panel.len() / depth);
        let mut out = vec![1.0; rows * width];
        let (left, panel, out_stride) = (left.as_ptr(), panel.as_ptr(), width);
        let ahead = [Ahead::NONE; 3];
        let out_pointer = out.as_mut_ptr();
        let product =
            Product { depth, left, left_stride: depth, panel, ahead, out: out_pointer, out_stride, add };
        // SAFETY: the matrices are as large as the product says, and the caller has checked for the instructions.
        unsafe { multiply(rows, width, product) };
        out
    }

    const KINDS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

    #[test]
    fn plain_product_is_that_of_the_values_within_their_rounding() {
        let (width, columns, depth, rows) = (8, 7, 3, 5);
        let (panel, values) = panel(width, columns, depth);
        for (has_minima, are_halves) in KINDS {
            let left = units(rows * depth, has_minima, are_halves);
            let found = product(plain, &left, &panel, depth, false);
            for row in 0..rows {
                for column in 0..width {
                    let (mut sum, mut most) = (0.0, 0.0);
                    if column < columns {
                        for k in 0..depth * LEN {
                            let unit = &left[row * depth + k / LEN];
                            let half = if are_halves { k % LEN / HALF } else { 0 };
                            let minimum = if has_minima { unit.minima[half] } else { 0.0 };
                            let weight = unit.scales[half] * f32::from(unit.numbers[k % LEN]) - minimum;
                            sum += weight * values[column * depth * LEN + k];
                            // Half a step of values up to 3.
                            most += weight.abs() * 0.5 * 3.0 / MOST;
                        }
                    }
                    let found = found[row * width + column];
                    assert!((found - sum).abs() <= most + 1e-4, "{row}, {column}: {found}, not {sum}");
                }
            }
        }
    }

    /// To the last bit: the same numbers are multiplied, and sums are rounded in the same order.
    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn instructions_give_the_plain_product() {
        #[cfg(target_arch = "x86_64")]
        let all: [(usize, Multiply); 2] = {
            unsafe fn wide(rows: usize, _: usize, product: Product<Integers>) {
                // SAFETY: the caller makes the same promises.
                unsafe { vectors::avx512::multiply(rows, product) }
            }
            unsafe fn narrow(rows: usize, _: usize, product: Product<Integers>) {
                // SAFETY: the caller makes the same promises.
                unsafe { vectors::avx2::multiply(rows, product) }
            }
            [(16, wide), (8, narrow)]
        };
        #[cfg(target_arch = "aarch64")]
        let all: [(usize, Multiply); 1] = {
            unsafe fn multiply(rows: usize, _: usize, product: Product<Integers>) {
                // SAFETY: the caller makes the same promises.
                unsafe {
                    match in_matrices() {
                        true => matrices::multiply(rows, product),
                        false => vectors::neon::multiply(rows, product),
                    }
                }
            }
            [(4, multiply)]
        };
        for (lanes, multiply) in all {
            if !instructions(lanes) {
                continue;
            }
            let width = VECTORS * lanes;
            for (rows, depth) in [(1, 1), (5, 8), (6, 3), (13, 9)] {
                let (panel, _) = panel(width, width - 1, depth);
                for (has_minima, are_halves) in KINDS {
                    let left = units(rows * depth, has_minima, are_halves);
                    for add in [false, true] {
                        let found = product(multiply, &left, &panel, depth, add);
                        let expected = product(plain, &left, &panel, depth, add);
                        assert_eq!(found, expected, "{lanes} lanes, {rows} rows, {depth} units deep");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_of_values_make_the_panel_that_columns_make() {
        let (width, depth) = (8, 2);
        let (expected, values) = panel(width, width, depth);
        let rows: Vec<f32> =
            (0..depth * LEN * width).map(|i| values[i % width * depth * LEN + i / width]).collect();
        let mut found = vec![Integers::zeroed(); depth * width];
        Integers::write_panel(&rows, width, &mut found);
        assert_eq!(bytemuck::cast_slice::<_, u8>(&found), bytemuck::cast_slice::<_, u8>(&expected));
    }
}
