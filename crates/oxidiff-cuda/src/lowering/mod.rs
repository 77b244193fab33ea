//! From Burn's record of a call to operations that there are kernels for.
//!
//! Each recorded tensor becomes a view of a buffer. Operations that only move elements become other views of the same buffer
//! where that is possible; copies are made where a kernel needs another layout.

mod capped_attention;
mod elementwise;
mod fused;
mod groups;
mod modules;
mod moving;

use std::collections::HashMap;

use burn::tensor::DType;
use burn_capture::CapturedGraph;
use burn_ir::{BaseOperationIr, OperationIr, TensorId, TensorIr};

use crate::error::{Error, Result};
use crate::graph::{Graph, Origin};
use crate::operation::Operation;
use crate::view::View;

/// The operations of a recorded call. `weights` are the tensors that stand for the weights of the model, in their order.
///
/// # Errors
/// When the record has an operation without a kernel.
pub fn lower(captured: &CapturedGraph, weights: &[TensorId]) -> Result<Graph> {
    let weights = weights.iter().enumerate().map(|(index, id)| (*id, index)).collect();
    let mut lowering =
        Lowering { captured, weights, graph: Graph::default(), views: HashMap::new(), known: HashMap::new() };
    for (index, id) in captured.graph.inputs.iter().enumerate() {
        let data = &captured.values[id];
        let shape: Vec<usize> = data.shape().iter().copied().collect();
        let bytes = shape.iter().product::<usize>() * data.dtype().size();
        let buffer = lowering.graph.add_buffer(bytes, Origin::Input(index));
        let view = View::contiguous(buffer, &shape, data.dtype());
        lowering.graph.inputs.push(view.clone());
        lowering.views.insert(*id, view);
    }
    captured.graph.operations.iter().try_for_each(|operation| lowering.operation(operation))?;
    for id in &captured.graph.outputs {
        let view = lowering.views.get(id).cloned().expect("a recorded output was computed");
        // A buffer of its own, in the order of the dimensions, as the caller reads it.
        let output = lowering.graph.contiguous(&view.shape, view.dtype);
        lowering.graph.operations.push(Operation::copy(view, output.clone()));
        lowering.graph.outputs.push(output);
    }
    Ok(lowering.graph)
}

struct Lowering<'a> {
    captured: &'a CapturedGraph,
    /// Which weight a tensor stands for.
    weights: HashMap<TensorId, usize>,
    graph: Graph,
    views: HashMap<TensorId, View>,
    /// The results of operations that were already added, so that none is computed twice.
    known: HashMap<String, View>,
}

