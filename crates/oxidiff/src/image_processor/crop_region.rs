//! A part of an image.

/// A rectangle of pixels: columns `x1` up to but not including `x2`, rows `y1` up to but not including `y2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropRegion {
    /// The first column.
    pub x1: u32,
    /// The first row.
    pub y1: u32,
    /// The column after the last.
    pub x2: u32,
    /// The row after the last.
    pub y2: u32,
}
