//! Which kernel computes an attention.

use super::Attention;
use crate::error::{Error, Result};
use crate::launch::{Card, Element};

/// Channels of a head in the kernel for wide heads.
const WIDE: usize = 512;
/// Threads of a block of the kernel for wide heads.
const WIDE_THREADS: usize = 256;
/// Queries and keys of a block of the kernels for anything, and its threads.
const ANY_QUERIES: usize = 64;
const ANY_KEYS: usize = 32;
const ANY_THREADS: usize = 128;

/// An instance of the kernel for 16-bit elements that keeps its queries' sums in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiling {
    /// Channels of a head, at most.
    dim: usize,
    /// Queries of a warp.
    rows: usize,
    /// Warps with queries of their own.
    warps: usize,
    /// Keys that a warp takes at a time.
    keys: usize,
    /// Warps that share the same queries.
    split: usize,
}

const fn tiling(dim: usize, rows: usize, warps: usize, keys: usize, split: usize) -> Tiling {
    Tiling { dim, rows, warps, keys, split }
}

/// For each size of heads, those for many queries first.
const TILINGS: [Tiling; 9] = [
    tiling(40, 32, 4, 32, 1),
    tiling(64, 32, 4, 32, 1),
    tiling(64, 16, 4, 64, 1),
    tiling(80, 32, 4, 64, 1),
    tiling(96, 32, 4, 32, 1),
    tiling(128, 32, 4, 32, 1),
    tiling(160, 16, 4, 32, 1),
    tiling(160, 16, 2, 32, 2),
    tiling(256, 16, 4, 32, 1),
];

/// Those that can add a mask.
const MASKED_TILINGS: [Tiling; 6] = [
    tiling(40, 16, 4, 64, 1),
    tiling(64, 16, 4, 64, 1),
    tiling(80, 16, 4, 64, 1),
    tiling(128, 16, 4, 32, 1),
    tiling(160, 16, 4, 32, 1),
    tiling(256, 16, 4, 32, 1),
];

impl Tiling {
    fn queries(self) -> usize {
        self.rows * self.warps
    }

    /// Dynamic shared memory: rows an odd number of 16-byte chunks apart, of the queries and of two stages of
    /// keys and values.
    fn shared_bytes(self) -> usize {
        let row = |channels: usize| ((channels / 8) | 1) * 16;
        let (pitch, value_pitch) = (row(self.dim.next_multiple_of(16)), row(self.dim));
        self.queries() * pitch + 2 * self.split * self.keys * (pitch + value_pitch)
    }
}

/// An instance of the kernel for Hopper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wgmma {
    /// Channels of a head, at most.
    dim: usize,
    /// Groups of four warps with 64 queries each.
    groups: usize,
    /// Keys of a tile.
    keys: usize,
    /// Tiles of keys, and of values, that are kept.
    slots: usize,
    /// Blocks of a multiprocessor.
    blocks: usize,
}

const fn wgmma(dim: usize, groups: usize, keys: usize, slots: usize, blocks: usize) -> Wgmma {
    Wgmma { dim, groups, keys, slots, blocks }
}

/// For each size of heads, those for many queries first. Heads of 80 channels take less time as 96 than with
/// an instance of their own (16.6 and 17.7 us for 16 heads of 1024 tokens on an H200).
const WGMMAS: [Wgmma; 7] = [
    wgmma(40, 4, 64, 3, 1),
    wgmma(64, 1, 64, 2, 3),
    wgmma(96, 2, 128, 2, 1),
    wgmma(128, 2, 128, 2, 1),
    wgmma(160, 2, 64, 2, 1),
    wgmma(160, 1, 64, 2, 2),
    wgmma(256, 2, 64, 2, 1),
];

impl Wgmma {
    fn queries(self) -> usize {
        self.groups * 64
    }

