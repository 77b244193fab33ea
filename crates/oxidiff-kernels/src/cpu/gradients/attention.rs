//! The backward of attention (Dao 2023, <https://arxiv.org/abs/2307.08691>, algorithm 2): the weights of the keys are computed
//! again, block by block.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::attention::{HeadLayout, Heads, KEY_BLOCK, QUERY_BLOCK, STRIDE, scale_to_base_2};
use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::exp2;
use crate::cpu::output::Output;
use crate::cpu::prefetch::Ahead;
use crate::cpu::product::panel::{self, VECTORS};
use crate::cpu::product::{Operand, Rows, Unit};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::{chunks_in_parallel_mut, in_parallel};
use crate::cpu::transpose::into_columns;
use crate::cpu::vector::MOST_LANES;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// If there are fewer heads, their queries are divided into chunks until there are about this many tasks. Each chunk has sums of
/// its own for keys and values, which are then added in the order of the chunks. So the result depends on this number, but not on
/// that of the threads.
const TASKS: usize = 32;

/// What the forward keeps.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub query: FlexTensor,
    pub key: FlexTensor,
    pub value: FlexTensor,
    pub output: FlexTensor,
    /// The second result of [`attention_with_logarithms`](crate::cpu::attention::attention_with_logarithms).
    pub logarithms: FlexTensor,
}

/// The gradients of query, key and value, as far as they are `wanted`, given that of the result.
pub(crate) fn attention<T: Operand<U>, U: Unit>(
    kept: Kept,
    gradient: FlexTensor,
    heads: usize,
    wanted: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let Kept { query, key, value, output, logarithms } = kept;
    let tensors = [query, key, value, output, gradient].map(|tensor| tensor.to_contiguous());
    let [query, key, value, output, gradient] =
        tensors.each_ref().map(|tensor| Heads::<T>::of(tensor, heads));
    let logarithms = logarithms.to_contiguous();
    let logarithms = logarithms.as_slice::<f32>().expect("kept in f32");
    let inputs = Inputs { query, key, value, output, gradient, logarithms, wanted };

    let batch = tensors[0].layout().shape()[0];
    let pairs = batch * heads;
    let (queries, keys) = (query.layout.tokens, key.layout.tokens);
    let (dim, value_dim) = (query.layout.dim, value.layout.dim);
    let products = pairs * queries * keys * (3 * dim + 2 * value_dim);
    let bytes = size_of::<T>() * pairs * (queries + keys) * 2 * (dim + value_dim);
    let _running = operation("attention's backward", 2.0 * products as f64, bytes as f64);

    let layouts = [query.layout, key.layout, value.layout];
    let gradients: [Output<T>; 3] = std::array::from_fn(|input| {
        let len = pairs * layouts[input].tokens * layouts[input].dim;
        Output::new(if wanted[input] { len } else { 0 })
    });
    let [query_gradient, key_gradient, value_gradient] = &gradients;

    let (width, _) = panel::widths();
    let panels = keys.div_ceil(width);
    let blocks = queries.div_ceil(QUERY_BLOCK).max(1);
    let chunks = TASKS.div_ceil(pairs.max(1)).min(blocks);
    let chunk_start = |chunk: usize| (chunk * blocks / chunks * QUERY_BLOCK).min(queries);
    let key_sums_len = if wanted[1] { panels * width * dim } else { 0 };
    let value_sums_len = if wanted[2] { panels * width * value_dim } else { 0 };
    let sums_len = key_sums_len + value_sums_len;
    // Heads per round: enough to give each thread several tasks.
    let at_once = (4 * rayon::current_num_threads()).div_ceil(chunks).min(pairs).max(1);
    let mut sums = Scratch::new(at_once * chunks * sums_len);
    for first in (0..pairs).step_by(at_once) {
        let count = at_once.min(pairs - first);
        let prepared: Vec<KeysOfHead<U>> =
            (first..first + count).into_par_iter().map(|head| KeysOfHead::new(&inputs, head)).collect();
        let run = |task: usize, sums: &mut [f32]| {
            let (index, chunk) = (task / chunks, task % chunks);
            let (key_sums, value_sums) = sums.split_at_mut(key_sums_len);
            Arch::new().dispatch(Chunk {
                inputs: &inputs,
                keys: &prepared[index],
                head: first + index,
                queries: chunk_start(chunk)..chunk_start(chunk + 1),
                key_sums,
                value_sums,
                query_gradient,
            });
        };
        if sums_len == 0 {
            in_parallel(count * chunks, &|task| run(task, &mut []));
            continue;
        }
        chunks_in_parallel_mut(&mut sums[..count * chunks * sums_len], sums_len, |task, sums| {
            run(task, sums)
        });
        let sums = &sums[..];
        in_parallel(count * panels, &|task| {
            let (index, panel) = (task / panels, task % panels);
            let tokens = panel * width..((panel + 1) * width).min(keys);
            let chunks = sums[index * chunks * sums_len..][..chunks * sums_len].chunks_exact(sums_len);
            let total = |start: usize, len: usize| {
                let mut total = Scratch::zeros(len);
                for chunk in chunks.clone() {
                    for (total, value) in total.iter_mut().zip(&chunk[start + panel * len..][..len]) {
                        *total += value;
                    }
                }
                total
            };
            let head = first + index;
            // SAFETY: each key and value of each head is written by one task.
            unsafe {
                if wanted[1] {
                    let mut total = total(0, width * dim);
                    let scale = inputs.scale();
                    total.iter_mut().for_each(|sum| *sum *= scale);
                    write_columns(&total, width, key_gradient, key.layout, head, tokens.clone());
                }
                if wanted[2] {
                    let total = total(key_sums_len, width * value_dim);
                    write_columns(&total, width, value_gradient, value.layout, head, tokens);
                }
            }
        });
    }
    let mut inputs = wanted.into_iter().zip(layouts);
    gradients.map(|gradient| {
        let (wanted, HeadLayout { tokens, dim, .. }) = inputs.next().expect("as many as gradients");
        wanted.then(|| contiguous::<T>(gradient.finish(), &[batch, tokens, heads * dim]))
    })
}

