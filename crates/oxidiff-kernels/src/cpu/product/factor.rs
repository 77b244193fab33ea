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
    /// All but the last rows are requested in multiples of this many.
    fn depth_step(&self) -> usize {
        1
    }

    /// Writes the given rows of the panel with this index: `width` units for each.
    fn pack(&self, panel: usize, width: usize, depth: Range<usize>, out: &mut [U]);

    /// The memory that [`Self::pack`] reads, to fetch it ahead of time. The panels may reach past the end.
    fn ahead(&self, panels: Range<usize>, width: usize, depth: Range<usize>) -> Ahead {
        let _ = (panels, width, depth);
        Ahead::NONE
    }
}
