//! The gradients of the operations, for Burn's autodiff on the CPU.
//!
//! A tensor on `Device::flex().autodiff()` remembers the operations it came from. An operation of this crate on such tensors
//! computes its result with the kernel for the CPU, and registers one step with a [`Rule`] that knows the kernels for the
//! gradients. On every other backend, and for element types without a kernel, Burn differentiates the plain expression.

use burn::backend::Flex;
use burn::tensor::{DType, FloatDType, Tensor};
use burn_flex::FlexTensor;

/// Calls a kernel for the values of type `$dtype`; products of `bf16` in groups of values if `$in_groups`.
macro_rules! of_type {
    ($dtype:expr, $in_groups:expr, $module:ident::$kernel:ident($($argument:expr),*)) => {
        match $dtype {
            DType::BF16 if $in_groups => $module::$kernel::<bf16, Group>($($argument),*),
            DType::BF16 => $module::$kernel::<bf16, f32>($($argument),*),
            DType::F16 => $module::$kernel::<f16, f32>($($argument),*),
            _ => $module::$kernel::<f32, f32>($($argument),*),
        }
    };
}

mod accumulation;
pub(super) mod attention;
pub(super) mod convolution;
pub(super) mod geglu;
mod graph;
pub(super) mod images;
pub(super) mod linear;
pub(super) mod norms;
pub(crate) mod recomputation;
pub(super) mod rotation;
mod rule;
pub(super) mod swiglu;
#[cfg(test)]
mod testing;

use burn::backend::ops::FloatTensorOps;
use half::{bf16, f16};

use self::graph::Graph;
use self::rule::Rule;
use crate::cpu::channels_last::contiguous;
use crate::cpu::gradients::column_sums::column_sums;
use crate::cpu::storage::Storage;

/// Whether there are kernels for tensors of these types: all the same.
fn have_kernels<const N: usize>(dtypes: [Option<DType>; N]) -> bool {
    let mut dtypes = dtypes.into_iter().flatten();
    dtypes.next().is_some_and(|first| {
        matches!(first, DType::F32 | DType::F16 | DType::BF16) && dtypes.all(|dtype| dtype == first)
    })
}

/// A tensor that is on the CPU and has no autodiff.
fn on_cpu<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    tensor.try_into_primitive::<Flex>().expect("on the CPU, without autodiff")
}

/// The gradient of a bias of type `dtype` and shape `dims`: the sums over the rows of each item of `gradient`, which is contiguous,
/// `[items, rows, columns]`.
fn of_bias(gradient: &FlexTensor, shape: [usize; 3], dims: &[usize], dtype: DType) -> FlexTensor {
    fn sums<T: Storage>(gradient: &FlexTensor, shape: [usize; 3]) -> Vec<f32> {
        column_sums(gradient.as_slice::<T>().expect("contiguous, of the matched type"), shape)
    }
    let sums = match gradient.dtype() {
        DType::F16 => sums::<f16>(gradient, shape),
        DType::BF16 => sums::<bf16>(gradient, shape),
        _ => sums::<f32>(gradient, shape),
    };
    let sums = contiguous::<f32>(burn::tensor::Bytes::from_elems(sums), dims);
    if dtype == DType::F32 { sums } else { Flex::float_cast(sums, FloatDType::from(dtype)) }
}