/// Writes a panel's columns, one for each token, as rows.
///
/// # Safety
/// No other thread may access these tokens of this head at the same time.
unsafe fn write_columns<T: Storage>(
    columns: &[f32],
    width: usize,
    output: &Output<T>,
    layout: HeadLayout,
    head: usize,
    tokens: Range<usize>,
) {
    let mut rows = Scratch::new(tokens.len() * layout.dim);
    into_columns(columns, width, layout.dim, tokens.len(), &mut rows, layout.dim);
    for (token, row) in tokens.zip(rows.chunks_exact(layout.dim.max(1))) {
        // SAFETY: as the caller promises.
        unsafe { output.write(layout.start(head, token), row) };
    }
}

#[derive(Clone, Copy)]
struct Inputs<'a, T> {
    query: Heads<'a, T>,
    key: Heads<'a, T>,
    value: Heads<'a, T>,
    /// The result of the forward.
    output: Heads<'a, T>,
    /// The gradient of the result.
    gradient: Heads<'a, T>,
    logarithms: &'a [f32],
    wanted: [bool; 3],
}

impl<T> Inputs<'_, T> {
    /// The factor of the scores.
    fn scale(&self) -> f32 {
        1.0 / (self.query.layout.dim as f32).sqrt()
    }

    /// Whether the gradients of the scores are needed.
    fn wants_scores(&self) -> bool {
        self.wanted[0] || self.wanted[1]
    }
}

/// Keys and values of a head, arranged for the products with them.
struct KeysOfHead<U> {
    keys: Scratch<U>,
    /// The keys in columns, block by block.
    key_columns: Scratch<U>,
    values: Scratch<U>,
}

impl<U: Unit> KeysOfHead<U> {
    fn new<T: Operand<U>>(inputs: &Inputs<'_, T>, head: usize) -> Self {
        let HeadLayout { tokens, dim, .. } = inputs.key.layout;
        let value_dim = inputs.value.layout.dim;
        let columns_len = tokens.div_ceil(KEY_BLOCK) * dim * STRIDE / U::VALUES;
        let mut this = Self {
            keys: Scratch::new(tokens * dim / U::VALUES),
            key_columns: Scratch::new(if inputs.wanted[0] { columns_len } else { 0 }),
            values: Scratch::new(if inputs.wants_scores() { tokens * value_dim / U::VALUES } else { 0 }),
        };
        inputs.key.rows(head, &mut this.keys);
        inputs.key.column_blocks(head, &mut this.key_columns);
        inputs.value.rows(head, &mut this.values);
        this
    }
}

