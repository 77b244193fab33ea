//! Scaled dot-product attention: `kernels/attention.cu` and `kernels/attention_wgmma.cu`.

mod variant;

use bytemuck::{Pod, Zeroable};

use self::variant::Variant;
use super::tensor_map::Copy as TensorCopy;
use super::{Card, Element, Launch, TensorMap};
use crate::error::{Error, Result};

/// Blocks of a launch in the second and the third direction, at most.
const MOST_BLOCKS: usize = 65535;
/// A parameter with tensor maps is a multiple of their alignment.
const ALIGNMENT: usize = 64;

/// An addition to the scores: f32 `[batch, heads, queries, keys]`; a stride of 0 repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// Its address.
    pub address: u64,
    /// From one item to the next, in elements.
    pub item: usize,
    /// From one head to the next, in elements.
    pub head: usize,
    /// From one query to the next, in elements.
    pub query: usize,
    /// From one key to the next, in elements.
    pub key: usize,
}

/// An operand `[batch, tokens, heads * channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens {
    /// Its address.
    pub address: u64,
    /// From one token to the next, in elements.
    pub pitch: usize,
    /// From one item to the next, in elements.
    pub item: usize,
}

/// `softmax(query * key^T * scale + mask) * value` for each head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// The type of all operands but the mask.
    pub element: Element,
    /// How many items.
    pub batch: usize,
    /// Heads of an item.
    pub heads: usize,
    /// Queries of an item.
    pub queries: usize,
    /// Keys of an item.
    pub keys: usize,
    /// Channels of a head's query and key.
    pub dim: usize,
    /// Channels of a head's value.
    pub value_dim: usize,
    /// The queries.
    pub query: Tokens,
    /// The keys.
    pub key: Tokens,
    /// The values.
    pub value: Tokens,
    /// The result; a query for which all keys are masked gives zeros.
    pub y: Tokens,
    /// What is added to the scores.
    pub mask: Option<Mask>,
    /// Whether key `j` is seen by query `i` only if `j <= i`.
    pub causal: bool,
    /// What the scores are multiplied by.
    pub scale: f32,
}

/// `AttentionParams` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Parameters {
    query: u64,
    key: u64,
    value: u64,
    y: u64,
    mask: u64,
    query_item: i64,
    key_item: i64,
    value_item: i64,
    y_item: i64,
    mask_item: i64,
    mask_head: i64,
    mask_query: i64,
    mask_key: i64,
    batch: i32,
    heads: i32,
    queries: i32,
    keys: i32,
    dim: i32,
    value_dim: i32,
    query_pitch: i32,
    key_pitch: i32,
    value_pitch: i32,
    y_pitch: i32,
    causal: i32,
    scale: f32,
}

impl Attention {
    /// The launch, or none if there is nothing to compute.
    pub fn launches(&self, card: &Card) -> Result<Vec<Launch>> {
        if self.batch * self.heads * self.queries * self.value_dim == 0 {
            return Ok(Vec::new());
        }
        let Variant { kernel, grid, threads, shared_bytes, copies } = self.variant(card)?;
        if grid[1] > MOST_BLOCKS || grid[2] > MOST_BLOCKS {
            return Err(Error::unsupported("attention with so many heads or items"));
        }
        let mut parameters = Vec::new();
        let mut tensor_maps = Vec::new();
        if let Some((queries, keys)) = copies {
            let operands = [
                (&self.query, self.dim, self.queries, queries),
                (&self.key, self.dim, self.keys, keys),
                (&self.value, self.value_dim, self.keys, keys),
            ];
            for (tokens, channels, count, copied) in operands {
                tensor_maps.push((parameters.len(), self.tensor_map(tokens, channels, count, copied)));
                parameters.resize(parameters.len() + TensorMap::BYTES, 0);
            }
        }
        parameters.extend_from_slice(bytemuck::bytes_of(&self.parameters()?));
        parameters.resize(parameters.len().next_multiple_of(ALIGNMENT), 0);
        Ok(vec![Launch {
            kernel,
            grid: grid.map(|blocks| blocks as u32),
            block: [threads as u32, 1, 1],
            shared_bytes: shared_bytes as u32,
            early: card.capability == (9, 0),
            parameters,
            tensor_maps,
            operations: self.operations(),
            bytes: self.bytes(),
        }])
    }

