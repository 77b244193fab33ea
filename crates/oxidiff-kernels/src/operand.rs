//! How values in storage become the operands of a product.

use std::borrow::Cow;

use half::bf16;

use crate::bf16_dot::Group;
use crate::half_precision::Storage;
use crate::memory::Scratch;
use crate::panel::Unit;
use crate::transpose::into_columns;

/// A storage type whose values are multiplied as units `U`. Where a unit is several values, the rows of both matrices must be
/// whole units long.
pub(crate) trait Operand<U: Unit>: Storage {
    /// A left matrix, not copied where it is one already.
    fn units(values: &[Self]) -> Cow<'_, [U]>;

    /// Writes a row of a left matrix.
    fn row(values: &[Self], out: &mut [U]);

    /// Writes `rows` rows of `values`, each `depth` values long and `stride` apart, as the first columns of a panel that is
    /// `width` units wide. Further columns stay as they are.
    ///
    /// # Panics
    /// When the rows or the columns reach past the end of their slice.
    fn columns(values: &[Self], stride: usize, rows: usize, depth: usize, out: &mut [U], width: usize);

    /// Writes as many rows of `values` as a unit holds, `stride` apart, as one row of a panel: what stands one below the other
    /// side by side in a unit. Units beyond `length` become zero, and so does what stands in rows from `rows` on.
    ///
    /// # Panics
    /// When the rows reach past the end of their slice.
    fn panel_row(values: &[Self], stride: usize, rows: usize, length: usize, out: &mut [U]);
}

impl<T: Storage> Operand<f32> for T {
    fn units(values: &[T]) -> Cow<'_, [f32]> {
        T::widened(values)
    }

    #[inline(always)]
    fn row(values: &[T], out: &mut [f32]) {
        T::widen(values, out);
    }

    fn columns(values: &[T], stride: usize, rows: usize, depth: usize, out: &mut [f32], width: usize) {
        if let Ok(values) = bytemuck::try_cast_slice::<T, f32>(values)
            && size_of::<T>() == size_of::<f32>()
        {
            into_columns(values, stride, rows, depth, out, width);
            return;
        }
        let mut widened = Scratch::new(rows * depth);
        for (row, widened) in widened.chunks_exact_mut(depth.max(1)).enumerate() {
            T::widen(&values[row * stride..][..depth], widened);
        }
        into_columns(&widened, depth, rows, depth, out, width);
    }

    #[inline(always)]
    fn panel_row(values: &[T], _: usize, _: usize, length: usize, out: &mut [f32]) {
        let (there, padding) = out.split_at_mut(length);
        T::widen(&values[..length], there);
        padding.fill(0.0);
    }
}

impl Operand<Group> for bf16 {
    fn units(values: &[bf16]) -> Cow<'_, [Group]> {
        groups(values).into()
    }

    #[inline(always)]
    fn row(values: &[bf16], out: &mut [Group]) {
        out.copy_from_slice(groups(values));
    }

    fn columns(values: &[bf16], stride: usize, rows: usize, depth: usize, out: &mut [Group], width: usize) {
        let [stride, depth] = [stride, depth].map(|length| length / Group::VALUES);
        into_columns(groups(values), stride, rows, depth, out, width);
    }

    #[inline(always)]
    fn panel_row(values: &[bf16], stride: usize, rows: usize, length: usize, out: &mut [Group]) {
        out.fill([bf16::ZERO; Group::VALUES]);
        for row in 0..rows.min(Group::VALUES) {
            for (out, value) in out.iter_mut().zip(&values[row * stride..][..length]) {
                out[row] = *value;
            }
        }
    }
}

fn groups(values: &[bf16]) -> &[Group] {
    values.as_chunks().0
}