/// A chunk of the queries of one head: writes their gradients and sums up those of keys and values.
///
/// For each panel of queries and block of keys there are weights and gradients of scores, with a row per key as in the forward.
/// Multiplied with columns of the keys they give the gradients of the queries. Transposed, with a row per query, they give those
/// of keys and values, by products with columns of the queries and of the result's gradient.
struct Chunk<'a, T, U> {
    inputs: &'a Inputs<'a, T>,
    keys: &'a KeysOfHead<U>,
    /// Counted through all items.
    head: usize,
    queries: Range<usize>,
    /// The gradients of the keys before scaling, `[panel][dimension][key]`; empty if they are not wanted.
    key_sums: &'a mut [f32],
    /// Those of the values.
    value_sums: &'a mut [f32],
    query_gradient: &'a Output<T>,
}

impl<T: Operand<U>, U: Unit> WithSimd for Chunk<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { inputs, keys: prepared, head, queries, key_sums, value_sums, query_gradient } = self;
        let [wants_query, wants_key, wants_value] = inputs.wanted;
        let wants_scores = inputs.wants_scores();
        let HeadLayout { tokens: key_count, dim, .. } = inputs.key.layout;
        let value_dim = inputs.value.layout.dim;
        let width = panel::width::<S>();
        let (depth, value_depth, stride) = (dim / U::VALUES, value_dim / U::VALUES, STRIDE / U::VALUES);
        key_sums.fill(0.0);
        value_sums.fill(0.0);

        let mut block = QueryBlock::<U>::new(dim, value_dim, width);
        let mut weights = Scratch::new(KEY_BLOCK * width);
        let mut scores = Scratch::new(KEY_BLOCK * width);
        let mut rounded = Scratch::<U>::new(if U::VALUES == 1 { 0 } else { KEY_BLOCK / U::VALUES * width });
        let key_panels = KEY_BLOCK / width;
        let mut weight_rows = Scratch::new(if wants_value { key_panels * QUERY_BLOCK * width } else { 0 });
        let mut score_rows = Scratch::new(if wants_key { key_panels * QUERY_BLOCK * width } else { 0 });
        let mut sums = Scratch::new(if wants_query { QUERY_BLOCK * dim } else { 0 });
        let scale = simd.splat_f32s(scale_to_base_2(dim));

        for first_query in queries.clone().step_by(QUERY_BLOCK) {
            let queries = first_query..(first_query + QUERY_BLOCK).min(queries.end);
            block.load(simd, inputs, head, queries.clone());
            sums.fill(0.0);
            let query_units = queries.len().div_ceil(U::VALUES);
            for first_key in (0..key_count).step_by(KEY_BLOCK) {
                let count = KEY_BLOCK.min(key_count - first_key);
                let units = count.div_ceil(U::VALUES);
                let keys = Rows { values: &prepared.keys[first_key * depth..], stride: depth };
                for panel in 0..queries.len().div_ceil(width) {
                    let there = width.min(queries.len() - panel * width);
                    let lanes = panel * width..(panel + 1) * width;
                    let columns = &block.queries[panel * width * depth..][..width * depth];
                    multiply(simd, [count, depth], keys, columns, &mut weights, false);
                    weigh(simd, &mut weights[..count * width], scale, &block.logarithms[lanes.clone()]);
                    if wants_value {
                        spread(&weights, count, there, panel, width, &mut weight_rows);
                    }
                    if !wants_scores {
                        continue;
                    }
                    let values = &prepared.values[first_key * value_depth..];
                    let values = Rows { values, stride: value_depth };
                    let columns = &block.gradients[panel * width * value_depth..][..width * value_depth];
                    multiply(simd, [count, value_depth], values, columns, &mut scores, false);
                    differentiate(simd, &mut scores[..count * width], &weights, &block.products[lanes]);
                    if wants_key {
                        spread(&scores, count, there, panel, width, &mut score_rows);
                    }
                    if wants_query {
                        // Keys past the end count as zero.
                        scores[count * width..units * U::VALUES * width].fill(0.0);
                        let scores = U::panel(&scores[..units * U::VALUES * width], width, &mut rounded);
                        let columns = &prepared.key_columns[first_key / KEY_BLOCK * dim * stride..];
                        let sums = &mut sums[panel * dim * width..][..dim * width];
                        multiply(simd, [dim, units], Rows { values: columns, stride }, scores, sums, true);
                    }
                }
                // A loop: the body of a closure that is called twice would not use the vectors of this function.
                let for_values = wants_value.then_some((
                    &mut weight_rows[..],
                    &block.gradient_columns[..],
                    value_dim,
                    &mut value_sums[..],
                ));
                let for_keys = wants_key.then_some((
                    &mut score_rows[..],
                    &block.query_columns[..],
                    dim,
                    &mut key_sums[..],
                ));
                for (rows, columns, dim, sums) in [for_values, for_keys].into_iter().flatten() {
                    let columns = Rows { values: columns, stride };
                    for panel in 0..count.div_ceil(width) {
                        let rows =
                            &mut rows[panel * QUERY_BLOCK * width..][..query_units * U::VALUES * width];
                        // Queries past the end count as zero.
                        rows[queries.len() * width..].fill(0.0);
                        let rows = U::panel(rows, width, &mut rounded);
                        let sums = &mut sums[(first_key / width + panel) * dim * width..][..dim * width];
                        multiply(simd, [dim, query_units], columns, rows, sums, true);
                    }
                }
            }
            if wants_query {
                let factor = inputs.scale();
                sums.iter_mut().for_each(|sum| *sum *= factor);
                for (panel, first) in queries.clone().step_by(width).enumerate() {
                    let tokens = first..(first + width).min(queries.end);
                    let sums = &sums[panel * dim * width..][..dim * width];
                    // SAFETY: each query of each head is written by one task.
                    unsafe { write_columns(sums, width, query_gradient, inputs.query.layout, head, tokens) };
                }
            }
        }
    }
}

