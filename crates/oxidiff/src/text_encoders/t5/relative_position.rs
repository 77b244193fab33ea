//! Distances of tokens, in buckets that become wider with the distance (Raffel et al. 2020, section 2.1).

use burn::tensor::{DType, Device, Tensor, TensorData};

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
        // From the key that is furthest behind the query to the one that is furthest ahead.
        let numbers: Vec<usize> = (0..2 * tokens - 1)
            .map(|place| match place.checked_sub(tokens - 1) {
                None | Some(0) => self.bucket(tokens - 1 - place),
                Some(ahead) => self.buckets / 2 + self.bucket(ahead),
            })
            .collect();
        let rows = table.rows(&numbers, "relative_attention_bias", device).expect("buckets of the table");
        let heads = rows.dims()[1];
        let lines = rows.cast(DType::F32).transpose().into_data();
        let lines = lines.as_slice::<f32>().expect("the type of the cast");
        let mut values = Vec::with_capacity(heads * tokens * tokens);
        for line in lines.chunks_exact(2 * tokens - 1) {
            for query in 0..tokens {
                values.extend_from_slice(&line[tokens - 1 - query..][..tokens]);
            }
        }
        Tensor::from_data(TensorData::new(values, [1, heads, tokens, tokens]), device)
    }
}
