//! Descriptions of tensors for the copy engine of Hopper cards, as plain data. The driver encodes them.

use super::Element;

/// Everything that `cuTensorMapEncodeTiled` or `cuTensorMapEncodeIm2col` takes. Out-of-bounds elements read as zero,
/// elements are not interleaved, and 128 bytes of the innermost dimension are swizzled in shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// The type of the elements.
    pub element: Element,
    /// Address of the first element, a multiple of 16.
    pub address: u64,
    /// Elements in each dimension, the innermost first.
    pub dims: Vec<u64>,
    /// Bytes from one element to the next in each dimension but the innermost, multiples of 16.
    pub strides: Vec<u64>,
    /// The step in each dimension.
    pub element_strides: Vec<u32>,
    /// What one copy brings.
    pub copy: Copy,
}

/// What one bulk copy brings to shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copy {
    /// A box of so many elements in each dimension.
    Box(Vec<u32>),
    /// Consecutive pixels of images (`cuTensorMapEncodeIm2col`; the dimensions are channels, width, height, batch).
    Pixels {
        /// First position of a kernel's corner, x and y (negative: padding).
        lower: [i32; 2],
        /// Last position of a kernel's corner, relative to the image's last pixel, x and y.
        upper: [i32; 2],
        /// Channels of a pixel.
        channels: u32,
        /// Pixels.
        pixels: u32,
    },
}

impl TensorMap {
    /// Bytes of an encoded map, which lies at a multiple of 64.
    pub const BYTES: usize = 128;
}
