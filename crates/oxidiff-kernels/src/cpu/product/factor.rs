//! The two matrices that are multiplied.

use std::ops::Range;

use super::panel::Rows;

/// The left matrix.
pub(crate) trait Left<U>: Sync {
    /// Whether [`Self::block`] makes a copy, so that it should be asked for each block once only.
    fn copies(&self) -> bool;

    /// Some columns of some rows. `scratch` has room for them.
    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U>;
}

/// The right matrix, in panels.
pub(crate) trait Right<U>: Sync {
    /// Writes the panel of this index, as many rows of `width` units as the matrix is deep.
    fn pack(&self, panel: usize, width: usize, out: &mut [U]);
}
