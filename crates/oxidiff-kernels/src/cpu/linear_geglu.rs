//! GEGLU of a linear layer: the gate is applied while the product is stored.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::Simd;

use super::channels_last::contiguous;
use super::geglu::store_gated;
use super::output::Output;
use super::prefetch::Ahead;
use super::product::{Left, Matrix, Operand, Right, Rows, Sink, Size, Transposed, Unit, multiply, panel};
use super::storage::Storage;
use crate::host::breakdown::operation;

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
    let x = Matrix { values: x, rows, depth };
    let weight = ValuesAndGates { weight: Matrix { values, rows: 2 * features, depth }, features };
    let sink = Gated { output: &output, bias: bias.as_deref(), features };
    // As in `multiply_rows`, the smaller matrix is packed.
    if rows < 2 * features {
        let size = Size::new(2 * features, depth / U::VALUES, rows);
        multiply::<U, _, _, _>(&weight, &x, &Transposed { sink: &sink, rows }, size);
    } else {
        let panels = features.div_ceil(panel::widths().0 / 2);
        multiply::<U, _, _, _>(&x, &weight, &sink, Size { rows, depth: depth / U::VALUES, panels });
    }
    contiguous::<T>(output.finish(), &dims)
}

/// The weight, arranged so that values meet their gates: the first half of a panel, or of a block of rows, are values, and the
/// second half are the gates of these values.
struct ValuesAndGates<'a, T> {
    weight: Matrix<'a, T>,
    features: usize,
}

impl<T: Operand<U>, U: Unit> Right<U> for ValuesAndGates<'_, T> {
    fn pack(&self, panel: usize, width: usize, depth: Range<usize>, out: &mut [U]) {
        let half = width / 2;
        let [first, end] = [panel * half, ((panel + 1) * half).min(self.features)];
        if end - first < half {
            out.fill(U::zeroed());
        }
        self.weight.pack_rows(first..end, depth.clone(), width, out);
        self.weight.pack_rows(self.features + first..self.features + end, depth, width, &mut out[half..]);
    }
}

impl<T: Operand<U>, U: Unit> Left<U> for ValuesAndGates<'_, T> {
    fn copies(&self) -> bool {
        Left::<U>::copies(&self.weight)
    }

    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U> {
        let stride = columns.len();
        let columns = columns.start * U::VALUES..columns.end * U::VALUES;
        let features = rows.start / 2..rows.end / 2;
        let gates = features.clone().map(|feature| self.features + feature);
        for (row, out) in features.chain(gates).zip(scratch.chunks_exact_mut(stride.max(1))) {
            T::copy_row(&self.weight.values[row * self.weight.depth..][columns.clone()], out);
        }
        Rows { values: scratch, stride }
    }

    fn ahead(&self, rows: Range<usize>, columns: Range<usize>) -> [Ahead; 2] {
        [0, self.features].map(|first| {
            let rows = first + rows.start / 2..first + rows.end / 2;
            self.weight.rows_ahead(rows, columns.start * U::VALUES..columns.end * U::VALUES)
        })
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
