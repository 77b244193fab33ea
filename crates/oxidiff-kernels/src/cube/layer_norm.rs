//! Layer normalization and root mean square normalization.

use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::ir::ElemType;
use burn_cubecl::cubecl::prelude::*;

use super::{Operand, UNITS, silu, sum_lanes, sum_units, vector_size};

/// [`crate::layer_norm`], where there is a kernel for it.
///
/// Shapes: `x` `[..., features]`, `weight` and `bias` `[features]`; the result is as `x`.
pub(crate) fn layer_norm<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let [x_operand, weight, bias] = [Operand::of(x)?, Operand::of(weight)?, Operand::of(bias)?];
    if weight.element != bias.element || [&weight, &bias].iter().any(|it| it.device() != x_operand.device()) {
        return None;
    }
    let (y, rows) = (x_operand.empty(x.dims()), Rows::of(x.dims()));
    // SAFETY: the kernel reads and writes only rows of `x` that it checks to exist, and as many parameters as a row has elements.
    unsafe {
        layer_norm_kernel::launch_unchecked(
            x_operand.client(),
            x_operand.cubes(rows.cubes()),
            CubeDim::new_1d(UNITS as u32),
            rows.vector_size,
            x_operand.argument(),
            weight.argument(),
            bias.argument(),
            y.argument(),
            rows.count as u32,
            epsilon as f32,
            rows.vectors,
            rows.units,
            [x_operand.element, weight.element],
        );
    }
    Some(y.into_tensor())
}

/// [`crate::rms_norm`], where there is a kernel for it; then SiLU, if `with_silu`.
///
/// Shapes: `x` `[..., features]`, `weight` `[features]`; the result is as `x`.
pub(crate) fn rms_norm<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<1>,
    epsilon: f64,
    with_silu: bool,
) -> Option<Tensor<D>> {
    let (x_operand, weight) = (Operand::of(x)?, Operand::of(weight)?);
    if weight.device() != x_operand.device() {
        return None;
    }
    let (y, rows) = (x_operand.empty(x.dims()), Rows::of(x.dims()));
    // SAFETY: as for `layer_norm_kernel`.
    unsafe {
        rms_norm_kernel::launch_unchecked(
            x_operand.client(),
            x_operand.cubes(rows.cubes()),
            CubeDim::new_1d(UNITS as u32),
            rows.vector_size,
            x_operand.argument(),
            weight.argument(),
            y.argument(),
            rows.count as u32,
            epsilon as f32,
            rows.vectors,
            rows.units,
            with_silu,
            [x_operand.element, weight.element],
        );
    }
    Some(y.into_tensor())
}

/// How the rows of a tensor are divided among units.
struct Rows {
    count: usize,
    vector_size: usize,
    /// Vectors in a row.
    vectors: usize,
    /// Units for a row: a power of two, so that each has about four vectors.
    units: usize,
}

impl Rows {
    fn of<const D: usize>(shape: [usize; D]) -> Self {
        let features = shape[D - 1];
        let vector_size = vector_size(features);
        let vectors = features / vector_size;
        let units = vectors.div_ceil(4).next_power_of_two().min(UNITS);
        Self { count: shape[..D - 1].iter().product(), vector_size, vectors, units }
    }

    fn cubes(&self) -> usize {
        self.count.div_ceil(UNITS / self.units)
    }
}

/// Where a unit's row begins, in vectors, and where it ends. Units without a row get one of no length: they must still wait with the
/// others.
#[cube]
fn row(rows: u32, #[comptime] vectors: usize, #[comptime] units: usize) -> (usize, usize) {
    let row = CUBE_POS * comptime!(UNITS / units) + UNIT_POS as usize / units;
    let exists = row < rows as usize;
    let start = select(exists, row * vectors, 0usize);
    (start, select(exists, start + vectors, 0usize))
}

/// Shapes, in vectors: `x` and `y` `[rows, vectors]`, `weight` and `bias` `[vectors]`.
#[cube(launch_unchecked)]
fn layer_norm_kernel<T: Float, P: Float, N: Size>(
    x: &[Vector<T, N>],
    weight: &[Vector<P, N>],
    bias: &[Vector<P, N>],
    y: &mut [Vector<T, N>],
    rows: u32,
    epsilon: f32,
    #[comptime] vectors: usize,
    #[comptime] units: usize,
    #[define(T, P)] _elements: [ElemType; 2],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let lane = UNIT_POS as usize % units;
    let (start, end) = row(rows, vectors, units);
    let features = f32::cast_from((vectors * N::value()) as u32);

    // Sums of differences from one of the values keep their digits if the mean is far from 0.
    let shift = Vector::<f32, N>::new(f32::cast_from(x[start].extract(0usize)));
    let mut sum = Vector::<f32, N>::new(0.0);
    for index in range_stepped(start + lane, end, units) {
        sum += Vector::cast_from(x[index]) - shift;
    }
    let mean = shift + Vector::new(sum_units(sum_lanes(sum), &mut shared, units) / features);

    let mut squares = Vector::<f32, N>::new(0.0);
    for index in range_stepped(start + lane, end, units) {
        let centred = Vector::<f32, N>::cast_from(x[index]) - mean;
        squares += centred * centred;
    }
    let variance = sum_units(sum_lanes(squares), &mut shared, units) / features;
    let scale = Vector::<f32, N>::new(1.0 / (variance + epsilon).sqrt());

    for index in range_stepped(start + lane, end, units) {
        let normalized = (Vector::<f32, N>::cast_from(x[index]) - mean) * scale;
        let weighted = normalized * Vector::cast_from(weight[index - start]);
        y[index] = Vector::cast_from(weighted + Vector::cast_from(bias[index - start]));
    }
}

/// Shapes, in vectors: `x` and `y` `[rows, vectors]`, `weight` `[vectors]`.
#[cube(launch_unchecked)]
fn rms_norm_kernel<T: Float, P: Float, N: Size>(
    x: &[Vector<T, N>],
    weight: &[Vector<P, N>],
    y: &mut [Vector<T, N>],
    rows: u32,
    epsilon: f32,
    #[comptime] vectors: usize,
    #[comptime] units: usize,
    #[comptime] with_silu: bool,
    #[define(T, P)] _elements: [ElemType; 2],
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let lane = UNIT_POS as usize % units;
    let (start, end) = row(rows, vectors, units);
    let features = f32::cast_from((vectors * N::value()) as u32);

    let mut squares = Vector::<f32, N>::new(0.0);
    for index in range_stepped(start + lane, end, units) {
        let value = Vector::<f32, N>::cast_from(x[index]);
        squares += value * value;
    }
    let mean = sum_units(sum_lanes(squares), &mut shared, units) / features;
    let scale = Vector::<f32, N>::new(1.0 / (mean + epsilon).sqrt());

    for index in range_stepped(start + lane, end, units) {
        let normalized = Vector::<f32, N>::cast_from(x[index]) * scale;
        let weighted = normalized * Vector::cast_from(weight[index - start]);
        y[index] = if comptime!(with_silu) {
            Vector::cast_from(silu(weighted))
        } else {
            Vector::cast_from(weighted)
        };
    }
}
