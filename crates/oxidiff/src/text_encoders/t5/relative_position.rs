//! Distances of tokens, in buckets that become wider with the distance (Raffel et al. 2020, section 2.1).

use burn::tensor::{DType, Device, Tensor};

use crate::models::layers::linear::Embedding;

/// How distances are divided into buckets. Half of the buckets are for tokens that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RelativePositions {
    pub buckets: usize,
    /// The first distance of the last bucket.
    pub max_distance: usize,
}

impl RelativePositions {
    /// The bucket of a distance: up to half of those of a direction, each distance has its own; from there their logarithm counts.
    fn bucket(self, distance: usize) -> usize {
        let buckets = self.buckets / 2;
        let exact = buckets / 2;
        if distance < exact {
            return distance;
        }
        // In `f32`, as PyTorch computes it: the result is rounded down, and is a whole number where the width changes.
        let over = (distance as f32 / exact as f32).ln();
        let range = (self.max_distance as f64 / exact as f64).ln() as f32;
        let further = over / range * (buckets - exact) as f32;
        (exact + further as usize).min(buckets - 1)
    }

    /// What `table` `[buckets, heads]` adds to the score of each query and key, `[1, heads, tokens, tokens]`, in `f32`.
    pub fn bias(self, table: &Embedding, tokens: usize, device: &Device) -> Tensor<4> {
        let of_pair = |query: usize, key: usize| match key.checked_sub(query) {
            None | Some(0) => self.bucket(query - key),
            Some(ahead) => self.buckets / 2 + self.bucket(ahead),
        };
        let numbers = (0..tokens).flat_map(|query| (0..tokens).map(move |key| of_pair(query, key)));
        let numbers: Vec<usize> = numbers.collect();
        let rows = table.rows(&numbers, "relative_attention_bias", device).expect("buckets of the table");
        let heads = rows.dims()[1];
        rows.cast(DType::F32).transpose().reshape([1, heads, tokens, tokens])
    }
}
