//! Linear layers, fused with the addition that follows.

use burn_flex::FlexTensor;
use pulp::Simd;

use super::channels_last::contiguous;
use super::output::Output;
use super::product::{Matrix, Operand, Sink, Unit, multiply_rows};
use super::storage::Storage;
use super::vector::store_sums;
use crate::host::breakdown::operation;

/// `x Wᵀ + bias + residual`, a tensor of shape `dims`.
///
/// # Panics
/// When the bias does not have one value per feature.
pub(crate) fn linear<T: Operand<U>, U: Unit>(
    (x, weight, residual): (FlexTensor, FlexTensor, Option<FlexTensor>),
    bias: Option<Vec<f32>>,
    dims: &[usize],
) -> FlexTensor {
    let (x, weight) = (in_order::<T>(x), in_order::<T>(weight));
    let residual = residual.map(in_order::<T>);
    let shape = weight.layout().shape();
    let (columns, depth) = (shape[0], shape[1]);
    let rows = dims[..dims.len() - 1].iter().product();
    let x = x.as_slice::<T>().expect("contiguous, of the matched type");
    let weight = weight.as_slice::<T>().expect("contiguous, of the matched type");
    let residual =
        residual.as_ref().map(|residual| residual.as_slice::<T>().expect("contiguous, of the matched type"));
    assert!(bias.as_ref().is_none_or(|bias| bias.len() == columns), "one bias per feature");

    let bytes = size_of::<T>() * (rows * depth + columns * depth + rows * columns);
    let _running = operation("linear", 2.0 * (rows * depth * columns) as f64, bytes as f64);
    let output = Output::<T>::new(rows * columns);
    let sink = Sum { output: &output, bias: bias.as_deref(), residual, columns };
    let weight = Matrix { values: weight, rows: columns, depth };
    multiply_rows::<T, U, _>(&Matrix { values: x, rows, depth }, &weight, &sink);
    contiguous::<T>(output.finish(), dims)
}

/// The tensor with its values next to each other. A part of another tensor, such as some rows of a weight, is not copied.
fn in_order<T: Storage>(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<T>().is_some() { tensor } else { tensor.to_contiguous() }
}

/// Stores the sums after adding bias and residual.
pub(crate) struct Sum<'a, T> {
    pub output: &'a Output<T>,
    pub bias: Option<&'a [f32]>,
    pub residual: Option<&'a [T]>,
    pub columns: usize,
}

impl<T: Storage> Sink for Sum<'_, T> {
    #[inline(always)]
    fn take<S: Simd>(&self, simd: S, row: usize, first: usize, values: &[f32]) {
        let count = values.len().min(self.columns - first);
        let start = row * self.columns + first;
        let bias = self.bias.map(|bias| &bias[first..first + count]);
        let residual = self.residual.map(|residual| &residual[start..start + count]);
        // SAFETY: every value of the product is given once.
        store_sums(simd, &values[..count], bias, residual, unsafe { self.output.part(start, count) });
    }
}
