//! The kernels of portable GPUs (ROCm, Metal, Vulkan, WebGPU), written once in CubeCL for all of them.
//!
//! In CubeCL's words, a *unit* is a thread and a *cube* the units that share memory and wait for each other. A kernel uses at most
//! 256 units and 16 KiB of shared memory, which WebGPU guarantees, and assumes nothing about how many units run in step.
//!
//! Each operation is a function on Burn tensors that returns `None` where it has no kernel: on another kind of device, for an
//! element type that the device lacks, or for tensors without elements.

pub(crate) mod attention;
pub(crate) mod group_norm;
pub(crate) mod layer_norm;

use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::features::TypeUsage;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};

/// The most units of a cube.
const UNITS: usize = 256;

/// A tensor as kernels take it: its elements lie in the order of its dimensions.
#[derive(Clone)]
struct Operand {
    tensor: CubeTensor,
    element: ElemType,
}

impl Operand {
    /// The operand that a tensor is, if it is on a GPU and if kernels there can read its elements.
    fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let tensor = tensor.clone().try_into_primitive::<CubeBackend>().ok()?;
        let element = ElemType::Float(match tensor.dtype {
            DType::F32 => FloatKind::F32,
            DType::F16 => FloatKind::F16,
            DType::BF16 => FloatKind::BF16,
            _ => return None,
        });
        let properties = tensor.client.properties();
        let elements = tensor.meta.num_elements();
        // Kernels count elements in 32 bits.
        let fits = elements > 0
            && u32::try_from(elements).is_ok()
            && properties.hardware.max_units_per_cube as usize >= UNITS
            && properties.type_usage(element).is_superset(TypeUsage::Buffer | TypeUsage::Conversion);
        fits.then(|| Self { tensor: into_contiguous(tensor), element })
    }

    /// A new operand beside this one, with elements of the same type, which a kernel must write all of.
    fn empty(&self, shape: impl Into<Shape>) -> Self {
        let (client, device) = (self.tensor.client.clone(), self.tensor.device.clone());
        let tensor = empty_device_contiguous_dtype(client, device, shape.into(), self.tensor.dtype);
        Self { tensor, element: self.element }
    }

    fn device(&self) -> &CubeDevice {
        &self.tensor.device
    }

    fn client(&self) -> &Client {
        &self.tensor.client
    }

    fn argument(&self) -> BufferArg {
        self.tensor.clone().into_buffer_arg()
    }

    fn into_tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<CubeBackend>(self.tensor)
    }

    /// `count` cubes in a row, in as many rows as the device needs for it. The last row may have cubes to spare.
    fn cubes(&self, count: usize) -> CubeCount {
        let (most, ..) = self.client().properties().hardware.max_cube_count;
        let row = count.min(most as usize);
        CubeCount::Static(row as u32, count.div_ceil(row) as u32, 1)
    }
}

/// How many elements a kernel reads at once from rows of `length` elements.
fn vector_size(length: usize) -> usize {
    if length.is_multiple_of(4) { 4 } else { 1 }
}

/// The sum of the elements of a vector.
#[cube]
fn sum_lanes<N: Size>(vector: Vector<f32, N>) -> f32 {
    let mut sum = vector.extract(0usize);
    #[unroll]
    for lane in 1..N::value() {
        sum += vector.extract(lane);
    }
    sum
}

/// The sum of `value` over each run of `width` units of a cube, given to all of them. `width` is a power of two and divides the
/// number of units, and `shared` has an element for each unit. All units of a cube must call it.
#[cube]
fn sum_units(value: f32, shared: &mut Shared<[f32]>, #[comptime] width: usize) -> f32 {
    let unit = UNIT_POS as usize;
    // The last sum may still be read.
    sync_cube();
    shared[unit] = value;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(width.ilog2() as usize) {
        let half = comptime!(width >> (step + 1));
        if unit % width < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        sync_cube();
    }
    shared[unit - unit % width]
}

/// `x / (1 + e^-x)`.
#[cube]
fn silu<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    x / (Vector::new(1.0) + (-x).exp())
}
