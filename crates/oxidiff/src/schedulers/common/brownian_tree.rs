//! Brownian motion that depends only on its seed, whatever intervals it is queried for: torchsde's `BrownianInterval`
//! with `halfway_tree=True`, which k-diffusion's stochastic samplers take their noise from.
//!
//! The increment over an interval is split into those of its halves by a Brownian bridge, whose noise has its own
//! seed for every place in the tree ([Li et al.](https://arxiv.org/abs/2001.01328), section 4, and
//! [Kidger et al.](https://arxiv.org/abs/2105.13493), section 4).

use std::collections::VecDeque;

use burn::tensor::DType;
use half::{bf16, f16};

use super::seed_sequence::SeedSequence;
use crate::random::Generator;

/// The size of the pool of entropy that diffusers chooses.
const POOL_SIZE: usize = 24;

/// How many increments are kept; neighbours are computed from the same ones.
const CACHE_SIZE: usize = 45;

/// Brownian motion of a number of values, over an interval of times.
#[derive(Clone, Debug)]
pub(crate) struct BrownianTree {
    seed: u64,
    len: usize,
    dtype: DType,
    /// All intervals so far; the first is the whole.
    intervals: Vec<Interval>,
    whole: Vec<f32>,
    /// Increments of the last intervals queried.
    cache: VecDeque<(usize, Vec<f32>)>,
}

#[derive(Clone, Debug)]
struct Interval {
    start: f64,
    end: f64,
    /// The index of the parent, and whether this is its left half.
    parent: Option<(usize, bool)>,
    halves: Option<Halves>,
    /// The place among all intervals of this depth.
    place: u64,
    depth: u64,
}

#[derive(Clone, Copy, Debug)]
struct Halves {
    middle: f64,
    left: usize,
    right: usize,
    seed: u32,
}

impl BrownianTree {
    /// Motion of `len` values of type `dtype` from time `start` to `end`.
    pub fn new(start: f64, end: f64, seed: u64, len: usize, dtype: DType) -> Self {
        let first = SeedSequence::new(seed, &[], POOL_SIZE).first_seed();
        let deviation = (end - start).sqrt() as f32;
        let round = rounding(dtype);
        let whole = normal(first, len, dtype).into_iter().map(|value| round(value * deviation)).collect();
        let top =
            Interval { start: grid(start), end: grid(end), parent: None, halves: None, place: 0, depth: 0 };
        Self { seed, len, dtype, intervals: vec![top], whole, cache: VecDeque::new() }
    }

    /// How much the motion changes from time `from` to `to`; times outside the interval are clamped.
    pub fn increment(&mut self, from: f64, to: f64) -> Vec<f32> {
        let (start, end) = (self.intervals[0].start, self.intervals[0].end);
        let (from, to) = (grid(from.clamp(start, end)), grid(to.clamp(start, end)));
        if from >= to {
            return vec![0.0; self.len];
        }
        let mut parts = Vec::new();
        self.locate(0, from, to, &mut parts);
        let round = rounding(self.dtype);
        let mut sum: Option<Vec<f32>> = None;
        for part in parts {
            let increment = self.increment_of(part);
            sum = Some(match sum {
                Some(sum) => sum.iter().zip(&increment).map(|(a, b)| round(a + b)).collect(),
                None => increment,
            });
        }
        sum.unwrap_or_else(|| vec![0.0; self.len])
    }

    /// The intervals that make up a part of interval `index`, from left to right.
    fn locate(&mut self, index: usize, from: f64, to: f64, parts: &mut Vec<usize>) {
        let Interval { start, end, halves, .. } = self.intervals[index];
        if from == start && to == end {
            parts.push(index);
            return;
        }
        let Some(Halves { middle, left, right, .. }) = halves else {
            self.split(index, if from == start { to } else { from });
            return self.locate(index, from, to, parts);
        };
        if to <= middle {
            self.locate(left, from, to, parts);
        } else if from >= middle {
            self.locate(right, from, to, parts);
        } else {
            self.locate(left, from, middle, parts);
            self.locate(right, middle, to, parts);
        }
    }