    /// For copies of 64 channels of a head by `copied` tokens.
    fn tensor_map(&self, tokens: &Tokens, channels: usize, count: usize, copied: usize) -> TensorMap {
        let size = self.element.bytes();
        // Of a single item there is no next one, but the stride must be one that the driver takes.
        let item = if self.batch == 1 { tokens.pitch * count } else { tokens.item };
        TensorMap {
            element: self.element,
            address: tokens.address,
            dims: [channels, self.heads, count, self.batch].map(|length| length as u64).to_vec(),
            strides: [channels, tokens.pitch, item].map(|stride| (stride * size) as u64).to_vec(),
            element_strides: vec![1; 4],
            copy: TensorCopy::Box(vec![64, 1, copied as u32, 1]),
        }
    }

    fn parameters(&self) -> Result<Parameters> {
        let short = |length: usize| {
            i32::try_from(length).map_err(|_| Error::unsupported("attention of that many elements"))
        };
        let mask = self.mask.unwrap_or(Mask { address: 0, item: 0, head: 0, query: 0, key: 0 });
        Ok(Parameters {
            query: self.query.address,
            key: self.key.address,
            value: self.value.address,
            y: self.y.address,
            mask: mask.address,
            query_item: self.query.item as i64,
            key_item: self.key.item as i64,
            value_item: self.value.item as i64,
            y_item: self.y.item as i64,
            mask_item: mask.item as i64,
            mask_head: mask.head as i64,
            mask_query: mask.query as i64,
            mask_key: mask.key as i64,
            batch: short(self.batch)?,
            heads: short(self.heads)?,
            queries: short(self.queries)?,
            keys: short(self.keys)?,
            dim: short(self.dim)?,
            value_dim: short(self.value_dim)?,
            query_pitch: short(self.query.pitch)?,
            key_pitch: short(self.key.pitch)?,
            value_pitch: short(self.value.pitch)?,
            y_pitch: short(self.y.pitch)?,
            causal: i32::from(self.causal),
            scale: self.scale,
        })
    }

    /// Multiplications and additions of both products; a causal mask leaves about half of them.
    fn operations(&self) -> f64 {
        let pairs = (self.batch * self.heads * self.queries * self.keys) as f64;
        let share = if self.causal && self.queries > 1 { 0.5 } else { 1.0 };
        2.0 * pairs * share * (self.dim + self.value_dim) as f64
    }

    fn bytes(&self) -> f64 {
        let channels = (self.queries + self.keys) * (self.dim + self.value_dim);
        (self.batch * self.heads * channels * self.element.bytes()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const H100: Card =
        Card { capability: (9, 0), multiprocessors: 132, shared_bytes_per_block: 232_448 };

    pub(super) fn attention(
        element: Element,
        batch: usize,
        heads: usize,
        queries: usize,
        keys: usize,
        dim: usize,
    ) -> Attention {
        let tokens = |address, count| Tokens { address, pitch: heads * dim, item: count * heads * dim };
        Attention {
            element,
            batch,
            heads,
            queries,
            keys,
            dim,
            value_dim: dim,
            query: tokens(1 << 20, queries),
            key: tokens(2 << 20, keys),
            value: tokens(3 << 20, keys),
            y: tokens(4 << 20, queries),
            mask: None,
            causal: false,
            scale: (dim as f32).sqrt().recip(),
        }
    }

    #[test]
    fn hopper_copies_tiles_of_heads() {
        let attention = attention(Element::Bf16, 2, 8, 4096, 512, 40);
        let launch = attention.launches(&H100).unwrap().remove(0);
        assert_eq!(launch.grid, [16, 8, 2]);
        assert_eq!(
            launch.parameters.len(),
            (3 * TensorMap::BYTES + size_of::<Parameters>()).next_multiple_of(64)
        );
        let (offset, map) = &launch.tensor_maps[1];
        assert_eq!(*offset, TensorMap::BYTES);
        assert_eq!((map.address, map.dims.as_slice()), (2 << 20, [40, 8, 512, 2].as_slice()));
        assert_eq!(map.strides, [80, 640, 512 * 640]);
        assert_eq!(map.copy, TensorCopy::Box(vec![64, 1, 64, 1]));
        let text = Attention { keys: 77, ..attention };
        assert!(text.launches(&H100).unwrap()[0].tensor_maps.is_empty());
        let repeated = Tokens { item: 0, ..attention.key };
        assert!(Attention { key: repeated, ..attention }.launches(&H100).unwrap()[0].tensor_maps.is_empty());
    }

    #[test]
    fn nothing_is_launched_for_nothing() {
        assert!(attention(Element::F32, 2, 8, 0, 77, 40).launches(&H100).unwrap().is_empty());
        assert!(attention(Element::F32, 1, 70_000, 4, 4, 40).launches(&H100).is_err());
    }
}
