//! Group normalization: `kernels/norm.cu`.

use bytemuck::{Pod, Zeroable};

use super::{Card, Element, Launch};
use crate::error::{Error, Result};

/// Blocks of a cluster.
const CLUSTER: usize = 8;
/// Groups that a block takes at most.
const MOST_GROUPS: usize = 32;
/// Threads of a block at most.
const MOST_THREADS: usize = 512;
/// Vectors that a thread keeps: in the kernels for small images, and in those for large ones.
const FEW: usize = 5;
const MANY: usize = 11;
/// Bytes of `Statistic`.
const STATISTIC_BYTES: usize = 16;

/// Group normalization of images `[batch, pixels, channels]` at fixed addresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// The type of all operands.
    pub element: Element,
    /// How many images.
    pub batch: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Groups of channels.
    pub groups: usize,
    /// From one pixel of `x` to the next, in elements.
    pub x_pitch: usize,
    /// From one pixel of `y` to the next, in elements.
    pub y_pitch: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether SiLU follows.
    pub silu: bool,
    /// Address of the input.
    pub x: u64,
    /// Address of `[channels]`.
    pub weight: u64,
    /// Address of `[channels]`.
    pub bias: u64,
    /// Address of the result.
    pub y: u64,
    /// Address of [`scratch_bytes`](Self::scratch_bytes) bytes, at a multiple of 16. They need no initial
    /// value.
    pub scratch: u64,
}

/// How the work is divided among blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A slice of an image belongs to one block.
    Block,
    /// A slice of an image belongs to a cluster of blocks.
    Cluster,
    /// A kernel for the statistics, and one that applies them.
    Split,
}

/// What is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Variant {
    way: Way,
    /// Groups of a slice.
    slice_groups: usize,
    threads: usize,
    /// Parts of the pixels.
    parts: usize,
}

/// `GroupNormParams` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Parameters {
    x: u64,
    weight: u64,
    bias: u64,
    y: u64,
    partial: u64,
    pixels: i32,
    x_pitch: i32,
    y_pitch: i32,
    activation: i32,
    epsilon: f32,
    slice_groups: i32,
    group_units: i32,
    columns: i32,
    rows: i32,
    reciprocal: i32,
    part_pixels: i32,
    teams_log2: i32,
}

impl GroupNorm {
    fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Channels that are moved at once, and how many of them are of one group for sure.
    fn vector(&self) -> (usize, usize) {
        let widest = 16 / self.element.bytes();
        let is_aligned =
            [self.channels, self.x_pitch, self.y_pitch].iter().all(|length| length % widest == 0)
                && [self.x, self.y, self.weight, self.bias].iter().all(|address| address % 16 == 0);
        let unit =
            [8, 4, 2].into_iter().find(|unit| *unit <= widest && self.group_channels().is_multiple_of(*unit));
        unit.filter(|_| is_aligned).map_or((1, 1), |unit| (widest, unit))
    }

    /// Vectors of a pixel in a slice, if slices begin and end with vectors.
    fn columns(&self, slice_groups: usize) -> Option<usize> {
        let (width, _) = self.vector();
        let channels = slice_groups * self.group_channels();
        let fits = self.groups.is_multiple_of(slice_groups)
            && slice_groups <= MOST_GROUPS
            && channels.is_multiple_of(width);
        Some(channels / width).filter(|columns| fits && *columns <= MOST_THREADS)
    }

    /// Vectors of a thread.
    fn slots(&self, variant: Variant) -> Option<usize> {
        let columns = self.columns(variant.slice_groups).filter(|columns| *columns <= variant.threads)?;
        Some(self.pixels.div_ceil(variant.parts).div_ceil(variant.threads / columns))
    }

    /// The best variant that was measured for such a size.
    fn choose(&self, card: &Card) -> Option<Variant> {
        // Small images: a group fits one block.
        for threads in [128, 256, 512] {
            let variant = Variant { way: Way::Block, slice_groups: 1, threads, parts: 1 };
            if self.slots(variant).is_some_and(|slots| slots <= 3) {
                return Some(variant);
            }
        }
        // Kernels for clusters are compiled for this capability only.
        if card.capability == (9, 0) {
            for (slice_groups, threads) in [(1, 128), (2, 128), (4, 128), (2, 256), (4, 256), (8, 256)] {
                let variant = Variant { way: Way::Cluster, slice_groups, threads, parts: CLUSTER };
                // All clusters must run at once: many kept vectors take twice the registers of few.
                let threads_at_once = self.batch * self.groups / slice_groups * CLUSTER * threads;
                let most_at_once =
                    |slots| card.multiprocessors as usize * if slots <= FEW { 512 } else { 256 };
                if self
                    .slots(variant)
                    .is_some_and(|slots| slots <= MANY && threads_at_once <= most_at_once(slots))
                {
                    return Some(variant);
                }
            }
        }
        self.split(card)
    }

