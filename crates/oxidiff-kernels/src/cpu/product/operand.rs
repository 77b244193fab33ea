//! Stored values as operands of a product.

use bytemuck::Zeroable;
use half::bf16;

use super::bf16_dot::Group;
use super::panel::Unit;
use crate::cpu::storage::Storage;
use crate::cpu::transpose::into_columns;
use crate::host::scratch::Scratch;

/// A storage type whose values are multiplied as units `U`. If a unit contains several values, the rows of both matrices must
/// consist of whole units.
pub(crate) trait Operand<U: Unit>: Storage {
    /// `values` as units, if they can be used without conversion.
    fn as_units(values: &[Self]) -> Option<&[U]>;

    /// Writes a row of a left matrix.
    fn copy_row(values: &[Self], out: &mut [U]);

    /// Writes `rows` rows of `values`, each `depth` values long and `stride` apart, as the first columns of a panel that is
    /// `width` units wide. The other columns do not change.
    ///
    /// # Panics
    /// When the rows or the columns reach past the end of their slice.
    fn columns(values: &[Self], stride: usize, rows: usize, depth: usize, out: &mut [U], width: usize);

    /// Writes rows of `values`, `stride` apart, as one row of a panel: a unit takes its values from successive rows, of which
    /// there are `rows`. Units from `length` on become zero, and so do values of rows from `rows` on.
    ///
    /// # Panics
    /// When the rows reach past the end of their slice.
    fn panel_row(values: &[Self], stride: usize, rows: usize, length: usize, out: &mut [U]);
}

impl<T: Storage> Operand<f32> for T {
    #[inline(always)]
    fn as_units(values: &[T]) -> Option<&[f32]> {
        if size_of::<T>() == size_of::<f32>() { bytemuck::try_cast_slice(values).ok() } else { None }
    }

    #[inline(always)]
    fn copy_row(values: &[T], out: &mut [f32]) {
        T::widen(values, out);
    }

    #[inline(always)]
    fn columns(values: &[T], stride: usize, rows: usize, depth: usize, out: &mut [f32], width: usize) {
        if let Some(values) = Self::as_units(values) {
            return into_columns(values, stride, rows, depth, out, width);
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
    #[inline(always)]
    fn as_units(values: &[bf16]) -> Option<&[Group]> {
        Some(groups(values))
    }

    #[inline(always)]
    fn copy_row(values: &[bf16], out: &mut [Group]) {
        out.copy_from_slice(groups(values));
    }

    fn columns(values: &[bf16], stride: usize, rows: usize, depth: usize, out: &mut [Group], width: usize) {
        let [stride, depth] = [stride, depth].map(|length| length / Group::VALUES);
        into_columns(groups(values), stride, rows, depth, out, width);
    }

    #[inline(always)]
    fn panel_row(values: &[bf16], stride: usize, rows: usize, length: usize, out: &mut [Group]) {
        let (there, padding) = out.split_at_mut(length);
        padding.fill(Group::zeroed());
        if rows < Group::VALUES {
            there.fill(Group::zeroed());
            for row in 0..rows {
                for (group, value) in there.iter_mut().zip(&values[row * stride..][..length]) {
                    group[row] = *value;
                }
            }
            return;
        }
        let rows: [&[bf16]; Group::VALUES] = std::array::from_fn(|row| &values[row * stride..][..length]);
        for (column, group) in there.iter_mut().enumerate() {
            *group = std::array::from_fn(|row| rows[row][column]);
        }
    }
}

fn groups(values: &[bf16]) -> &[Group] {
    values.as_chunks().0
}
