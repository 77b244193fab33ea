//! Attention whose cost grows with the number of tokens, not with its square: keys and values are summed up first.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::channels_last::contiguous;
use super::output::Output;
use super::storage::Storage;
use super::tasks::{chunks_in_parallel_mut, in_parallel};
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Tokens per task.
const TOKENS: usize = 2048;

/// Where the heads of queries, keys or values are in a tensor `[batch, tokens, width]`.
pub(crate) struct Heads<'a, T> {
    pub values: &'a [T],
    /// The length of a token.
    pub width: usize,
    /// The place of the first head in a token.
    pub first: usize,
    /// From one head to the next.
    pub step: usize,
}

impl<T> Clone for Heads<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Heads<'_, T> {}

impl<T> Heads<'_, T> {
    #[inline(always)]
    fn of(&self, token: usize, head: usize, dim: usize) -> &[T] {
        &self.values[token * self.width + self.first + head * self.step..][..dim]
    }
}

/// The sizes of an attention.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub batch: usize,
    pub tokens: usize,
    pub heads: usize,
    pub dim: usize,
}

/// `V relu(K)ᵀ relu(Q)` of each head, divided by the same with ones as values: `[batch, tokens, heads * dim]`.
pub(crate) fn linear_attention<T: Storage>(
    [query, key, value]: [Heads<'_, T>; 3],
    sizes: Sizes,
    epsilon: f32,
) -> FlexTensor {
    let Sizes { batch, tokens, heads, dim } = sizes;
    let products = (batch * tokens * heads * dim) as f64 * (dim + 1) as f64;
    let bytes = size_of::<T>() * 4 * batch * tokens * heads * dim;
    let _running = operation("linear attention", 4.0 * products, bytes as f64);
    let chunks = tokens.div_ceil(TOKENS);
    let chunk = |index: usize| (index % chunks * TOKENS, tokens.min((index % chunks + 1) * TOKENS));
    // Each task has a head and some tokens.
    let length = dim * (dim + 1);
    let mut sums: Vec<Scratch> = (0..batch * heads * chunks)
        .into_par_iter()
        .map(|task| {
            let (item, head) = (task / chunks / heads, task / chunks % heads);
            let (start, end) = chunk(task);
            let mut sum = Scratch::zeros(length);
            let tokens = item * tokens + start..item * tokens + end;
            Arch::new().dispatch(SumUp { key, value, tokens, head, dim, sum: &mut sum });
            sum
        })
        .collect();
    if chunks > 1 {
        chunks_in_parallel_mut(&mut sums, chunks, |_, parts| {
            let [whole, parts @ ..] = parts else { return };
            for part in parts {
                whole.iter_mut().zip(part.iter()).for_each(|(sum, part)| *sum += part);
            }
        });
    }
    let output = Output::<T>::new(batch * tokens * heads * dim);
    in_parallel(batch * heads * chunks, &|task| {
        let (item, head) = (task / chunks / heads, task / chunks % heads);
        let (start, end) = chunk(task);
        let tokens = item * tokens + start..item * tokens + end;
        let sum = &sums[(item * heads + head) * chunks];
        Arch::new().dispatch(Look { query, tokens, head, sizes, epsilon, sum, output: &output });
    });
    contiguous::<T>(output.finish(), &[batch, tokens, heads * dim])
}

/// Sums the products of keys and values of some tokens of a head: a row `[dim]` for each feature of the key, and in the end the sums of
/// the keys.
struct SumUp<'a, T> {
    key: Heads<'a, T>,
    value: Heads<'a, T>,
    tokens: std::ops::Range<usize>,
    head: usize,
    dim: usize,
    sum: &'a mut [f32],
}

impl<T: Storage> WithSimd for SumUp<'_, T> {
    type Output = ();

    /// The loops are plain: the compiler vectorises them for the processor that this is called for.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { key, value, tokens, head, dim, sum } = self;
        let mut row = Scratch::<f32>::new(2 * dim);
        let (keys, values) = row.split_at_mut(dim);
        let (products, total) = sum.split_at_mut(dim * dim);
        for token in tokens {
            T::widen(key.of(token, head, dim), keys);
            T::widen(value.of(token, head, dim), values);
            for ((key, products), total) in
                keys.iter().zip(products.chunks_exact_mut(dim)).zip(total.iter_mut())
            {
                let key = relu(*key);
                if key == 0.0 {
                    continue;
                }
                *total += key;
                products.iter_mut().zip(values.iter()).for_each(|(product, value)| *product += key * value);
            }
        }
    }
}

/// What the queries of some tokens of a head find in the sums.
struct Look<'a, T> {
    query: Heads<'a, T>,
    tokens: std::ops::Range<usize>,
    head: usize,
    sizes: Sizes,
    epsilon: f32,
    sum: &'a [f32],
    output: &'a Output<T>,
}

impl<T: Storage> WithSimd for Look<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { query, tokens, head, sizes: Sizes { heads, dim, .. }, epsilon, sum, output } = self;
        let mut row = Scratch::<f32>::new(2 * dim);
        let (queries, found) = row.split_at_mut(dim);
        let (products, total) = sum.split_at(dim * dim);
        for token in tokens {
            T::widen(query.of(token, head, dim), queries);
            found.fill(0.0);
            let mut divisor = 0.0;
            for ((query, products), total) in queries.iter().zip(products.chunks_exact(dim)).zip(total) {
                let query = relu(*query);
                if query == 0.0 {
                    continue;
                }
                divisor += query * total;
                found.iter_mut().zip(products).for_each(|(found, product)| *found += query * product);
            }
            let factor = 1.0 / (divisor + epsilon);
            found.iter_mut().for_each(|found| *found *= factor);
            // SAFETY: each head of a token is written by one task.
            unsafe { output.write((token * heads + head) * dim, found) };
        }
    }
}

/// NaN stays NaN, so that it is noticed.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}
