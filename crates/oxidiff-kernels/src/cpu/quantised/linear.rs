//! Linear layers with weights in blocks, fused with the addition that follows.

use burn::tensor::DType;
use burn_flex::FlexTensor;
use half::bf16;
use pulp::Arch;

use super::activations::Activations;
use super::dequantised::{Dequantised, Widened};
use super::few_rows::{self, Weights};
use crate::cpu::channels_last::contiguous;
use crate::cpu::conversion::{CHUNK, Convert};
use crate::cpu::linear::Sum;
use crate::cpu::output::Output;
use crate::cpu::product::integers::{self, Rounded};
use crate::cpu::product::{Group, Integers, Matrix, Right, Size, Transposed, Unit, bf16_dot, multiply};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel_mut;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// With at most this many rows, weights are unpacked for each; with more, it pays off to widen each weight once for all of them.
const FEW_ROWS: usize = 8;
/// The same where they are not widened, but laid out for [`integers`].
const FEW_ROWS_OF_INTEGERS: usize = 24;

/// Whether whole numbers are multiplied, however many rows there are. In single precision only those of few rows are: a file with
/// numbers of 8 bits is as precise as activations of 8 bits, and their errors add up.
pub(crate) fn multiplies_integers(dtype: DType) -> bool {
    // Arm multiplies as many values of `bf16` at once as with `sdot`, but half as many as with `smmla`.
    let is_bf16_as_fast = cfg!(target_arch = "aarch64") && bf16_dot::are_there() && !integers::in_matrices();
    let others_are_as_fast = Group::in_matrix_registers() || is_bf16_as_fast;
    dtype != DType::F32 && integers::are_there() && !others_are_as_fast
}

/// `x Wᵀ + bias + residual`, a tensor of shape `dims`.
///
/// # Panics
/// When the bias does not have one value per feature.
pub(crate) fn linear<T: Storage>(
    (x, residual): (FlexTensor, Option<FlexTensor>),
    weights: Weights<'_>,
    bias: Option<Vec<f32>>,
    dims: &[usize],
) -> FlexTensor {
    let x = x.to_contiguous();
    let residual = residual.map(|residual| residual.to_contiguous());
    let (columns, depth) = (weights.rows, weights.depth);
    let rows: usize = dims[..dims.len() - 1].iter().product();
    let x = x.as_slice::<T>().expect("contiguous, of the matched type");
    let residual =
        residual.as_ref().map(|residual| residual.as_slice::<T>().expect("contiguous, of the matched type"));
    assert!(bias.as_ref().is_none_or(|bias| bias.len() == columns), "one bias per feature");

    let bytes = size_of::<T>() * (rows * depth + rows * columns) + weights.blocks.len();
    let _running = operation("quantised linear", 2.0 * (rows * depth * columns) as f64, bytes as f64);
    let output = Output::<T>::new(rows * columns);
    let sink = Sum { output: &output, bias: bias.as_deref(), residual, columns };
    let are_integers = multiplies_integers(T::dtype());
    let few_rows = if are_integers { FEW_ROWS_OF_INTEGERS } else { FEW_ROWS };
    if rows <= few_rows {
        few_rows::multiply(&Activations::new(x, depth), weights, &sink);
    } else if are_integers {
        many_rows::<Integers, T>(&Rounded(Matrix { values: x, rows, depth }), (weights, rows), &sink);
    } else if !bf16_dot::fits(depth) {
        many_rows::<f32, T>(&Matrix { values: x, rows, depth }, (weights, rows), &sink);
    } else if T::dtype() == DType::BF16 {
        let x = Matrix { values: bytemuck::cast_slice::<T, bf16>(x), rows, depth };
        many_rows::<Group, T>(&x, (weights, rows), &sink);
    } else {
        let x = Matrix { values: &rounded(x)[..], rows, depth };
        many_rows::<Group, T>(&x, (weights, rows), &sink);
    }
    contiguous::<T>(output.finish(), dims)
}

/// With the given number of rows of activations.
fn many_rows<U: Widened, T: Storage>(
    x: &impl Right<U>,
    (weights, rows): (Weights<'_>, usize),
    sink: &Sum<'_, T>,
) {
    let size = Size::new(weights.rows, weights.depth / U::VALUES, rows);
    multiply::<U, _, _, _>(&Dequantised(weights), x, &Transposed { sink, rows }, size);
}

/// The nearest values of fewer bits, for instructions that multiply them.
fn rounded<T: Storage>(values: &[T]) -> Scratch<bf16> {
    let mut rounded = Scratch::new(values.len());
    chunks_in_parallel_mut(&mut rounded, CHUNK, |index, out| {
        let values = &values[index * CHUNK..][..out.len()];
        Arch::new().dispatch(Convert { values, out });
    });
    rounded
}
