//! Tokens whose heads are side by side, as the projections produce them.

use std::ops::Range;

use burn_flex::FlexTensor;

use super::{KEY_BLOCK, STRIDE};
use crate::cpu::product::{Operand, Unit};
use crate::cpu::storage::Storage;
use crate::cpu::transpose::into_columns;
use crate::host::scratch::Scratch;

/// The layout `[batch, tokens, heads * dim]`. Heads are counted through all items of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLayout {
    pub tokens: usize,
    /// Heads of one item.
    pub heads: usize,
    /// Values of one token in one head.
    pub dim: usize,
}

impl HeadLayout {
    /// Where the values of a token in a head start.
    pub fn start(&self, head: usize, token: usize) -> usize {
        let (item, head) = (head / self.heads, head % self.heads);
        ((item * self.tokens + token) * self.heads + head) * self.dim
    }
}

/// Values in this layout.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a, T> {
    pub values: &'a [T],
    pub layout: HeadLayout,
}

impl<'a, T: Storage> Heads<'a, T> {
    /// The values of a contiguous tensor `[batch, tokens, heads * dim]`.
    ///
    /// # Panics
    /// When its elements have another type or are not contiguous.
    pub fn of(tensor: &'a FlexTensor, heads: usize) -> Self {
        let shape = tensor.layout().shape();
        let layout = HeadLayout { tokens: shape[1], heads, dim: shape[2] / heads };
        Self { values: tensor.as_slice::<T>().expect("contiguous, of the matched type"), layout }
    }

    /// The values of a token in a head.
    pub fn row(&self, head: usize, token: usize) -> &[T] {
        &self.values[self.layout.start(head, token)..][..self.layout.dim]
    }

    /// Writes the head as rows, one for each token.
    pub fn rows<U: Unit>(&self, head: usize, out: &mut [U])
    where
        T: Operand<U>,
    {
        let row_len = (self.layout.dim / U::VALUES).max(1);
        for (token, row) in out.chunks_exact_mut(row_len).take(self.layout.tokens).enumerate() {
            T::copy_row(self.row(head, token), row);
        }
    }

    /// Writes some tokens, at most `width`, side by side as a panel; tokens that are not there become zero.
    #[inline(always)]
    pub fn panel<U: Unit>(&self, head: usize, tokens: Range<usize>, out: &mut [U], width: usize)
    where
        T: Operand<U>,
    {
        let HeadLayout { heads, dim, .. } = self.layout;
        if tokens.len() < width {
            out.fill(U::zeroed());
        }
        let first = &self.values[self.layout.start(head, tokens.start)..];
        T::columns(first, heads * dim, tokens.len(), dim, out, width);
    }

    /// Writes some tokens as rows `stride` units apart, one for each dimension, in which each unit takes its values from
    /// successive tokens. Values of the last unit past the last token become zero.
    pub fn columns<U: Unit>(&self, head: usize, tokens: Range<usize>, out: &mut [U], stride: usize)
    where
        T: Operand<U>,
    {
        let HeadLayout { heads, dim, .. } = self.layout;
        let units = tokens.len().div_ceil(U::VALUES);
        let mut rows = Scratch::<U>::new(units * dim);
        for (token, row) in tokens.clone().step_by(U::VALUES).zip(rows.chunks_exact_mut(dim.max(1))) {
            let first = &self.values[self.layout.start(head, token)..];
            T::panel_row(first, heads * dim, tokens.end - token, dim, row);
        }
        into_columns(&rows, dim, units, dim, out, stride);
    }

    /// Writes the head in blocks of [`KEY_BLOCK`] tokens, `[block][dimension][token]`, with [`STRIDE`] between dimensions.
    pub fn column_blocks<U: Unit>(&self, head: usize, out: &mut [U])
    where
        T: Operand<U>,
    {
        let HeadLayout { tokens, dim, .. } = self.layout;
        let stride = STRIDE / U::VALUES;
        for (block, out) in out.chunks_exact_mut((dim * stride).max(1)).enumerate() {
            let first = block * KEY_BLOCK;
            self.columns(head, first..(first + KEY_BLOCK).min(tokens), out, stride);
        }
    }
}
