//! Transposing rows into columns, for the panels of a product.

use std::ops::Range;

/// Writes `rows` rows of `values`, each `depth` long and `stride` apart, as the first columns of `out`, whose rows are `width`
/// long. The other columns do not change.
///
/// # Panics
/// When the rows or the columns reach past the end of their slice.
pub(crate) fn into_columns<U: Copy>(
    values: &[U],
    stride: usize,
    rows: usize,
    depth: usize,
    out: &mut [U],
    width: usize,
) {
    if rows == 0 || depth == 0 {
        return;
    }
    assert!(values.len() >= (rows - 1) * stride + depth, "the rows");
    assert!(rows <= width && out.len() >= (depth - 1) * width + rows, "the columns");
    #[cfg(target_arch = "x86_64")]
    if size_of::<U>() == size_of::<f32>() {
        if rows >= 16 && is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has these instructions, the values have four bytes, and the slices contain all rows and
            // columns, as checked above.
            unsafe { with_avx512(values, stride, rows, depth, out, width) };
            return;
        }
        if is_x86_feature_detected!("avx") {
            // SAFETY: as above.
            unsafe { with_avx(values, stride, 0..rows, depth, out, width) };
            return;
        }
    }
    plain(values, stride, 0..rows, 0..depth, out, width);
}

fn plain<U: Copy>(
    values: &[U],
    stride: usize,
    rows: Range<usize>,
    depth: Range<usize>,
    out: &mut [U],
    width: usize,
) {
    for row in rows {
        for column in depth.clone() {
            out[column * width + row] = values[row * stride + column];
        }
    }
}

/// # Safety
/// The processor must have AVX; `values` and `out` must contain all rows and columns, and their elements must have four bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn with_avx<U: Copy>(
    values: &[U],
    stride: usize,
    rows: Range<usize>,
    depth: usize,
    out: &mut [U],
    width: usize,
) {
    use std::arch::x86_64::{
        _mm_loadu_ps, _mm256_castps128_ps256, _mm256_insertf128_ps, _mm256_shuffle_ps, _mm256_storeu_ps,
        _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    let (whole_rows, whole_depth) = (rows.end - rows.len() % 8, depth / 8 * 8);
    for row in (rows.start..whole_rows).step_by(8) {
        for column in (0..whole_depth).step_by(8) {
            // SAFETY: the caller promises that both slices contain eight rows and eight columns from here on.
            unsafe {
                let from = values.as_ptr().cast::<f32>().add(row * stride + column);
                let to = out.as_mut_ptr().cast::<f32>().add(column * width + row);
                // Four columns at a time: row `i` in the lower half, row `i + 4` in the upper.
                for part in [0, 4] {
                    let [a, b, c, d] = std::array::from_fn(|i| {
                        let lower = _mm_loadu_ps(from.add(i * stride + part));
                        let upper = _mm_loadu_ps(from.add((i + 4) * stride + part));
                        _mm256_insertf128_ps(_mm256_castps128_ps256(lower), upper, 1)
                    });
                    let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                    let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                    let columns = [
                        _mm256_shuffle_ps(ab_low, cd_low, 0x44),
                        _mm256_shuffle_ps(ab_low, cd_low, 0xee),
                        _mm256_shuffle_ps(ab_high, cd_high, 0x44),
                        _mm256_shuffle_ps(ab_high, cd_high, 0xee),
                    ];
                    for (i, values) in columns.into_iter().enumerate() {
                        _mm256_storeu_ps(to.add((part + i) * width), values);
                    }
                }
            }
        }
    }
    plain(values, stride, rows.start..whole_rows, whole_depth..depth, out, width);
    plain(values, stride, whole_rows..rows.end, 0..depth, out, width);
}

/// Transposes sixteen rows at a time, which writes whole cache lines.
///
/// # Safety
/// The processor must have AVX-512 F; `values` and `out` must contain all rows and columns, and their elements must
/// have four bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn with_avx512<U: Copy>(
    values: &[U],
    stride: usize,
    rows: usize,
    depth: usize,
    out: &mut [U],
    width: usize,
) {
    use std::arch::x86_64::{
        __m512, _mm_loadu_ps, _mm512_castps128_ps512, _mm512_insertf32x4, _mm512_shuffle_ps,
        _mm512_storeu_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
    };

    /// Four columns of rows 0, 4, 8 and 12, counted from `from`.
    ///
    /// # Safety
    /// The values must be inside the slice.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn every_fourth_row(from: *const f32, stride: usize) -> __m512 {
        // SAFETY: the caller promises that all rows are there.
        unsafe {
            let first = _mm512_castps128_ps512(_mm_loadu_ps(from));
            let second = _mm512_insertf32x4::<1>(first, _mm_loadu_ps(from.add(4 * stride)));
            let third = _mm512_insertf32x4::<2>(second, _mm_loadu_ps(from.add(8 * stride)));
            _mm512_insertf32x4::<3>(third, _mm_loadu_ps(from.add(12 * stride)))
        }
    }

    let whole_rows = rows / 16 * 16;
    // The last four columns may overlap those before them.
    let columns =
        (0..depth / 4 * 4).step_by(4).chain((!depth.is_multiple_of(4) && depth > 4).then(|| depth - 4));
    for row in (0..whole_rows).step_by(16) {
        for column in columns.clone() {
            // SAFETY: the caller promises that both slices contain sixteen rows and four columns from here on.
            unsafe {
                let from = values.as_ptr().cast::<f32>().add(row * stride + column);
                let to = out.as_mut_ptr().cast::<f32>().add(column * width + row);
                let a = every_fourth_row(from, stride);
                let b = every_fourth_row(from.add(stride), stride);
                let c = every_fourth_row(from.add(2 * stride), stride);
                let d = every_fourth_row(from.add(3 * stride), stride);
                let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                _mm512_storeu_ps(to, _mm512_shuffle_ps::<0x44>(ab_low, cd_low));
                _mm512_storeu_ps(to.add(width), _mm512_shuffle_ps::<0xee>(ab_low, cd_low));
                _mm512_storeu_ps(to.add(2 * width), _mm512_shuffle_ps::<0x44>(ab_high, cd_high));
                _mm512_storeu_ps(to.add(3 * width), _mm512_shuffle_ps::<0xee>(ab_high, cd_high));
            }
        }
    }
    if depth < 4 {
        plain(values, stride, 0..whole_rows, 0..depth, out, width);
    }
    // SAFETY: a processor with AVX-512 also has AVX, and the caller promises the rest.
    unsafe { with_avx(values, stride, whole_rows..rows, depth, out, width) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_shape_becomes_columns() {
        for (rows, depth, width) in
            [(1, 1, 1), (8, 8, 16), (16, 24, 16), (13, 21, 20), (7, 40, 8), (32, 9, 32), (29, 18, 32)]
        {
            let stride = depth + 2;
            let values: Vec<f32> = (0..rows * stride).map(|i| i as f32).collect();
            let mut out = vec![-1.0; depth * width];
            into_columns(&values, stride, rows, depth, &mut out, width);
            for column in 0..depth {
                for place in 0..width {
                    let expected = if place < rows { values[place * stride + column] } else { -1.0 };
                    assert_eq!(out[column * width + place], expected, "{rows}x{depth} into {width}");
                }
            }
        }
    }
}
