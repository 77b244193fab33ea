//! Tensors that are only made to be joined are written to their place at once.

use super::moved::{self, Move};
use crate::graph::{Graph, Origin};
use crate::operation::Operation;

/// Removes copies of whole tensors into columns of wider ones.
pub fn write_in_place(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.operations.len() {
        match in_place(graph, index) {
            Some(change) if moved::apply(graph, &change) => {
                // The copy now copies its target to itself.
                graph.operations.remove(index);
            }
            _ => index += 1,
        }
    }
}

/// The move that makes the copy at `index` unnecessary.
fn in_place(graph: &Graph, index: usize) -> Option<Move> {
    let Operation::Elementwise { program, inputs, y } = &graph.operations[index] else { return None };
    let [x] = &inputs[..] else { return None };
    if !program.is_copy() || x.dtype != y.dtype || x.buffer == y.buffer {
        return None;
    }
    let is_output = |buffer| graph.outputs.iter().any(|output| output.buffer == buffer);
    if graph.buffer(x.buffer).origin != Origin::Computed || is_output(x.buffer) || is_output(y.buffer) {
        return None;
    }
    // All of the source, as rows, to columns of the target.
    let own = x.rows_in_order()?;
    let target = y.permute(&x.order()).rows()?;
    let covers = x.offset == 0
        && own.pitch == own.columns
        && own.rows * own.columns * x.dtype.size() == graph.buffer(x.buffer).bytes;
    if !covers || target.pitch <= own.columns || (target.rows, target.columns) != (own.rows, own.columns) {
        return None;
    }
    Some(Move { from: x.buffer, columns: own.columns, to: y.buffer, pitch: target.pitch, first: y.offset })
        .filter(|change| change.first < change.pitch)
}
