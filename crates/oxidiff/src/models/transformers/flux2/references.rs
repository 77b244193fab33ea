//! What attentions do with the tokens of reference images. These can be computed once, in the first step of a run: if they see
//! only themselves and have a fixed time, their keys and values are the same in every step.

use std::ops::Range;
use std::slice;

use burn::tensor::{DType, Tensor};
use oxidiff_kernels::attention;

/// The keys and values of the tokens of reference images in all blocks, to be used in later calls.
#[derive(Clone, Debug)]
pub struct Flux2KVCache {
    pub(super) blocks: Vec<KeysAndValues>,
    pub(super) num_ref_tokens: usize,
}

/// Those of one block, each `[batch, tokens, dim]`.
#[derive(Clone, Debug)]
pub(super) struct KeysAndValues {
    pub keys: Tensor<3>,
    pub values: Tensor<3>,
}

impl Flux2KVCache {
    /// The number of tokens of reference images.
    pub fn num_ref_tokens(&self) -> usize {
        self.num_ref_tokens
    }

    /// The batch, and the element type.
    pub(super) fn batch(&self) -> Option<(usize, DType)> {
        self.blocks.first().map(|block| (block.keys.dims()[0], block.keys.dtype()))
    }
}

/// What the attentions of a call do with the tokens of reference images.
pub(super) enum References<'a> {
    /// They are tokens like any others.
    Alike,
    /// They see only themselves, and the keys and values of each block are kept.
    Kept { range: Range<usize>, blocks: Vec<KeysAndValues> },
    /// Their keys and values are those of an earlier call, block by block.
    Given(slice::Iter<'a, KeysAndValues>),
}

impl References<'_> {
    /// The attention of the next block. Queries, keys and values are `[batch, tokens, dim]`: of text, then of reference images if
    /// these are computed, then of the image.
    pub fn attend(&mut self, query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
        match self {
            Self::Alike => attention(query, key, value, heads),
            Self::Given(blocks) => {
                let kept = blocks.next().expect("one for each block");
                let join = |own: Tensor<3>, kept: &Tensor<3>| Tensor::cat(vec![own, kept.clone()], 1);
                attention(query, join(key, &kept.keys), join(value, &kept.values), heads)
            }
            Self::Kept { range, blocks } => {
                let cut = |x: &Tensor<3>, range: &Range<usize>| x.clone().narrow(1, range.start, range.len());
                let kept =
                    KeysAndValues { keys: copied(cut(&key, range)), values: copied(cut(&value, range)) };
                let alone = attention(cut(&query, range), kept.keys.clone(), kept.values.clone(), heads);
                blocks.push(kept);
                let after = range.end..query.dims()[1];
                let others = Tensor::cat(vec![cut(&query, &(0..range.start)), cut(&query, &after)], 1);
                let others = attention(others, key, value, heads);
                let [before, after] =
                    [0..range.start, range.start..range.start + after.len()].map(|span| cut(&others, &span));
                Tensor::cat(vec![before, alone, after], 1)
            }
        }
    }
}

/// The same values in memory of their own, so that those of the other tokens can be freed.
fn copied(x: Tensor<3>) -> Tensor<3> {
    let (device, dtype) = (x.device(), x.dtype());
    Tensor::from_data(x.into_data(), (&device, dtype))
}