/// [`panel::multiply`] of rows and depth, into rows without gaps.
#[inline(always)]
fn multiply<S: Simd, U: Unit>(
    simd: S,
    [rows, depth]: [usize; 2],
    left: Rows<'_, U>,
    panel: &[U],
    out: &mut [f32],
    add: bool,
) {
    panel::multiply(simd, rows, depth, left, panel, [Ahead::NONE; 3], out, panel::width::<S>(), add);
}

/// A block of queries, arranged for the products with them.
struct QueryBlock<U> {
    /// Panels of queries side by side.
    queries: Scratch<U>,
    /// Panels of the result's gradients.
    gradients: Scratch<U>,
    query_columns: Scratch<U>,
    gradient_columns: Scratch<U>,
    logarithms: [f32; QUERY_BLOCK],
    /// Products of each query's result and its gradient.
    products: [f32; QUERY_BLOCK],
}

impl<U: Unit> QueryBlock<U> {
    fn new(dim: usize, value_dim: usize, width: usize) -> Self {
        let panels = QUERY_BLOCK.div_ceil(width);
        let [queries, gradients] = [dim, value_dim].map(|dim| Scratch::new(panels * width * dim / U::VALUES));
        let [query_columns, gradient_columns] =
            [dim, value_dim].map(|dim| Scratch::new(dim * STRIDE / U::VALUES));
        let (logarithms, products) = ([0.0; QUERY_BLOCK], [0.0; QUERY_BLOCK]);
        Self { queries, gradients, query_columns, gradient_columns, logarithms, products }
    }

