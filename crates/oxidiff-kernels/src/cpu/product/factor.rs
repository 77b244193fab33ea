//! The two factors of a product.

use std::ops::Range;

use super::panel::Rows;
use crate::cpu::prefetch::Ahead;

/// The left matrix.
pub(crate) trait Left<U>: Sync {
    /// Whether [`Self::block`] copies, so that each block should be requested only once.
    fn copies(&self) -> bool;

    /// All but the last columns are requested in multiples of this many.
    fn depth_step(&self) -> usize {
        1
    }

    /// The given columns of the given rows. `scratch` has room for them.
    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U>;

    /// The memory that [`Self::block`] reads, to fetch it ahead of time. The rows may reach past the end.
    fn ahead(&self, rows: Range<usize>, columns: Range<usize>) -> [Ahead; 2] {
        let _ = (rows, columns);
        [Ahead::NONE; 2]
    }
}

/// The right matrix, in panels.
pub(crate) trait Right<U>: Sync {
    /// Writes the panel with this index: one row of `width` units per unit of depth.
    fn pack(&self, panel: usize, width: usize, out: &mut [U]);
}