    /// Two kernels, with as many threads as the card runs at once.
    fn split(&self, card: &Card) -> Option<Variant> {
        // Slices of at least 128 bytes, if there are so many channels.
        let is_wide = |groups: &usize| groups * self.group_channels() * self.element.bytes() >= 128;
        let possible = [8, 32, 16, 4, 2, 1].into_iter().filter(|groups| self.columns(*groups).is_some());
        let whole = Some(self.groups).filter(|groups| self.columns(*groups).is_some());
        let slice_groups = possible.clone().find(is_wide).or(whole).or_else(|| possible.clone().next())?;
        let is_large = self.pixels * self.channels * self.element.bytes() >= 12 << 20;
        let threads = if is_large || self.columns(slice_groups)? > 256 { 512 } else { 256 };
        let slices = self.batch * (self.groups / slice_groups);
        let blocks = card.multiprocessors as usize * MOST_THREADS / threads;
        let parts = (blocks / slices).max(1).min(self.pixels.div_ceil(32));
        Some(Variant { way: Way::Split, slice_groups, threads, parts })
    }

    /// Bytes of scratch memory, which do not depend on the addresses.
    pub fn scratch_bytes(&self, card: &Card) -> usize {
        // The variants depend on whether the addresses are multiples of 16.
        let with = |address| Self { x: address, y: address, weight: address, bias: address, ..*self };
        let bytes = |norm: Self| match norm.choose(card) {
            Some(Variant { way: Way::Split, parts, .. }) => {
                self.batch * self.groups * parts * STATISTIC_BYTES
            }
            _ => 0,
        };
        bytes(with(0)).max(bytes(with(1)))
    }

    /// The launches, or none if there are no elements.
    ///
    /// # Errors
    /// When groups are too large for the kernels.
    pub fn launches(&self, card: &Card) -> Result<Vec<Launch>> {
        if self.batch * self.pixels * self.channels == 0 {
            return Ok(Vec::new());
        }
        let variant = self.choose(card).ok_or_else(|| {
            Error::unsupported(format!("group norm of {} channels in {} groups", self.channels, self.groups))
        })?;
        Ok(self.launch(variant, card))
    }