    /// Dynamic shared memory: rows of parts of 128 bytes, of queries, keys and values. The barriers take up
    /// to 1 KiB before it.
    fn shared_bytes(self) -> usize {
        self.dim.div_ceil(64) * 128 * (self.queries() + 2 * self.slots * self.keys)
    }
}

/// With fewer keys, the kernel for Hopper has no time to get going: with 77, it takes 15 us for 4096 queries
/// of 16 heads of 40 channels, where the other one takes 11.
const FEWEST_WGMMA_KEYS: usize = 129;

/// An instance of the kernel for wide heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wide {
    queries: usize,
    keys: usize,
    /// Blocks that share the same queries.
    cluster: usize,
}

/// The fastest first.
const WIDES: [Wide; 3] = [
    Wide { queries: 64, keys: 64, cluster: 1 },
    Wide { queries: 64, keys: 32, cluster: 1 },
    Wide { queries: 32, keys: 32, cluster: 1 },
];
/// Instead of the first, if there are few queries and the card has clusters.
const WIDE_CLUSTER: Wide = Wide { queries: 64, keys: 64, cluster: 2 };

impl Wide {
    fn shared_bytes(self) -> usize {
        (self.queries + 2 * self.keys) * WIDE * 2 + self.queries * (self.keys * 2 + 20)
    }
}

/// What is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    pub kernel: String,
    pub grid: [usize; 3],
    pub threads: usize,
    pub shared_bytes: usize,
    /// For Hopper: how many queries and keys a copy brings.
    pub copies: Option<(usize, usize)>,
}

impl Attention {
    pub(super) fn variant(&self, card: &Card) -> Result<Variant> {
        let width = self.dim.max(self.value_dim);
        let variant = if self.element == Element::F32 || !self.is_aligned() || width > WIDE {
            Some(self.any())
        } else if width > TILINGS[TILINGS.len() - 1].dim {
            self.wide(card)
        } else {
            self.wgmma(card).or_else(|| self.tiled(card))
        };
        // The kernels for anything are the smallest.
        let variant = variant.unwrap_or_else(|| self.any());
        if variant.shared_bytes > card.shared_bytes_per_block as usize {
            return Err(Error::unsupported("attention on a card with so little shared memory"));
        }
        Ok(variant)
    }

    /// Whether rows consist of chunks of 16 bytes.
    fn is_aligned(&self) -> bool {
        let chunk = 16 / self.element.bytes();
        [self.dim, self.value_dim].iter().all(|channels| channels % chunk == 0)
            && [self.query, self.key, self.value, self.y].iter().all(|tokens| {
                tokens.address % 16 == 0
                    && tokens.pitch % chunk == 0
                    && (tokens.item % chunk == 0 || self.batch == 1)
            })
    }

    /// Blocks in each direction, of `queries` queries each.
    fn grid(&self, queries: usize) -> [usize; 3] {
        [self.queries.div_ceil(queries), self.heads, self.batch]
    }

    /// Whether scores are more than multiplied by a positive number before softmax.
    fn is_masked(&self) -> bool {
        self.mask.is_some() || self.scale < 0.0
    }

    fn wgmma(&self, card: &Card) -> Option<Variant> {
        // A copied tensor has no repeated items.
        let is_repeated =
            self.batch > 1 && [self.query, self.key, self.value].iter().any(|tokens| tokens.item == 0);
        if card.capability != (9, 0) || self.is_masked() || self.keys < FEWEST_WGMMA_KEYS || is_repeated {
            return None;
        }
        let dim = WGMMAS.iter().map(|it| it.dim).find(|&dim| dim >= self.dim.max(self.value_dim))?;
        let has_enough =
            |it: &&Wgmma| self.grid(it.queries()).iter().product::<usize>() >= card.multiprocessors as usize;
        let all = || WGMMAS.iter().filter(|it| it.dim == dim);
        let chosen = *all().find(has_enough).or_else(|| all().next_back())?;
        let Wgmma { dim, groups, keys, slots, blocks } = chosen;
        Some(Variant {
            kernel: format!(
                "oxd_attention_{}_wgmma_d{dim}_g{groups}_k{keys}_l{slots}_b{blocks}",
                self.element.name()
            ),
            grid: self.grid(chosen.queries()),
            threads: (groups + 1) * 128,
            shared_bytes: chosen.shared_bytes(),
            copies: Some((chosen.queries(), keys)),
        })
    }

