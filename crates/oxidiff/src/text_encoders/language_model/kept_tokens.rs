//! What a layer keeps of the tokens of a text that is being written.

use burn::tensor::Tensor;

/// Keys and values, each `[batch, key_heads, tokens, dim]`.
#[derive(Clone, Debug)]
pub struct KeptTokens {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl KeptTokens {
    /// The first tokens, `[batch, tokens, key_heads * dim]`.
    pub fn new(key: Tensor<3>, value: Tensor<3>, key_heads: usize) -> Self {
        Self { keys: in_heads(key, key_heads), values: in_heads(value, key_heads) }
    }

    /// Keeps the next token of each text, `[batch, 1, key_heads * dim]`, and returns all keys and values.
    pub fn add(&mut self, key: Tensor<3>, value: Tensor<3>) -> [Tensor<4>; 2] {
        let heads = self.keys.dims()[1];
        for (kept, next) in [(&mut self.keys, key), (&mut self.values, value)] {
            *kept = Tensor::cat(vec![kept.clone(), in_heads(next, heads)], 2);
        }
        [self.keys.clone(), self.values.clone()]
    }
}

fn in_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
}
