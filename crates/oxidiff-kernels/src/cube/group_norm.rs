//! Group normalization. A small group is the work of one cube. A large one is divided into parts of a cube each, so that the whole
//! device works even on a single image: one launch for the statistics of the parts, and one that joins them and normalizes.

use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::ir::ElemType;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

use super::{Operand, UNITS, silu, sum_lanes, sum_units, vector_size};
use crate::cpu::norm::GroupNormActivation;

/// The most elements of a part.
const PART: usize = 8192;

/// [`crate::group_norm`], where there is a kernel for it.
///
/// Shapes: `x` `[batch, channels, height, width]`, `weight` and `bias` `[channels]`; the result is as `x`.
pub(crate) fn group_norm(
    x: &Tensor<4>,
    groups: usize,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    epsilon: f64,
    activation: GroupNormActivation,
) -> Option<Tensor<4>> {
    let shape @ [batch, channels, height, width] = x.dims();
    let [x, weight, bias] = [Operand::of(x)?, Operand::of(weight)?, Operand::of(bias)?];
    if weight.element != bias.element || [&weight, &bias].iter().any(|it| it.device() != x.device()) {
        return None;
    }
    let y = x.empty(shape);
    let vector_size = vector_size(height * width);
    let pixels = height * width / vector_size;
    let group = channels / groups * pixels;
    let part = group.div_ceil(group.div_ceil(PART / vector_size));
    let parts = group.div_ceil(part);
    let layout =
        || LayoutLaunch::new(group as u32, part as u32, parts as u32, pixels as u32, channels as u32);
    let cubes = x.cubes(batch * groups * parts);
    let (client, units) = (x.client(), CubeDim::new_1d(UNITS as u32));
    let with_silu = activation == GroupNormActivation::Silu;
    let elements = [x.element, weight.element];

    if parts == 1 {
        // SAFETY: the kernels read and write only groups that they check to exist, and parameters of channels of `x`.
        unsafe {
            whole_groups::launch_unchecked(
                client,
                cubes,
                units,
                vector_size,
                x.argument(),
                weight.argument(),
                bias.argument(),
                y.argument(),
                layout(),
                (batch * groups) as u32,
                epsilon as f32,
                with_silu,
                elements,
            );
        }
        return Some(y.into_tensor());
    }
    let shape = [batch * groups * parts, 2].into();
    let statistics = empty_device_contiguous_dtype(client.clone(), x.device().clone(), shape, DType::F32);
    // SAFETY: as above; there are two statistics for each part.
    unsafe {
        part_statistics::launch_unchecked(
            client,
            cubes.clone(),
            units,
            vector_size,
            x.argument(),
            statistics.clone().into_buffer_arg(),
            layout(),
            (batch * groups) as u32,
            x.element,
        );
        parts_of_groups::launch_unchecked(
            client,
            cubes,
            units,
            vector_size,
            x.argument(),
            statistics.into_buffer_arg(),
            weight.argument(),
            bias.argument(),
            y.argument(),
            layout(),
            (batch * groups) as u32,
            epsilon as f32,
            with_silu,
            elements,
        );
    }
    Some(y.into_tensor())
}

/// How the vectors of `x` are divided.
#[derive(CubeType, CubeLaunch)]
struct Layout {
    /// Vectors of a group.
    group: u32,
    /// Vectors of a part; the last part of a group may have fewer.
    part: u32,
    /// Parts of a group.
    parts: u32,
    /// Vectors of a channel.
    pixels: u32,
    /// Channels of an image.
    channels: u32,
}

/// Shapes, in vectors: `x` and `y` `[batch, channels, pixels]`; `weight` and `bias` `[channels]`.
#[cube(launch_unchecked)]
fn whole_groups<T: Float, P: Float, N: Size>(
    x: &[Vector<T, N>],
    weight: &[P],
    bias: &[P],
    y: &mut [Vector<T, N>],
    layout: Layout,
    groups: u32,
    epsilon: f32,
    #[comptime] with_silu: bool,
    #[define(T, P)] _elements: [ElemType; 2],
) {
    let group = CUBE_POS;
    if group < groups as usize {
        let mut shared = Shared::<[f32]>::new_slice(UNITS);
        let start = group * layout.group as usize;
        let end = start + layout.group as usize;
        let (mean, squares) = statistics(x, start, end, &mut shared);
        let variance = squares / f32::cast_from(layout.group * N::value() as u32);
        let scale = 1.0 / (variance + epsilon).sqrt();
        normalize(x, weight, bias, y, &layout, start, end, mean, scale, with_silu);
    }
}

/// Writes the mean of each part, and the sum of the squares of its values' differences from that mean.
///
/// Shapes, in vectors: `x` `[batch, channels, pixels]`; `output` `[batch * groups * parts, 2]`.
#[cube(launch_unchecked)]
fn part_statistics<T: Float, N: Size>(
    x: &[Vector<T, N>],
    output: &mut [f32],
    layout: Layout,
    groups: u32,
    #[define(T)] _element: ElemType,
) {
    let group = CUBE_POS / layout.parts as usize;
    if group < groups as usize {
        let mut shared = Shared::<[f32]>::new_slice(UNITS);
        let (start, end) = bounds(&layout, group, CUBE_POS % layout.parts as usize);
        let (mean, squares) = statistics(x, start, end, &mut shared);
        if UNIT_POS == 0 {
            output[2 * CUBE_POS] = mean;
            output[2 * CUBE_POS + 1] = squares;
        }
    }
}