    fn tiled(&self, card: &Card) -> Option<Variant> {
        let is_masked = self.is_masked();
        let tilings: &[Tiling] = if is_masked { &MASKED_TILINGS } else { &TILINGS };
        let dim = tilings.iter().map(|tiling| tiling.dim).find(|&dim| dim >= self.dim.max(self.value_dim))?;
        let fits = |tiling: &&Tiling| {
            tiling.dim == dim && tiling.shared_bytes() <= card.shared_bytes_per_block as usize
        };
        // The first that gives all multiprocessors something to do.
        let has_enough = |tiling: &&Tiling| {
            self.grid(tiling.queries()).iter().product::<usize>() >= card.multiprocessors as usize
        };
        let all = || tilings.iter().filter(fits);
        let tiling = *all().find(has_enough).or_else(|| all().next_back())?;
        let Tiling { dim, rows, warps, keys, split } = tiling;
        let suffix = if is_masked { "_masked" } else { "" };
        Some(Variant {
            kernel: format!(
                "oxd_attention_{}_d{dim}_r{rows}_w{warps}_k{keys}_s{split}{suffix}",
                self.element.name()
            ),
            grid: self.grid(tiling.queries()),
            threads: warps * split * 32,
            shared_bytes: tiling.shared_bytes(),
            copies: None,
        })
    }

    fn wide(&self, card: &Card) -> Option<Variant> {
        let fits = |wide: &Wide| wide.shared_bytes() <= card.shared_bytes_per_block as usize;
        let wide = *WIDES.iter().find(|wide| fits(wide))?;
        let blocks = self.grid(wide.queries).iter().product::<usize>();
        let is_few = 2 * blocks <= card.multiprocessors as usize && self.keys > WIDE_CLUSTER.keys;
        let has_clusters = card.capability == (9, 0) && fits(&WIDE_CLUSTER);
        let wide = if is_few && has_clusters { WIDE_CLUSTER } else { wide };
        let [blocks, heads, batch] = self.grid(wide.queries);
        let Wide { queries, keys, cluster } = wide;
        Some(Variant {
            kernel: format!("oxd_attention_{}_wide_q{queries}_k{keys}_c{cluster}", self.element.name()),
            grid: [blocks * cluster, heads, batch],
            threads: WIDE_THREADS,
            shared_bytes: wide.shared_bytes(),
            copies: None,
        })
    }

