//! Linear layers, fused with the addition or the gate that follows.

use burn_flex::FlexTensor;
use pulp::Simd;

use super::channels_last::contiguous;
use super::geglu::store_gated;
use super::output::Output;
use super::product::{Matrix, Operand, Right, Sink, Size, Unit, multiply, multiply_rows, panel};
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
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let residual = residual.map(|residual| residual.to_contiguous());
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

/// Stores the sums after adding bias and residual.
struct Sum<'a, T> {
    output: &'a Output<T>,
    bias: Option<&'a [f32]>,
    residual: Option<&'a [T]>,
    columns: usize,
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

/// GEGLU of a linear layer, a tensor of shape `dims`: the first half of `weight` and `bias` gives the values, the second the
/// gates.
///
/// # Panics
/// When the bias does not have two values per feature.
pub(crate) fn linear_geglu<T: Operand<U>, U: Unit>(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<Vec<f32>>,
    dims: [usize; 3],
) -> FlexTensor {
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let features = dims[2];
    let depth = weight.layout().shape()[1];
    let x = x.as_slice::<T>().expect("contiguous, of the matched type");
    let values = weight.as_slice::<T>().expect("contiguous, of the matched type");
    assert!(bias.as_ref().is_none_or(|bias| bias.len() == 2 * features), "one bias per feature");

    let rows = dims[0] * dims[1];
    let bytes = size_of::<T>() * (rows * depth + 2 * features * depth + rows * features);
    let _running = operation("linear + GEGLU", 4.0 * (rows * depth * features) as f64, bytes as f64);
    let output = Output::<T>::new(rows * features);
    let half_width = panel::widths().0 / 2;
    let size = Size { rows, depth: depth / U::VALUES, panels: features.div_ceil(half_width) };
    let right = ValuesAndGates { weight: Matrix { values, rows: 2 * features, depth }, features };
    let sink = Gated { output: &output, bias: bias.as_deref(), features };
    multiply::<U, _, _, _>(&Matrix { values: x, rows, depth }, &right, &sink, size);
    contiguous::<T>(output.finish(), &dims)
}

/// Panels whose first half are values, and whose second half are the gates of these values.
struct ValuesAndGates<'a, T> {
    weight: Matrix<'a, T>,
    features: usize,
}

impl<T: Operand<U>, U: Unit> Right<U> for ValuesAndGates<'_, T> {
    fn pack(&self, panel: usize, width: usize, out: &mut [U]) {
        let half = width / 2;
        let first = panel * half;
        let count = half.min(self.features - first);
        if count < half {
            out.fill(U::zeroed());
        }
        self.weight.pack_rows(first, count, width, out);
        self.weight.pack_rows(self.features + first, count, width, &mut out[half..]);
    }
}

/// Stores the gated values.
struct Gated<'a, T> {
    output: &'a Output<T>,
    bias: Option<&'a [f32]>,
    features: usize,
}

impl<T: Storage> Sink for Gated<'_, T> {
    #[inline(always)]
    fn take<S: Simd>(&self, simd: S, row: usize, first: usize, values: &[f32]) {
        let (first, half) = (first / 2, values.len() / 2);
        let count = half.min(self.features - first);
        let (values, gates) = values.split_at(half);
        let biases =
            self.bias.map(|bias| [first, self.features + first].map(|start| &bias[start..][..count]));
        // SAFETY: every value of the product is given once.
        let out = unsafe { self.output.part(row * self.features + first, count) };
        store_gated(simd, [values, gates], biases, out);
    }
}