/// Shapes, in vectors: `x` and `y` `[batch, channels, pixels]`; `weight` and `bias` `[channels]`; `statistics` as
/// `part_statistics` writes them.
#[cube(launch_unchecked)]
fn parts_of_groups<T: Float, P: Float, N: Size>(
    x: &[Vector<T, N>],
    statistics: &[f32],
    weight: &[P],
    bias: &[P],
    y: &mut [Vector<T, N>],
    layout: Layout,
    groups: u32,
    epsilon: f32,
    #[comptime] with_silu: bool,
    #[define(T, P)] _elements: [ElemType; 2],
) {
    let parts = layout.parts as usize;
    let group = CUBE_POS / parts;
    if group < groups as usize {
        let mut shared = Shared::<[f32]>::new_slice(UNITS);
        let count = f32::cast_from(layout.group);
        let first = 2 * group * parts;

        // Chan et al. 1983: the means of the parts, relative to the first of them, then the squares around the mean of all.
        let shift = statistics[first];
        let mut sum = 0.0f32;
        for part in range_stepped(UNIT_POS as usize, parts, UNITS) {
            let (start, end) = bounds(&layout, group, part);
            sum += f32::cast_from((end - start) as u32) * (statistics[first + 2 * part] - shift);
        }
        let mean = shift + sum_units(sum, &mut shared, UNITS) / count;
        let mut squares = 0.0f32;
        for part in range_stepped(UNIT_POS as usize, parts, UNITS) {
            let (start, end) = bounds(&layout, group, part);
            let values = f32::cast_from((end - start) as u32) * f32::cast_from(N::value() as u32);
            let off = statistics[first + 2 * part] - mean;
            squares += statistics[first + 2 * part + 1] + values * off * off;
        }
        let variance = sum_units(squares, &mut shared, UNITS) / (count * f32::cast_from(N::value() as u32));
        let scale = 1.0 / (variance + epsilon).sqrt();

        let (start, end) = bounds(&layout, group, CUBE_POS % parts);
        normalize(x, weight, bias, y, &layout, start, end, mean, scale, with_silu);
    }
}

/// Where a part of a group begins and ends, in vectors.
#[cube]
fn bounds(layout: &Layout, group: usize, part: usize) -> (usize, usize) {
    let length = layout.group as usize;
    let start = min(part * layout.part as usize, length);
    let end = min(start + layout.part as usize, length);
    (group * length + start, group * length + end)
}

/// The mean of the values of these vectors, and the sum of the squares of their differences from it. All units must call it.
#[cube]
fn statistics<T: Float, N: Size>(
    x: &[Vector<T, N>],
    start: usize,
    end: usize,
    shared: &mut Shared<[f32]>,
) -> (f32, f32) {
    let unit = UNIT_POS as usize;
    let count = f32::cast_from((end - start) as u32) * f32::cast_from(N::value() as u32);
    // Sums of differences from one of the values keep their digits if the mean is far from 0.
    let shift = f32::cast_from(x[start].extract(0usize));
    let mut sum = Vector::<f32, N>::new(0.0);
    for index in range_stepped(start + unit, end, UNITS) {
        sum += Vector::cast_from(x[index]) - Vector::new(shift);
    }
    let mean = shift + sum_units(sum_lanes(sum), shared, UNITS) / count;
    let mut squares = Vector::<f32, N>::new(0.0);
    for index in range_stepped(start + unit, end, UNITS) {
        let centred = Vector::<f32, N>::cast_from(x[index]) - Vector::new(mean);
        squares += centred * centred;
    }
    (mean, sum_units(sum_lanes(squares), shared, UNITS))
}

/// Normalizes these vectors and applies the parameters of their channels, then SiLU.
#[cube]
fn normalize<T: Float, P: Float, N: Size>(
    x: &[Vector<T, N>],
    weight: &[P],
    bias: &[P],
    y: &mut [Vector<T, N>],
    layout: &Layout,
    start: usize,
    end: usize,
    mean: f32,
    scale: f32,
    #[comptime] with_silu: bool,
) {
    for index in range_stepped(start + UNIT_POS as usize, end, UNITS) {
        let channel = index / layout.pixels as usize % layout.channels as usize;
        let normalized = (Vector::<f32, N>::cast_from(x[index]) - Vector::new(mean)) * Vector::new(scale);
        let weighted = normalized * Vector::new(f32::cast_from(weight[channel]))
            + Vector::new(f32::cast_from(bias[channel]));
        y[index] = if comptime!(with_silu) {
            Vector::cast_from(silu(weighted))
        } else {
            Vector::cast_from(weighted)
        };
    }
}