    fn launch(&self, variant: Variant, card: &Card) -> Vec<Launch> {
        let Variant { way, slice_groups, threads, parts } = variant;
        let (width, unit) = self.vector();
        let columns = self.columns(slice_groups).expect("the variant was checked");
        let parameters = Parameters {
            x: self.x,
            weight: self.weight,
            bias: self.bias,
            y: self.y,
            partial: self.scratch,
            pixels: self.pixels as i32,
            x_pitch: self.x_pitch as i32,
            y_pitch: self.y_pitch as i32,
            activation: i32::from(self.silu),
            epsilon: self.epsilon,
            slice_groups: slice_groups as i32,
            group_units: (self.group_channels() / unit) as i32,
            columns: columns as i32,
            rows: (threads / columns) as i32,
            reciprocal: (1_usize << 20).div_ceil(columns) as i32,
            part_pixels: self.pixels.div_ceil(parts) as i32,
            teams_log2: (threads / 32 / slice_groups).max(1).ilog2() as i32,
        };
        let kernels: &[&str] = match way {
            Way::Block => &["block"],
            Way::Cluster if self.slots(variant).is_some_and(|slots| slots <= FEW) => &["cluster"],
            Way::Cluster => &["cluster_many"],
            Way::Split => &["statistics", "apply"],
        };
        let elements = self.batch * self.pixels * self.channels;
        let launch = |kernel: &&str| Launch {
            kernel: format!("oxd_group_norm_{}_v{width}s{unit}_{kernel}", self.element.name()),
            grid: [parts, self.groups / slice_groups, self.batch].map(|blocks| blocks as u32),
            block: [threads as u32, 1, 1],
            shared_bytes: 0,
            early: card.capability == (9, 0),
            parameters: bytemuck::bytes_of(&parameters).to_vec(),
            tensor_maps: Vec::new(),
            operations: (8 * elements) as f64 / kernels.len() as f64,
            // Read once and written once in all.
            bytes: (2 * elements * self.element.bytes()) as f64 / kernels.len() as f64,
        };
        kernels.iter().map(launch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H100: Card = Card { capability: (9, 0), multiprocessors: 132, shared_bytes_per_block: 227 * 1024 };
    const A100: Card = Card { capability: (8, 0), multiprocessors: 108, shared_bytes_per_block: 163 * 1024 };

    fn norm(batch: usize, side: usize, channels: usize, groups: usize) -> GroupNorm {
        GroupNorm {
            element: Element::Bf16,
            batch,
            pixels: side * side,
            channels,
            groups,
            x_pitch: channels,
            y_pitch: channels,
            epsilon: 1e-5,
            silu: true,
            x: 256,
            weight: 512,
            bias: 1024,
            y: 2048,
            scratch: 4096,
        }
    }

    fn kernels(norm: &GroupNorm, card: &Card) -> Vec<String> {
        norm.launches(card).expect("launches").into_iter().map(|launch| launch.kernel).collect()
    }

    #[test]
    fn images_that_fit_are_read_once() {
        assert_eq!(kernels(&norm(2, 8, 1280, 32), &H100), ["oxd_group_norm_bf16_v8s8_block"]);
        assert!(kernels(&norm(2, 32, 640, 32), &H100)[0].starts_with("oxd_group_norm_bf16_v8s4_cluster"));
    }

    #[test]
    fn others_need_two_kernels() {
        let names = ["oxd_group_norm_bf16_v8s4_statistics", "oxd_group_norm_bf16_v8s4_apply"];
        let large = norm(1, 512, 128, 32);
        assert_eq!(kernels(&large, &H100), names);
        assert!(large.scratch_bytes(&H100) > 0);
        assert_eq!(kernels(&norm(2, 32, 640, 32), &A100), names);
        // An address that is not a multiple of 16 must not need more than was asked for.
        let bytes = norm(2, 32, 640, 32).scratch_bytes(&H100);
        let unaligned = GroupNorm { x: 258, ..norm(2, 32, 640, 32) };
        assert_eq!(
            (unaligned.scratch_bytes(&H100), unaligned.launches(&H100).expect("two").len()),
            (bytes, 2)
        );
    }

    #[test]
    fn odd_channels_are_moved_one_by_one() {
        let odd = kernels(&norm(1, 4, 93, 3), &H100);
        assert_eq!(odd, ["oxd_group_norm_bf16_v1s1_block"]);
        let unaligned = GroupNorm { y_pitch: 1281, ..norm(2, 8, 1280, 32) };
        assert!(kernels(&unaligned, &H100)[0].contains("_v1s1_"));
        // Three groups of ten channels are not whole vectors.
        assert!(kernels(&norm(1, 4, 30, 3), &H100)[0].contains("_v1s1_"));
        assert!(kernels(&norm(1, 4, 40, 4), &H100)[0].contains("_v8s2_"));
    }

    #[test]
    fn every_launch_is_possible() {
        for element in [Element::F32, Element::F16, Element::Bf16] {
            for groups in [1, 2, 3, 5, 8, 32] {
                for group_channels in [1, 2, 3, 4, 5, 8, 10, 16, 20, 30, 40, 60, 80] {
                    for (batch, side) in [(1, 1), (3, 7), (2, 64), (1, 300)] {
                        let norm =
                            GroupNorm { element, ..norm(batch, side, groups * group_channels, groups) };
                        for card in [&H100, &A100] {
                            check(&norm, card);
                        }
                    }
                }
            }
        }
    }

    fn check(norm: &GroupNorm, card: &Card) {
        for launch in norm.launches(card).expect("launches") {
            let parameters: Parameters = *bytemuck::from_bytes(&launch.parameters);
            let (width, unit) = norm.vector();
            assert!(parameters.rows >= 1 && launch.block[0] <= MOST_THREADS as u32, "{norm:?} {launch:?}");
            assert!(parameters.columns * parameters.rows <= launch.block[0] as i32, "{norm:?} {launch:?}");
            assert_eq!(parameters.columns as usize * width * launch.grid[1] as usize, norm.channels);
            assert_eq!(parameters.group_units as usize * unit, norm.group_channels());
            assert!(launch.grid[0] as usize * parameters.part_pixels as usize >= norm.pixels, "{norm:?}");
            let slots = (parameters.part_pixels as usize).div_ceil(parameters.rows as usize);
            let most = match launch.kernel.rsplit_once('_').expect("a name").1 {
                "block" | "cluster" => FEW,
                "many" => MANY,
                _ => usize::MAX,
            };
            assert!(slots <= most, "{norm:?} {launch:?}");
        }
    }
}
