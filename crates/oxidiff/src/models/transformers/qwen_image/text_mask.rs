//! Which tokens of a text count: those that only fill it up are not attended to.

use std::ops::Range;

use burn::tensor::Tensor;
use oxidiff_kernels::attention;

/// For each item, the ranges of tokens that are attended to, or nothing if those are all.
#[derive(Debug)]
pub(super) struct TextMask {
    items: Vec<Vec<Range<usize>>>,
    text_tokens: usize,
}

impl TextMask {
    /// The mask of texts with so many tokens; `true` for a token that counts.
    pub fn new(mask: Option<&[Vec<bool>]>, text_tokens: usize) -> Self {
        let mask = mask.filter(|items| items.iter().flatten().any(|counts| !counts));
        let items = mask.unwrap_or_default().iter().map(|item| ranges(item));
        Self { items: items.collect(), text_tokens }
    }

    /// Attends to the tokens that count, of texts followed by images, each `[batch, tokens, features]`.
    pub fn attend(&self, query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
        if self.items.is_empty() {
            return attention(query, key, value, heads);
        }
        if self.items.windows(2).all(|pair| pair[0] == pair[1]) {
            let ranges = &self.items[0];
            return attention(query, self.counted(key, ranges), self.counted(value, ranges), heads);
        }
        let items = self.items.iter().enumerate().map(|(item, ranges)| {
            let [query, key, value] = [&query, &key, &value].map(|tensor| tensor.clone().narrow(0, item, 1));
            attention(query, self.counted(key, ranges), self.counted(value, ranges), heads)
        });
        Tensor::cat(items.collect(), 0)
    }

    /// The tokens that count, and those of the images.
    fn counted(&self, x: Tensor<3>, ranges: &[Range<usize>]) -> Tensor<3> {
        let images = self.text_tokens..x.dims()[1];
        let parts = ranges.iter().chain([&images]).map(|range| x.clone().narrow(1, range.start, range.len()));
        Tensor::cat(parts.collect(), 1)
    }
}

/// The ranges of `true`.
fn ranges(mask: &[bool]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for index in (0..mask.len()).filter(|index| mask[*index]) {
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_tokens_that_count() {
        assert_eq!(ranges(&[false, true, true, false, true]), [1..3, 4..5]);
        assert!(ranges(&[false; 3]).is_empty());
    }
}
