//! A graph with a place in memory for each buffer, and the moment at which each operation runs.

use std::collections::BTreeMap;

use crate::graph::{Graph, Origin};
use crate::levels::{Level, levels};
use crate::operation::Precision;
use crate::passes;
use crate::segments::{Segment, let_weights_pass, segments};
use crate::view::BufferId;

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Shares the arena of the call with others, from this byte on.
    Arena(usize),
    /// Has memory of its own: inputs, results, weights, and what is kept between calls.
    Own,
    /// Has no memory between the operations that read it: a weight that passes through the window of a [`Segment`].
    Passing,
    /// Is not used.
    Nowhere,
}

/// What a plan is made for beside a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Weights do not stay on the card but pass through a window of this many bytes.
    pub window: Option<usize>,
    /// How products are formed.
    pub precision: Precision,
}

/// A graph that is ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The operations, those of lower levels first.
    pub graph: Graph,
    /// What it was made for.
    pub settings: Settings,
    /// The level of each operation.
    pub levels: Vec<Level>,
    /// The place of each buffer.
    pub places: Vec<Place>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// The inputs that rarely change, by position.
    pub conditions: Vec<usize>,
    /// What runs after the weights are ready.
    pub segments: Vec<Segment>,
    /// Bytes of the window through which weights pass.
    pub window_bytes: usize,
}

/// Buffers start at multiples of this many bytes.
pub(crate) const ALIGNMENT: usize = 256;

impl Plan {
    /// Plans `graph`. `conditions` are the inputs that rarely change, by position.
    pub fn new(graph: Graph, conditions: &[usize], settings: Settings) -> Self {
        let mut graph = passes::simplify(graph, conditions);
        let levels = levels(&graph, conditions);
        let mut operations: Vec<_> = std::mem::take(&mut graph.operations).into_iter().zip(levels).collect();
        operations.sort_by_key(|(_, level)| *level);
        let levels: Vec<Level>;
        (graph.operations, levels) = operations.into_iter().unzip();
        let (mut places, arena_bytes) = lay_out(&graph, &levels);
        if settings.window.is_some() {
            let_weights_pass(&graph, &levels, &mut places);
        }
        let (segments, window_bytes) = segments(&graph, &levels, &places, settings.window.unwrap_or(0));
        let conditions = conditions.to_vec();
        Self { graph, settings, levels, places, arena_bytes, conditions, segments, window_bytes }
    }

    /// How many operations of which kind run when.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<(Level, &str), usize> = BTreeMap::new();
        for (operation, level) in self.graph.operations.iter().zip(&self.levels) {
            *counts.entry((*level, operation.name())).or_default() += 1;
        }
        let counted = counts.iter().map(|((level, name), count)| format!("{count} {name} ({level:?})"));
        counted.collect::<Vec<_>>().join(", ")
    }

    /// The space of [`Self::host_memory`] that holds a buffer, and its first byte there. For a weight that passes through the window, this
    /// is where it comes from.
    pub(crate) fn place(&self, buffer: BufferId) -> (usize, usize) {
        match self.places[buffer.0] {
            Place::Arena(start) => (0, start),
            Place::Own | Place::Passing | Place::Nowhere => (1 + buffer.0, 0),
        }
    }

    /// Memory on the CPU with the weights, inputs and constants in place: the arena, then one space for each buffer, then the window.
    pub(crate) fn host_memory(&self, weights: &[&[u8]], inputs: &[&[u8]]) -> Vec<Vec<u8>> {
        // What was not written yet is not a number.
        let mut memory = vec![vec![0xff; self.arena_bytes]];
        for (buffer, place) in self.graph.buffers.iter().zip(&self.places) {
            memory.push(match (&buffer.origin, place) {
                (_, Place::Arena(_) | Place::Nowhere) => Vec::new(),
                (Origin::Input(index), _) => inputs[*index].to_vec(),
                (Origin::Weight(index), _) => weights[*index].to_vec(),
                (Origin::Constant(bytes), _) => bytes.clone(),
                (Origin::Computed, _) => vec![0xff; buffer.bytes],
            });
        }
        memory.push(vec![0xff; self.window_bytes]);
        memory
    }
}

/// Gives each buffer its place: those that are only used within a call share the arena, two of them at one place if one is dead
/// before the other is written.
fn lay_out(graph: &Graph, levels: &[Level]) -> (Vec<Place>, usize) {
    struct Life {
        buffer: usize,
        first: usize,
        last: usize,
    }
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; graph.buffers.len()];
    let mut in_call = vec![true; graph.buffers.len()];
    for (index, operation) in graph.operations.iter().enumerate() {
        for view in operation.reads().into_iter().chain([operation.writes()]) {
            let life = lives[view.buffer.0].get_or_insert((index, index));
            life.1 = index;
            in_call[view.buffer.0] &= levels[index] == Level::Call;
        }
    }
    let mut places = vec![Place::Nowhere; graph.buffers.len()];
    let mut sharing = Vec::new();
    for (buffer, life) in lives.iter().enumerate() {
        let Some((first, last)) = *life else { continue };
        let is_output = graph.outputs.iter().any(|output| output.buffer.0 == buffer);
        if graph.buffers[buffer].origin == Origin::Computed && in_call[buffer] && !is_output {
            sharing.push(Life { buffer, first, last });
        } else {
            places[buffer] = Place::Own;
        }
    }
    // Large ones first: they are the hardest to place.
    sharing.sort_by_key(|life| std::cmp::Reverse(graph.buffers[life.buffer].bytes));
    let mut placed: Vec<(usize, usize, Life)> = Vec::new();
    let mut arena_bytes = 0;
    for life in sharing {
        let bytes = graph.buffers[life.buffer].bytes.next_multiple_of(ALIGNMENT);
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, other)| other.first <= life.last && life.first <= other.last)
            .map(|(start, end, _)| (*start, *end))
            .collect();
        taken.sort_unstable();
        let mut start = 0;
        for (from, to) in taken {
            if start + bytes <= from {
                break;
            }
            start = start.max(to);
        }
        arena_bytes = arena_bytes.max(start + bytes);
        places[life.buffer] = Place::Arena(start);
        placed.push((start, start + bytes, life));
    }
    (places, arena_bytes)
}
