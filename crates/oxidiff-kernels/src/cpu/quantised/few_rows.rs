//! Products for a few rows of activations, which take the time in which the weights are read: whole numbers are multiplied, and
//! no value is widened.

use pulp::Scalar;

use super::activations::{ActivationChunk, Activations, Rows};
use super::chunk::{Blocks, Chunk, GROUPS};
use super::format::{QuantisedFormat, with_blocks};
use super::integer_dot::{self, Instructions};
use crate::cpu::prefetch::{LINE, prefetch};
use crate::cpu::product::Sink;
use crate::cpu::tasks::in_parallel;
use crate::host::scratch::Scratch;

/// Bytes between what is multiplied and what is fetched: the processor itself does not look beyond a page.
const AHEAD: usize = 3 << 10;
/// Tasks per thread.
const TASKS: usize = 8;

/// Rows of weights.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub format: QuantisedFormat,
    pub blocks: &'a [u8],
    pub rows: usize,
    /// Values in a row: a multiple of the block's.
    pub depth: usize,
}

impl Weights<'_> {
    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.format.row_bytes(self.depth).expect("rows of whole blocks")
    }
}

/// Gives `sink` the products of `activations` with each row of `weights`.
pub(crate) fn multiply<K: Sink>(activations: &Activations, weights: Weights<'_>, sink: &K) {
    multiply_with(integer_dot::best(), activations, weights, sink);
}

pub(super) fn multiply_with<K: Sink>(
    instructions: Instructions,
    activations: &Activations,
    weights: Weights<'_>,
    sink: &K,
) {
    let rows_per_task = weights.rows.div_ceil(TASKS * rayon::current_num_threads()).max(1);
    let row_bytes = weights.row_bytes();
    in_parallel(weights.rows.div_ceil(rows_per_task), &|task| {
        let first = task * rows_per_task;
        let rows = rows_per_task.min(weights.rows - first);
        let blocks = &weights.blocks[first * row_bytes..][..rows * row_bytes];
        let mut products = Scratch::new(activations.rows * rows);
        let some = SomeRows { blocks, row_bytes, rows, activations: activations.all() };
        with_blocks!(weights.format, B => integer_dot::multiply::<B>(instructions, some, &mut products));
        for (row, products) in products.chunks_exact(rows).enumerate() {
            sink.take(Scalar, row, first, products);
        }
    });
}

/// What a task multiplies.
#[derive(Clone, Copy)]
pub(super) struct SomeRows<'a> {
    pub blocks: &'a [u8],
    pub row_bytes: usize,
    pub rows: usize,
    pub activations: Rows<'a>,
}

impl SomeRows<'_> {
    /// Writes the product of each row of activations with each row of weights to `out` `[activation rows, weight rows]`. `dot` adds the
    /// product of a chunk to partial sums; it is told what to multiply with the sums of the activations.
    #[inline(always)]
    pub fn multiply<B: Blocks>(
        self,
        out: &mut [f32],
        dot: impl Fn(&Chunk, &ActivationChunk, &mut [f32; GROUPS]),
    ) {
        let Self { blocks, row_bytes, rows, activations } = self;
        let mut chunk = Chunk::ZERO;
        let mut sums = Scratch::new(activations.count * GROUPS);
        let sums = sums.as_chunks_mut::<GROUPS>().0;
        for row in 0..rows {
            sums.fill([0.0; GROUPS]);
            let blocks = &blocks[row * row_bytes..][..row_bytes];
            for (index, blocks) in blocks.chunks(B::CHUNK_BYTES).enumerate() {
                for line in (0..B::CHUNK_BYTES).step_by(4 * LINE) {
                    prefetch::<true, _>(blocks.as_ptr().wrapping_add(AHEAD + line));
                }
                B::unpack(blocks, &mut chunk);
                for (row, sums) in sums.iter_mut().enumerate() {
                    dot(&chunk, activations.chunk(row, index), sums);
                }
            }
            for (activation, sums) in sums.iter().enumerate() {
                out[activation * rows + row] = sums.iter().sum();
            }
        }
    }
}
