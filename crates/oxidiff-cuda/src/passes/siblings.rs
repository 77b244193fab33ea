//! Linear layers of the same input become one: queries, keys and values; keys and values of a text in all blocks; the embedding of
//! the timestep for all residual blocks.

use std::collections::{HashMap, HashSet};

use super::moved::{self, Move};
use crate::graph::{Graph, Origin};
use crate::operation::{Activation, Convolution, Operation};
use crate::view::BufferId;

/// Joins them.
pub fn join(graph: &mut Graph) {
    let mut tried = HashSet::new();
    while let Some((input, group)) = next_group(graph, &tried) {
        join_group(graph, &group);
        tried.insert(input);
    }
}

/// The first group of linear layers of one input that is not among those in `tried`, with a name for the input.
fn next_group(graph: &Graph, tried: &HashSet<String>) -> Option<(String, Vec<usize>)> {
    let fixed = fixed_buffers(graph);
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    let mut by_input: HashMap<String, usize> = HashMap::new();
    for (index, operation) in graph.operations.iter().enumerate() {
        let Operation::Convolution(it) = operation else { continue };
        let bias_is_fixed = it.bias.as_ref().is_none_or(|bias| fixed[bias.buffer.0]);
        if !is_plain_linear(it) || !fixed[it.weight.buffer.0] || !bias_is_fixed {
            continue;
        }
        let input = format!("{:?} {}", it.x, it.bias.is_some());
        let group = *by_input.entry(input.clone()).or_insert_with(|| {
            groups.push((input, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(index);
    }
    groups.into_iter().find(|(input, group)| group.len() > 1 && !tried.contains(input))
}

/// Which buffers depend on nothing but weights and constants.
fn fixed_buffers(graph: &Graph) -> Vec<bool> {
    let mut fixed: Vec<bool> =
        graph.buffers.iter().map(|buffer| !matches!(buffer.origin, Origin::Input(_))).collect();
    for operation in &graph.operations {
        let all = operation.reads().iter().all(|view| fixed[view.buffer.0]);
        fixed[operation.writes().buffer.0] &= all;
    }
    fixed
}

fn is_plain_linear(it: &Convolution) -> bool {
    it.weight.shape[2..] == [1, 1]
        && it.x.shape[0] == 1
        && it.x.shape[2] == 1
        && (it.stride, it.padding, it.upsample) == (1, 0, 1)
        && it.item_bias.is_none()
        && it.residual.is_none()
        && it.activation == Activation::None
        && !it.gate
}

fn join_group(graph: &mut Graph, group: &[usize]) {
    let members: Vec<Convolution> = group
        .iter()
        .map(|&index| match &graph.operations[index] {
            Operation::Convolution(it) => (**it).clone(),
            _ => unreachable!("groups hold linear layers"),
        })
        .collect();
    if members.iter().any(|it| graph.outputs.iter().any(|output| output.buffer == it.y.buffer)) {
        return;
    }
    let first = &members[0];
    let (in_features, rows, dtype) = (first.x.shape[1], first.x.shape[3], first.x.dtype);
    let features: Vec<usize> = members.iter().map(|it| it.y.shape[1]).collect();
    let total: usize = features.iter().sum();
    let before = graph.clone();

    // Results side by side.
    let y = graph.tensor(&[1, total, 1, rows], &[0, 2, 3, 1], dtype);
    let mut start = 0;
    for (member, &columns) in members.iter().zip(&features) {
        let change = Move { from: member.y.buffer, columns, to: y.buffer, pitch: total, first: start };
        if member.y.pixels().is_none_or(|own| own.pitch != columns || member.y.offset != 0)
            || !moved::apply(graph, &change)
        {
            *graph = before;
            return;
        }
        start += columns;
    }
    // Weights one below the other.
    let mut copies = Vec::new();
    let weight = graph.contiguous(&[total, 1, 1, in_features], dtype).permute(&[0, 3, 1, 2]);
    let bias = first.bias.as_ref().map(|_| graph.contiguous(&[total], dtype));
    let mut start = 0;
    for (member, &rows) in members.iter().zip(&features) {
        copies.push(Operation::copy(member.weight.clone(), weight.slice(0, start, rows, 1)));
        if let (Some(all), Some(own)) = (&bias, &member.bias) {
            copies.push(Operation::copy(own.clone(), all.slice(0, start, rows, 1)));
        }
        start += rows;
    }
    let joined = Convolution { weight, bias, y, ..first.clone() };
    let at = group[0];
    graph.operations[at] = Operation::Convolution(Box::new(joined));
    for &index in group[1..].iter().rev() {
        graph.operations.remove(index);
    }
    graph.operations.splice(at..at, copies);
    // What is made later in the list must come before.
    let sources = members.iter().flat_map(|it| [Some(&it.weight), it.bias.as_ref()]).flatten();
    hoist(graph, sources.map(|view| view.buffer).collect(), at);
}

/// Moves those operations after position `at` that `wanted` depend on to it.
fn hoist(graph: &mut Graph, mut wanted: Vec<BufferId>, at: usize) {
    let mut moved = Vec::new();
    let mut index = graph.operations.len();
    while index > at {
        index -= 1;
        if wanted.contains(&graph.operations[index].writes().buffer) {
            wanted.extend(graph.operations[index].reads().iter().map(|view| view.buffer));
            moved.push(index);
        }
    }
    let taken: Vec<Operation> = moved.iter().map(|&index| graph.operations.remove(index)).collect();
    graph.operations.splice(at..at, taken.into_iter().rev());
}
