//! The sizes of a convolution.

/// A convolution of an image padded with zeros on all sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvolutionShape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    pub stride: usize,
    pub padding: usize,
}

impl ConvolutionShape {
    /// Height and width of the result; `None` if the kernel does not fit.
    pub fn output(&self) -> Option<[usize; 2]> {
        let side = |dim: usize| {
            let room = (self.input[dim] + 2 * self.padding).checked_sub(self.kernel[dim])?;
            Some(room / self.stride + 1)
        };
        Some([side(0)?, side(1)?])
    }
}
