//! Products of matrices that lie anywhere inside a slice.

use gemm::Parallelism;

/// A matrix inside a slice: element `(row, column)` is at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
}

/// `out = keep * out + scale * left * right` on one thread, where `out` is `rows x columns` and its rows follow each
/// other.
///
/// # Panics
/// When a matrix reaches past the end of its slice.
pub(crate) fn multiply(
    out: &mut [f32],
    [rows, inner, columns]: [usize; 3],
    left: View<'_>,
    right: View<'_>,
    scale: f32,
    keep: bool,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(out.len() >= rows * columns);
    left.check(rows, inner);
    right.check(inner, columns);
    // SAFETY: all three matrices were just checked to lie inside their slices, and `out`, borrowed mutably, overlaps
    // neither of the others.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            keep,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

impl View<'_> {
    fn check(&self, rows: usize, columns: usize) {
        if rows == 0 || columns == 0 {
            return;
        }
        let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
        assert!(last < self.values.len(), "a {rows}x{columns} matrix does not fit its slice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_strided_matrices_and_adds() {
        let left: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let right: Vec<f32> = (0..24).map(|i| (i % 7) as f32 - 3.0).collect();
        // `left` is 3x4 with rows 8 apart and every second column; `right` is stored transposed, 4x5.
        let left_at = |i: usize, j: usize| left[8 * i + 2 * j];
        let right_at = |i: usize, j: usize| right[i + 4 * j];
        let mut out = vec![1.0f32; 15];
        let left_view = View { values: &left, row_stride: 8, column_stride: 2 };
        let right_view = View { values: &right, row_stride: 1, column_stride: 4 };
        multiply(&mut out, [3, 4, 5], left_view, right_view, 0.5, true);
        for i in 0..3 {
            for j in 0..5 {
                let product: f32 = (0..4).map(|k| left_at(i, k) * right_at(k, j)).sum();
                assert_eq!(out[5 * i + j], 1.0 + 0.5 * product);
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit its slice")]
    fn refuses_a_matrix_past_the_end() {
        let values = [0.0; 8];
        let view = View { values: &values, row_stride: 3, column_stride: 1 };
        multiply(&mut [0.0; 9], [3, 3, 3], view, view, 1.0, false);
    }
}