    #[inline(always)]
    fn load<S: Simd, T: Operand<U>>(
        &mut self,
        simd: S,
        inputs: &Inputs<'_, T>,
        head: usize,
        queries: Range<usize>,
    ) {
        let width = panel::width::<S>();
        let panels = |heads: &Heads<'_, T>, out: &mut [U]| {
            let panels = out.chunks_exact_mut((width * heads.layout.dim / U::VALUES).max(1));
            for (first, panel) in queries.clone().step_by(width).zip(panels) {
                heads.panel(head, first..(first + width).min(queries.end), panel, width);
            }
        };
        let stride = STRIDE / U::VALUES;
        panels(&inputs.query, &mut self.queries);
        let logarithms = &inputs.logarithms[head * inputs.query.layout.tokens..][queries.clone()];
        self.logarithms[..logarithms.len()].copy_from_slice(logarithms);
        if inputs.wanted[2] {
            inputs.gradient.columns(head, queries.clone(), &mut self.gradient_columns, stride);
        }
        if inputs.wanted[1] {
            inputs.query.columns(head, queries.clone(), &mut self.query_columns, stride);
        }
        if inputs.wants_scores() {
            panels(&inputs.gradient, &mut self.gradients);
            let padded = inputs.value.layout.dim.next_multiple_of(MOST_LANES);
            let mut rows = [Scratch::zeros(padded), Scratch::zeros(padded)];
            for (query, product) in queries.zip(&mut self.products) {
                for (heads, row) in [&inputs.output, &inputs.gradient].into_iter().zip(&mut rows) {
                    T::widen(heads.row(head, query), &mut row[..heads.layout.dim]);
                }
                *product = dot(simd, &rows[0], &rows[1]);
            }
        }
    }
}

/// The sum of the products of whole vectors.
#[inline(always)]
fn dot<S: Simd>(simd: S, left: &[f32], right: &[f32]) -> f32 {
    let mut sum = simd.splat_f32s(0.0);
    for (left, right) in S::as_simd_f32s(left).0.iter().zip(S::as_simd_f32s(right).0) {
        sum = simd.mul_add_e_f32s(*left, *right, sum);
    }
    simd.reduce_sum_f32s(sum)
}

/// Replaces scores, a row per key, by the weights that they had in the forward.
#[inline(always)]
fn weigh<S: Simd>(simd: S, scores: &mut [f32], scale: S::f32s, logarithms: &[f32]) {
    let mut shifts = vectors::<S>(simd, logarithms);
    for shift in &mut shifts {
        *shift = simd.neg_f32s(*shift);
    }
    for row in S::as_mut_simd_f32s(scores).0.chunks_exact_mut(VECTORS) {
        for (score, shift) in row.iter_mut().zip(shifts) {
            *score = exp2(simd, simd.mul_add_e_f32s(*score, scale, shift));
        }
    }
}

/// Replaces the gradients of weights, a row per key, by those of the scaled scores: `weight * (gradient - product)`, where
/// `product` is that of the query's result and its gradient.
#[inline(always)]
fn differentiate<S: Simd>(simd: S, gradients: &mut [f32], weights: &[f32], products: &[f32]) {
    let products = vectors::<S>(simd, products);
    let weights = S::as_simd_f32s(weights).0.chunks_exact(VECTORS);
    for (row, weights) in S::as_mut_simd_f32s(gradients).0.chunks_exact_mut(VECTORS).zip(weights) {
        for ((gradient, weight), product) in row.iter_mut().zip(weights).zip(products) {
            *gradient = simd.mul_f32s(*weight, simd.sub_f32s(*gradient, product));
        }
    }
}

/// The values of a panel's row.
#[inline(always)]
fn vectors<S: Simd>(simd: S, values: &[f32]) -> [S::f32s; VECTORS] {
    let mut vectors = [simd.splat_f32s(0.0); VECTORS];
    for (vector, value) in vectors.iter_mut().zip(S::as_simd_f32s(values).0) {
        *vector = *value;
    }
    vectors
}

/// Transposes the values of a panel of queries, a row per key, into the panels of keys with a row per query.
#[inline(always)]
fn spread(values: &[f32], keys: usize, queries: usize, panel: usize, width: usize, out: &mut [f32]) {
    let rows = values[..keys * width].chunks(width * width);
    for (rows, out) in rows.zip(out.chunks_exact_mut(QUERY_BLOCK * width)) {
        into_columns(rows, width, rows.len() / width, queries, &mut out[panel * width * width..], width);
    }
}