impl Lowering<'_> {
    fn operation(&mut self, operation: &OperationIr) -> Result<()> {
        match operation {
            OperationIr::BaseFloat(operation) => self.base(operation),
            OperationIr::BaseInt(operation) => self.base(operation),
            OperationIr::BaseBool(operation) => self.base(operation),
            OperationIr::NumericFloat(_, operation) | OperationIr::NumericInt(_, operation) => {
                self.numeric(operation)
            }
            OperationIr::Float(_, operation) => self.float(operation),
            OperationIr::Bool(operation) => self.boolean(operation),
            OperationIr::Int(operation) => self.integer(operation),
            OperationIr::Activation(operation) => self.activation(operation),
            OperationIr::Module(operation) => self.module(operation),
            OperationIr::Custom(operation) => self.fused(operation),
            // Initial values are looked up when they are read.
            OperationIr::Init(_) | OperationIr::Drop(_) => Ok(()),
            OperationIr::Distributed(_) => Err(unsupported("distributed", operation)),
        }
    }

    /// The view of a tensor that was recorded before.
    fn view(&mut self, tensor: &TensorIr) -> View {
        if let Some(view) = self.views.get(&tensor.id) {
            return view.clone();
        }
        let shape: Vec<usize> = tensor.shape.iter().copied().collect();
        let data = self.captured.values.get(&tensor.id);
        let data = data.unwrap_or_else(|| panic!("tensor {} was recorded before it is used", tensor.id));
        let bytes = data.as_bytes().to_vec();
        let buffer = self.graph.add_buffer(bytes.len(), Origin::Constant(bytes));
        let view = View::contiguous(buffer, &shape, tensor.dtype);
        self.views.insert(tensor.id, view.clone());
        view
    }

    fn define(&mut self, tensor: &TensorIr, view: View) {
        debug_assert!(view.shape.iter().eq(tensor.shape.iter()), "{view:?} is {tensor:?}");
        self.views.insert(tensor.id, view);
    }

    /// A tensor without values yet: the place of a weight.
    fn empty(&mut self, tensor: &TensorIr) -> Result<()> {
        let shape: Vec<usize> = tensor.shape.iter().copied().collect();
        let bytes = shape.iter().product::<usize>() * tensor.dtype.size();
        let origin = match self.weights.get(&tensor.id) {
            Some(index) => Origin::Weight(*index),
            None => Origin::Computed,
        };
        let buffer = self.graph.add_buffer(bytes, origin);
        self.define(tensor, View::contiguous(buffer, &shape, tensor.dtype));
        Ok(())
    }

    /// Adds the operation that `make` makes for its result, a new tensor of `shape` with the dimensions in memory in the order
    /// `order`; if the same was computed before, returns that result.
    fn add(
        &mut self,
        shape: &[usize],
        order: &[usize],
        dtype: DType,
        make: impl Fn(View) -> Operation,
    ) -> View {
        let nowhere = View::ordered(crate::view::BufferId(usize::MAX), shape, order, dtype);
        let key = format!("{:?}", make(nowhere));
        if let Some(view) = self.known.get(&key) {
            return view.clone();
        }
        let y = self.graph.tensor(shape, order, dtype);
        self.graph.operations.push(make(y.clone()));
        self.known.insert(key, y.clone());
        y
    }

    /// As [`Self::add`], with the dimensions in memory in their own order.
    fn add_in_order(&mut self, shape: &[usize], dtype: DType, make: impl Fn(View) -> Operation) -> View {
        let order: Vec<usize> = (0..shape.len()).collect();
        self.add(shape, &order, dtype, make)
    }

    /// A copy of `view` with the dimensions in memory in the order `order`.
    fn copy(&mut self, view: &View, order: &[usize]) -> View {
        self.add(&view.shape, order, view.dtype, |y| Operation::copy(view.clone(), y))
    }

    /// `view` in the order of its dimensions.
    fn contiguous(&mut self, view: View) -> View {
        if view.is_contiguous() {
            return view;
        }
        self.add_in_order(&view.shape, view.dtype, |y| Operation::copy(view.clone(), y))
    }

    fn reshape(&mut self, view: View, shape: &[usize]) -> View {
        match view.reshape(shape) {
            Some(view) => view,
            None => self.contiguous(view).reshape(shape).expect("contiguous tensors take any shape"),
        }
    }

    /// `view` as rows of neighbouring elements.
    fn rows(&mut self, view: View) -> View {
        if view.rows().is_some() { view } else { self.contiguous(view) }
    }

    /// An image with the channels of a pixel together.
    fn pixels(&mut self, view: View) -> View {
        if view.pixels().is_some() { view } else { self.copy(&view, &CHANNELS_LAST) }
    }

    fn base(&mut self, operation: &BaseOperationIr) -> Result<()> {
        match operation {
            BaseOperationIr::Empty(it) => self.empty(&it.out),
            BaseOperationIr::Zeros(it) => self.fill(&it.out, 0.0),
            BaseOperationIr::Ones(it) => self.fill(&it.out, 1.0),
            BaseOperationIr::Cast(it) => self.cast(&it.input, &it.out),
            BaseOperationIr::Equal(_)
            | BaseOperationIr::EqualElem(_)
            | BaseOperationIr::NotEqual(_)
            | BaseOperationIr::NotEqualElem(_)
            | BaseOperationIr::MaskWhere(_)
            | BaseOperationIr::MaskFill(_) => self.choose(operation),
            _ => self.moved(operation),
        }
    }
}

/// The order in memory of an image whose channels are together.
const CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];

fn unsupported(kind: &str, operation: &impl std::fmt::Debug) -> Error {
    let text = format!("{operation:?}");
    let name: String = text.split(['{', '[']).next().unwrap_or_default().chars().take(80).collect();
    Error::unsupported(format!("{} ({kind})", name.trim_end_matches(['(', ' '])))
}