    /// Halves an interval, and its halves in turn, until `point` is a boundary.
    fn split(&mut self, index: usize, point: f64) {
        let Interval { start, end, place, depth, .. } = self.intervals[index];
        let middle = grid(0.5 * (end + start));
        let half = |start: f64, end: f64, is_left: bool| Interval {
            start,
            end,
            parent: Some((index, is_left)),
            halves: None,
            place: (2 * place).wrapping_add(u64::from(!is_left)),
            depth: depth + 1,
        };
        let left = self.intervals.len();
        self.intervals.push(half(start, middle, true));
        self.intervals.push(half(middle, end, false));
        let seed = SeedSequence::new(self.seed, &[place, depth], POOL_SIZE).first_seed();
        self.intervals[index].halves = Some(Halves { middle, left, right: left + 1, seed });
        if point > middle {
            self.split(left + 1, point);
        } else if point < middle {
            self.split(left, point);
        }
    }

    /// The increment over an interval: that of its parent, divided by a Brownian bridge.
    fn increment_of(&mut self, index: usize) -> Vec<f32> {
        let Some((parent, is_left)) = self.intervals[index].parent else {
            return self.whole.clone();
        };
        if let Some((_, increment)) = self.cache.iter().find(|(cached, _)| *cached == index) {
            return increment.clone();
        }
        let whole = self.increment_of(parent);
        let Interval { start, end, halves, .. } = self.intervals[parent];
        let Halves { middle, seed, .. } = halves.expect("a parent has halves");

        let (left, right, reciprocal) = (middle - start, end - middle, 1.0 / (end - start));
        let (share, reciprocal_f32) = (left as f32, reciprocal as f32);
        let deviation = (left * right * reciprocal).sqrt() as f32;
        // In half precision PyTorch rounds after every operation.
        let round = rounding(self.dtype);
        let noise = normal(seed, self.len, self.dtype);
        let increment: Vec<f32> = whole
            .iter()
            .zip(noise)
            .map(|(&whole, noise)| {
                let mean = round(round(share * whole) * reciprocal_f32);
                let left = round(mean + round(deviation * noise));
                if is_left { left } else { round(whole - left) }
            })
            .collect();
        if self.cache.len() == CACHE_SIZE {
            self.cache.pop_front();
        }
        self.cache.push_back((index, increment.clone()));
        increment
    }
}

/// Times are distinguished to six decimal places: Python's `round(time, 6)`.
fn grid(time: f64) -> f64 {
    format!("{time:.6}").parse().expect("a formatted number is a number")
}

/// `torch.randn` with its own generator.
fn normal(seed: u32, len: usize, dtype: DType) -> Vec<f32> {
    let mut generator = Generator::manual_seed(u64::from(seed));
    match dtype {
        DType::F16 => generator.randn_vec::<f16>(len).into_iter().map(f16::to_f32).collect(),
        DType::BF16 => generator.randn_vec::<bf16>(len).into_iter().map(bf16::to_f32).collect(),
        _ => generator.randn_vec::<f32>(len),
    }
}

/// Rounds to the precision of a type.
fn rounding(dtype: DType) -> fn(f32) -> f32 {
    match dtype {
        DType::F16 => |value| f16::from_f32(value).to_f32(),
        DType::BF16 => |value| bf16::from_f32(value).to_f32(),
        _ => |value| value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From torchsde 0.2.6: `BrownianInterval(0.03, 14.6, size=(3,), entropy=5, tol=1e-6, pool_size=24,
    /// halfway_tree=True)`, queried for one interval after the other.
    #[test]
    fn increments_are_those_of_torchsde() {
        let increments = [
            (7.0, 14.6, [-0.3669540286064148, -0.8955128192901611, 0.2623595595359802]),
            (3.5, 7.0, [2.5412979125976562, 0.6513916254043579, 1.6345269680023193]),
            (3.5, 14.7, [2.1743438243865967, -0.24412128329277039, 1.8968864679336548]),
            (0.03, 0.0300012, [-0.0008228449150919914, -0.0007210263865999877, 0.0004403696511872113]),
            (1.2345678, 3.2, [1.2889082431793213, 0.8952847719192505, -1.7691584825515747]),
        ];
        let mut tree = BrownianTree::new(0.03, 14.6, 5, 3, DType::F32);
        for (from, to, expected) in increments {
            for (ours, theirs) in tree.increment(from, to).into_iter().zip(expected) {
                assert!((f64::from(ours) - theirs).abs() < 1e-6, "{from} to {to}: {ours} != {theirs}");
            }
        }
    }
}
