//! The attention of language models: each token attends to itself and to earlier tokens, and several heads of queries share one
//! head of keys and values (Ainslie et al. 2023, <https://arxiv.org/abs/2305.13245>).

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, TensorData, module};

/// Which tokens are hidden in a batch of texts.
#[derive(Clone, Debug)]
pub struct HiddenTokens {
    /// True where a query does not see a key, `[batch, 1, tokens, tokens]`: later tokens and hidden ones. Queries that would see
    /// nothing see everything here.
    keys: Tensor<4, Bool>,
    /// True for queries that see nothing, `[batch, tokens, 1]`.
    blind: Tensor<3, Bool>,
}

impl HiddenTokens {
    /// The tokens whose value in `mask` is 0. `None` if there are none.
    pub fn of(mask: &[Vec<u32>], device: &Device) -> Option<Self> {
        if mask.iter().flatten().all(|value| *value != 0) {
            return None;
        }
        let (batch, tokens) = (mask.len(), mask[0].len());
        let is_blind = |row: &[u32], query: usize| row[..=query].iter().all(|value| *value == 0);
        let (mut keys, mut blind) = (Vec::new(), Vec::new());
        for row in mask {
            for query in 0..tokens {
                let sees_nothing = is_blind(row, query);
                keys.extend((0..tokens).map(|key| !sees_nothing && (key > query || row[key] == 0)));
                blind.push(sees_nothing);
            }
        }
        Some(Self {
            keys: Tensor::from_data(TensorData::new(keys, [batch, 1, tokens, tokens]), device),
            blind: Tensor::from_data(TensorData::new(blind, [batch, tokens, 1]), device),
        })
    }
}

/// Attends from `query` `[batch, tokens, heads * dim]` to `key` and `value` `[batch, tokens, key_heads * dim]`. Queries that see
/// nothing get zeros, as in PyTorch.
pub fn causal_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    [heads, key_heads]: [usize; 2],
    hidden: Option<&HiddenTokens>,
) -> Tensor<3> {
    let dims @ [batch, tokens, width] = query.dims();
    let dim = width / heads;
    let query: Tensor<4> = query.reshape([batch, tokens, heads, dim]).swap_dims(1, 2);
    let shared = |x: Tensor<3>| {
        let x: Tensor<4> = x.reshape([batch, tokens, key_heads, dim]).swap_dims(1, 2);
        if key_heads == heads {
            return x;
        }
        let group = heads / key_heads;
        let x: Tensor<5> = x.reshape([batch, key_heads, 1, tokens, dim]).repeat_dim(2, group);
        x.reshape([batch, heads, tokens, dim])
    };
    let options = AttentionModuleOptions { is_causal: hidden.is_none(), ..Default::default() };
    let mask = hidden.map(|hidden| hidden.keys.clone().expand([batch, heads, tokens, tokens]));
    let attended = module::attention(query, shared(key), shared(value), mask, None, options);
    let attended = attended.swap_dims(1, 2).reshape(dims);
    match hidden {
        Some(hidden) => attended.mask_fill(hidden.blind.clone().expand(dims), 0.0),
        None => attended,
    }
}
