//! Tensors that become a part of a wider one.

use crate::graph::Graph;
use crate::view::{BufferId, View};

/// Puts the rows of one buffer into columns of another.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// The buffer whose contents move.
    pub from: BufferId,
    /// Elements of its rows.
    pub columns: usize,
    /// Where they go.
    pub to: BufferId,
    /// Elements of the rows there.
    pub pitch: usize,
    /// The first column there.
    pub first: usize,
}

impl Move {
    /// The same elements of `view` where they are afterwards, if they can be told by strides. Other buffers stay.
    fn apply(&self, view: &View) -> Option<View> {
        if view.buffer != self.from {
            return Some(view.clone());
        }
        let strides = view.shape.iter().zip(&view.strides).map(|(&length, &stride)| match stride {
            _ if length == 1 => stride,
            _ if stride % self.columns == 0 => stride / self.columns * self.pitch,
            _ => stride,
        });
        let strides: Vec<usize> = strides.collect();
        // Steps within a row must stay within it.
        let reach: usize = view
            .shape
            .iter()
            .zip(&view.strides)
            .filter(|(length, stride)| **length > 1 && **stride % self.columns != 0)
            .map(|(length, stride)| (length - 1) * stride)
            .sum();
        let (row, column) = (view.offset / self.columns, view.offset % self.columns);
        if column + reach >= self.columns {
            return None;
        }
        Some(View {
            buffer: self.to,
            offset: row * self.pitch + self.first + column,
            strides,
            ..view.clone()
        })
    }
}

/// Applies `change` to all operations of `graph`, or to none if it does not fit one of them.
pub fn apply(graph: &mut Graph, change: &Move) -> bool {
    let uses = |operation: &crate::operation::Operation| {
        operation.writes().buffer == change.from
            || operation.reads().iter().any(|view| view.buffer == change.from)
    };
    let mut changed = Vec::new();
    for (index, operation) in graph.operations.iter().enumerate().filter(|(_, operation)| uses(operation)) {
        let mut operation = operation.clone();
        for view in operation.reads_mut() {
            match change.apply(view) {
                Some(moved) => *view = moved,
                None => return false,
            }
        }
        match change.apply(operation.writes()) {
            Some(moved) => *operation.writes_mut() = moved,
            None => return false,
        }
        if !operation.takes_its_views() {
            return false;
        }
        changed.push((index, operation));
    }
    changed.into_iter().for_each(|(index, operation)| graph.operations[index] = operation);
    true
}
