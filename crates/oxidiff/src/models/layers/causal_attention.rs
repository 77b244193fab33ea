//! The attention of language models: each token attends to itself and to earlier tokens, and several heads of queries share one
//! head of keys and values (Ainslie et al. 2023, <https://arxiv.org/abs/2305.13245>).

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Device, Tensor, TensorData, module};

/// Which tokens are hidden in a batch of texts.
#[derive(Clone, Debug)]
pub struct HiddenTokens {
    /// True where a query does not see a key, `[batch, 1, tokens, tokens]`: later tokens and hidden ones. Queries that would see
    /// nothing see everything here.
    keys: Tensor<4, Bool>,
    /// True for queries that see nothing, `[batch, tokens, 1]`.
    blind: Tensor<3, Bool>,
    /// Whether these get the mean of all values instead of zeros.
    averages: bool,
}

/// How strongly a query is drawn to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// What products are multiplied with; by default one over the root of their length.
    pub scale: Option<f64>,
    /// The limit that scores approach, if they have one.
    pub softcap: Option<f64>,
}

impl HiddenTokens {
    /// The tokens whose value in `mask` is 0. `None` if there are none.
    pub fn of(mask: &[Vec<u32>], device: &Device) -> Option<Self> {
        Self::outside(mask, usize::MAX, device)
    }

    /// As [`Self::of`], and a token sees only the last `window` tokens up to itself.
    pub fn outside(mask: &[Vec<u32>], window: usize, device: &Device) -> Option<Self> {
        let (batch, tokens) = (mask.len(), mask[0].len());
        if tokens <= window && mask.iter().flatten().all(|value| *value != 0) {
            return None;
        }
        let (mut keys, mut blind) = (Vec::new(), Vec::new());
        for row in mask {
            for query in 0..tokens {
                let seen = (query + 1).saturating_sub(window)..=query;
                let sees_nothing = row[seen.clone()].iter().all(|value| *value == 0);
                keys.extend((0..tokens).map(|key| !sees_nothing && (!seen.contains(&key) || row[key] == 0)));
                blind.push(sees_nothing);
            }
        }
        Some(Self {
            keys: Tensor::from_data(TensorData::new(keys, [batch, 1, tokens, tokens]), device),
            blind: Tensor::from_data(TensorData::new(blind, [batch, tokens, 1]), device),
            averages: false,
        })
    }

    /// The tables as 1 for true and 0 for false: numbers can be inputs of a call on a card.
    pub fn flags(&self) -> (Tensor<4>, Tensor<3>) {
        (self.keys.clone().float().cast(DType::F32), self.blind.clone().float().cast(DType::F32))
    }

    /// What [`Self::flags`] were made of.
    pub fn of_flags(keys: Tensor<4>, blind: Tensor<3>, averages: bool) -> Self {
        Self { keys: keys.greater_elem(0.5), blind: blind.greater_elem(0.5), averages }
    }

    /// Whether queries that see nothing get the mean of all values.
    pub fn averages(&self) -> bool {
        self.averages
    }

    /// The same, but queries that see nothing get the mean of all values: so does the attention of transformers that limits scores.
    pub fn averaging(self) -> Self {
        Self { averages: true, ..self }
    }
}

/// Attends from `query` `[batch, tokens, heads * dim]` to `key` and `value` `[batch, tokens, key_heads * dim]`. Queries that see
/// nothing get zeros, as in PyTorch, unless [`HiddenTokens::averaging`] says otherwise.
pub fn causal_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    [heads, key_heads]: [usize; 2],
    scores: Scores,
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
    let options =
        AttentionModuleOptions { scale: scores.scale, softcap: scores.softcap, is_causal: hidden.is_none() };
    let mask = hidden.map(|hidden| hidden.keys.clone().expand([batch, heads, tokens, tokens]));
    let value = shared(value);
    let attended = module::attention(query, shared(key), value.clone(), mask, None, options);
    let attended = attended.swap_dims(1, 2).reshape(dims);
    let Some(hidden) = hidden else { return attended };
    let blind = hidden.blind.clone().expand(dims);
    if !hidden.averages {
        return attended.mask_fill(blind, 0.0);
    }
    let mean = value.mean_dim(2).swap_dims(1, 2).reshape([batch, 1, width]);
    attended.mask_where(blind, mean.expand(dims))
}

/// Attends from one `query` of each text `[batch, 1, heads * dim]` to all `keys` and `values` `[batch, key_heads, tokens, dim]`.
/// `hidden`, `[batch, 1, 1, tokens]`, is true for keys that are not seen; each query sees at least one.
pub fn attention_to_kept(
    query: Tensor<3>,
    keys: Tensor<4>,
    values: Tensor<4>,
    scores: Scores,
    hidden: Option<&Tensor<4, Bool>>,
) -> Tensor<3> {
    let dims @ [batch, _, width] = query.dims();
    let [_, key_heads, tokens, dim] = keys.dims();
    // The heads that share keys stand where tokens usually are, so that keys need not be repeated.
    let group = width / dim / key_heads;
    let query: Tensor<4> = query.reshape([batch, key_heads, group, dim]);
    let options = AttentionModuleOptions { scale: scores.scale, softcap: scores.softcap, is_causal: false };
    let mask = hidden.map(|hidden| hidden.clone().expand([batch, key_heads, group, tokens]));
    module::attention(query, keys, values, mask, None, options).reshape(dims)
}