    /// The kernels for `f32`, and for what the others cannot take.
    fn any(&self) -> Variant {
        let is_whole = self.element == Element::F32 && self.is_aligned();
        let width = match self.dim.max(self.value_dim) {
            ..=64 if is_whole => 64,
            129..=160 if is_whole => 160,
            _ => 128,
        };
        let [blocks, heads, batch] = self.grid(ANY_QUERIES);
        Variant {
            kernel: format!(
                "oxd_attention_{}_any{width}{}",
                self.element.name(),
                if is_whole { "_whole" } else { "" }
            ),
            grid: [blocks, heads, batch * self.value_dim.div_ceil(width)],
            threads: ANY_THREADS,
            shared_bytes: (ANY_QUERIES + 2 * ANY_KEYS) * (width + 4) * 4,
            copies: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{H100, attention};
    use super::super::{Mask, Tokens};
    use super::*;

    const A100: Card = Card { capability: (8, 0), multiprocessors: 108, shared_bytes_per_block: 166_912 };
    const RTX_4090: Card = Card { capability: (8, 9), multiprocessors: 128, shared_bytes_per_block: 101_376 };

    fn chosen(attention: Attention, card: &Card) -> (String, [usize; 3]) {
        let variant = attention.variant(card).unwrap();
        assert!(variant.shared_bytes <= card.shared_bytes_per_block as usize);
        (variant.kernel, variant.grid)
    }

    #[test]
    fn few_queries_are_divided_among_more_blocks() {
        let bf16 = |queries, heads, dim| chosen(attention(Element::Bf16, 2, heads, queries, 77, dim), &A100);
        assert_eq!(bf16(4096, 8, 40), ("oxd_attention_bf16_d40_r32_w4_k32_s1".into(), [32, 8, 2]));
        assert_eq!(bf16(4096, 10, 64), ("oxd_attention_bf16_d64_r32_w4_k32_s1".into(), [32, 10, 2]));
        assert_eq!(bf16(77, 12, 64), ("oxd_attention_bf16_d64_r16_w4_k64_s1".into(), [2, 12, 2]));
        assert_eq!(bf16(256, 8, 160), ("oxd_attention_bf16_d160_r16_w2_k32_s2".into(), [8, 8, 2]));
        assert_eq!(bf16(64, 8, 136).0, "oxd_attention_bf16_d160_r16_w2_k32_s2");
    }

    #[test]
    fn wide_heads_take_what_shared_memory_there_is() {
        let vae = |tokens| attention(Element::F16, 1, 1, tokens, tokens, 512);
        assert_eq!(chosen(vae(4096), &H100), ("oxd_attention_f16_wide_q64_k64_c2".into(), [128, 1, 1]));
        assert_eq!(chosen(vae(16384), &H100), ("oxd_attention_f16_wide_q64_k64_c1".into(), [256, 1, 1]));
        assert_eq!(chosen(vae(4096), &A100), ("oxd_attention_f16_wide_q64_k32_c1".into(), [64, 1, 1]));
        assert_eq!(chosen(vae(4096), &RTX_4090), ("oxd_attention_f16_wide_q32_k32_c1".into(), [128, 1, 1]));
        assert_eq!(chosen(attention(Element::F16, 1, 1, 64, 64, 520), &H100).0, "oxd_attention_f16_any128");
    }

    #[test]
    fn masks_and_odd_layouts_have_kernels_of_their_own() {
        let usual = attention(Element::Bf16, 2, 8, 4096, 77, 40);
        let mask = Mask { address: 64, item: 77, head: 0, query: 0, key: 1 };
        let masked = Attention { mask: Some(mask), ..usual };
        assert_eq!(chosen(masked, &H100).0, "oxd_attention_bf16_d40_r16_w4_k64_s1_masked");
        assert_eq!(
            chosen(Attention { scale: -1.0, ..usual }, &H100).0,
            "oxd_attention_bf16_d40_r16_w4_k64_s1_masked"
        );
        let moved = Attention { key: Tokens { address: 2, ..usual.key }, ..usual };
        assert_eq!(chosen(moved, &H100), ("oxd_attention_bf16_any128".into(), [64, 8, 2]));
        let odd = attention(Element::F32, 1, 3, 100, 100, 33);
        assert_eq!(chosen(odd, &RTX_4090), ("oxd_attention_f32_any128".into(), [2, 3, 1]));
    }

    #[test]
    fn single_precision_takes_the_narrowest_kernel() {
        let f32 = |dim| chosen(attention(Element::F32, 2, 8, 256, 256, dim), &RTX_4090);
        assert_eq!(f32(40), ("oxd_attention_f32_any64_whole".into(), [4, 8, 2]));
        assert_eq!(f32(160), ("oxd_attention_f32_any160_whole".into(), [4, 8, 2]));
        assert_eq!(f32(512), ("oxd_attention_f32_any128_whole".into(), [4, 8, 8]));
    }

    #[test]
    fn hopper_has_room_for_barriers_too() {
        for wgmma in WGMMAS {
            assert!(wgmma.shared_bytes() + 1024 <= H100.shared_bytes_per_block as usize);
        }
    }
}
