//! A model's call as a list of operations on buffers.

use burn::tensor::DType;

use crate::operation::Operation;
use crate::view::{BufferId, View};

/// Where the contents of a buffer come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// An input of the call, by its position.
    Input(usize),
    /// A weight of the model, by its position.
    Weight(usize),
    /// Values that are the same in each call.
    Constant(Vec<u8>),
    /// An operation of the graph writes it.
    Computed,
}

/// A buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// How many bytes.
    pub bytes: usize,
    /// Where the contents come from.
    pub origin: Origin,
}

/// The operations of a call in their order, and the buffers that they work on.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The operations.
    pub operations: Vec<Operation>,
    /// The buffers, which [`BufferId`] counts.
    pub buffers: Vec<Buffer>,
    /// The inputs, contiguous.
    pub inputs: Vec<View>,
    /// The results, contiguous, each in a buffer of its own.
    pub outputs: Vec<View>,
}

impl Graph {
    /// Adds a buffer of `bytes`.
    pub fn add_buffer(&mut self, bytes: usize, origin: Origin) -> BufferId {
        self.buffers.push(Buffer { bytes, origin });
        BufferId(self.buffers.len() - 1)
    }

    /// A new computed tensor with the dimensions in memory in the order `order`.
    pub fn tensor(&mut self, shape: &[usize], order: &[usize], dtype: DType) -> View {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        let buffer = self.add_buffer(bytes, Origin::Computed);
        View::ordered(buffer, shape, order, dtype)
    }

    /// A new computed tensor with the dimensions in memory in their own order.
    pub fn contiguous(&mut self, shape: &[usize], dtype: DType) -> View {
        let order: Vec<usize> = (0..shape.len()).collect();
        self.tensor(shape, &order, dtype)
    }

    /// The buffer `id`.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }
}
