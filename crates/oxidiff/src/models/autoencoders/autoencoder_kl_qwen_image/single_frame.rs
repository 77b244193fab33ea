//! Causal convolutions of videos, applied to a single frame.
//!
//! Before the first frame of a video, a causal convolution sees zeros. So of a single frame, only the last slice of its kernel
//! in time sees anything, and the convolution is one of images with that slice as its kernel.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{Addends, conv2d};

use crate::models::layers::parameter;

/// A convolution of videos with stride 1 that preserves the size.
#[derive(Module, Debug)]
pub(super) struct CausalConv3d {
    /// `[out_channels, in_channels, frames, height, width]`.
    pub weight: Param<Tensor<5>>,
    /// `[out_channels]`.
    pub bias: Param<Tensor<1>>,
}

impl CausalConv3d {
    /// A convolution whose kernel is a cube.
    pub fn init(in_channels: usize, out_channels: usize, kernel: usize, device: &Device) -> Self {
        Self::with_kernel(in_channels, out_channels, [kernel; 3], device)
    }

    /// A convolution with a kernel of so many frames, rows and columns.
    pub fn with_kernel(
        in_channels: usize,
        out_channels: usize,
        [frames, height, width]: [usize; 3],
        device: &Device,
    ) -> Self {
        let bound = 1.0 / ((in_channels * frames * height * width) as f64).sqrt();
        Self {
            weight: parameter::uniform([out_channels, in_channels, frames, height, width], bound, device),
            bias: parameter::uniform([out_channels], bound, device),
        }
    }

    /// A frame `[batch, in_channels, height, width]` to `[batch, out_channels, height, width]`, plus `residual` of that shape.
    pub fn forward_added(&self, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let weight = self.weight.val();
        let [out_channels, in_channels, frames, height, width] = weight.dims();
        let weight = weight.narrow(2, frames - 1, 1).reshape([out_channels, in_channels, height, width]);
        let addends = Addends { bias: Some(self.bias.val()), item_bias: None, residual };
        conv2d(x, weight, addends, 1, height / 2)
    }

    /// Like [`Self::forward_added`], without a residual.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_added(x, None)
    }
}

/// The module with only those slices of its kernels that a single frame needs, side by side in memory: to be made once for all
/// tiles of an image.
pub(super) fn for_single_frames<M: Module>(module: &M) -> M {
    module.clone().map(&mut LastSlices)
}

struct LastSlices;

impl ModuleMapper for LastSlices {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D != 5 {
            return param;
        }
        param.map(|weight| {
            let mut shape = weight.dims();
            let last = weight.narrow(2, shape[2] - 1, 1);
            shape[2] = 1;
            let values: Tensor<1> = last.reshape([shape.iter().product::<usize>()]);
            values.reshape(shape)
        })
    }
}
