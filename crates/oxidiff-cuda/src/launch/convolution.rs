//! Convolutions and linear layers: `kernels/convolution_mma.cu`, `convolution_rows.cu` and `convolution_few.cu`.
//!
//! All are one matrix product: a row for each output pixel (or token), a column for each output channel, summed
//! over the kernel's positions and the input channels. A linear layer is a 1x1 convolution of an image of one row
//! of pixels.

use bytemuck::{Pod, Zeroable};

use super::{Card, Element, Launch};
use crate::operation::{Activation, Precision};

/// A convolution at fixed addresses. Images are `[batch, height, width, channels]`; a pitch is the distance from one
/// pixel (or row) to the next, in elements. An image may have at most 2^31 - 1 pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The type of all operands.
    pub element: Element,
    /// How products of `f32` elements are formed.
    pub precision: Precision,
    /// Images in `x` and `y`.
    pub batch: usize,
    /// Rows of pixels in `x`, before `upsample`.
    pub in_height: usize,
    /// Pixels in a row of `x`, before `upsample`.
    pub in_width: usize,
    /// Channels of `x`.
    pub in_channels: usize,
    /// From one pixel of `x` to the next.
    pub x_pitch: usize,
    /// Rows of pixels in `y`.
    pub out_height: usize,
    /// Pixels in a row of `y`.
    pub out_width: usize,
    /// Rows of the weight; `y` has half as many channels with `gate`.
    pub out_channels: usize,
    /// From one pixel of `y` to the next.
    pub y_pitch: usize,
    /// Rows of the kernel.
    pub kernel_height: usize,
    /// Columns of the kernel.
    pub kernel_width: usize,
    /// The step from one position to the next.
    pub stride: usize,
    /// Rows of zeros above `x`; those below follow from `out_height`.
    pub pad_top: usize,
    /// Columns of zeros left of `x`; those on the right follow from `out_width`.
    pub pad_left: usize,
    /// 2 if each pixel of `x` stands for two by two, else 1.
    pub upsample: usize,
    /// From one output channel of the weight to the next.
    pub weight_pitch: usize,
    /// From one image's `item_bias` to the next.
    pub item_bias_pitch: usize,
    /// From one pixel of `residual` to the next.
    pub residual_pitch: usize,
    /// Applied to the sum and the biases.
    pub activation: Activation,
    /// Rows 2 j and 2 j + 1 of the weight make one channel: the first's result times GELU of the second's.
    pub gate: bool,
    /// The result is multiplied by it last.
    pub scale: f32,
    /// Address of `[batch, in_height, in_width, in_channels]`.
    pub x: u64,
    /// Address of `[out_channels, kernel_height, kernel_width, in_channels]`.
    pub weight: u64,
    /// Address of `[out_channels]`.
    pub bias: Option<u64>,
    /// Address of `[batch, out_channels]`.
    pub item_bias: Option<u64>,
    /// Address of an image like `y`, added after the activation; may be `y` itself.
    pub residual: Option<u64>,
    /// Address of `[batch, out_height, out_width, out_channels]`.
    pub y: u64,
    /// Address of [`scratch_bytes`](Self::scratch_bytes) bytes, at a multiple of 16.
    pub scratch: u64,
    /// Address of [`counters`](Self::counters) 32-bit counters, zero at first; each launch leaves them zero.
    pub arrivals: u64,
}

/// `ConvolutionParams` of `kernels/convolution.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Parameters {
    x: u64,
    weight: u64,
    bias: u64,
    item_bias: u64,
    residual: u64,
    y: u64,
    partial: u64,
    arrivals: u64,
    batch: i32,
    in_height: i32,
    in_width: i32,
    in_channels: i32,
    x_pitch: i32,
    out_height: i32,
    out_width: i32,
    out_channels: i32,
    y_pitch: i32,
    kernel_height: i32,
    kernel_width: i32,
    stride: i32,
    pad_top: i32,
    pad_left: i32,
    upsample: i32,
    weight_pitch: i32,
    item_bias_pitch: i32,
    residual_pitch: i32,
    activation: i32,
    gate: i32,
    splits: i32,
    scale: f32,
}

/// A tile that a kernel of `convolution_mma.cu` gives to a block, and what that costs.
#[derive(Debug, PartialEq)]
struct Tile {
    rows: usize,
    columns: usize,
    /// Warps along the rows and along the columns.
    warps: [usize; 2],
    /// Steps whose operands are in shared memory at a time.
    slots: usize,
    /// Blocks that fit on a multiprocessor with enough shared memory.
    resident: usize,
    /// Microseconds that each resident block adds to a step of all of them.
    step: f64,
    /// Microseconds that a step takes at least.
    latency: f64,
    /// Microseconds before the first step and after the last.
    ends: f64,
}

const fn tile(shape: [usize; 2], warps: [usize; 2], slots: usize, resident: usize, costs: [f64; 3]) -> Tile {
    let [rows, columns] = shape;
    let [step, latency, ends] = costs;
    Tile { rows, columns, warps, slots, resident, step, latency, ends }
}

// The costs are a fit to what the shapes of Stable Diffusion took on an H200 (check/convolution.py --time).
const TILES_16_BITS: [Tile; 7] = [
    tile([128, 256], [2, 4], 3, 1, [1.12, 0.25, 7.5]),
    tile([128, 160], [2, 4], 3, 1, [0.84, 0.25, 5.4]),
    tile([128, 128], [2, 2], 3, 2, [0.67, 0.79, 6.8]),
    tile([64, 160], [1, 4], 3, 2, [0.44, 0.53, 5.0]),
    tile([64, 64], [2, 2], 3, 3, [0.25, 0.47, 2.5]),
    tile([32, 64], [1, 4], 4, 4, [0.20, 0.55, 1.4]),
    tile([128, 16], [4, 1], 4, 3, [0.08, 0.65, 1.6]),
];
const TILES_F32: [Tile; 2] =
    [tile([64, 64], [2, 2], 3, 3, [0.55, 0.8, 3.0]), tile([32, 64], [1, 4], 4, 4, [0.33, 0.7, 1.5])];
const TILES_TF32: [Tile; 4] = [
    tile([128, 160], [2, 4], 3, 1, [1.08, 0.3, 6.0]),
    tile([128, 128], [2, 2], 3, 2, [0.87, 0.9, 7.0]),
    tile([64, 64], [2, 2], 3, 3, [0.31, 0.65, 3.0]),
    tile([32, 64], [1, 4], 4, 4, [0.2, 0.55, 2.0]),
];
/// The tile of the kernel that loads single elements.
const TILE_ANY: Tile = tile([64, 64], [2, 2], 1, 5, [0.8, 2.5, 4.0]);

/// Microseconds to start a launch, to add up splits, and to add one element of one split.
const START: f64 = 2.5;
const COMBINE: f64 = 4.8;
const COMBINE_ELEMENT: f64 = 3.7e-5;

/// More splits than this never paid.
const MOST_SPLITS: usize = 24;

/// A split has at least this many steps, unless it is the only one.
const LEAST_STEPS: usize = 3;

/// Rows of the matrix product up to which a linear layer is bound by reading its weight.
const FEW_ROWS: usize = 16;

/// Output channels up to which `convolution_few.cu` takes a 3x3 convolution.
const FEW_CHANNELS: usize = 4;

/// Columns of the product in `convolution_few.cu`: nine positions of each channel, and four of padding.
const FEW_COLUMNS: usize = 40;

/// Bytes of a row of a tile's operands in shared memory, which is a step.
const LINE: usize = 128;

impl Tile {
    fn threads(&self) -> usize {
        self.warps[0] * self.warps[1] * 32
    }

    /// Dynamic shared memory: the operands, or at the end the sums with eight elements of padding to a row.
    fn shared_bytes(&self) -> usize {
        (self.slots * (self.rows + self.columns) * LINE).max(self.rows * (self.columns + 8) * 4)
    }

    /// With what the compiler and the driver add: a table of rows, and a kibibyte to each block.
    fn whole_shared_bytes(&self) -> usize {
        self.shared_bytes() + self.rows * 12 + 128
    }

    fn fits(&self, card: &Card) -> bool {
        self.whole_shared_bytes() <= card.shared_bytes_per_block as usize
    }

    fn tiles(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// About how long a product takes, in microseconds.
    fn microseconds(&self, card: &Card, tiles: usize, steps: usize, splits: usize) -> f64 {
        let room = (card.shared_bytes_per_block as usize + 1024) / (self.whole_shared_bytes() + 1024);
        let resident = self.resident.min(room.max(1));
        let blocks = (tiles * splits).div_ceil(card.multiprocessors as usize);
        let round = |together: usize| {
            let step = self.latency.max(self.step * together as f64);
            if together == 0 { 0.0 } else { steps.div_ceil(splits) as f64 * step + self.ends }
        };
        let rounds = (blocks / resident) as f64 * round(resident) + round(blocks % resident);
        let sums = (splits * self.rows * self.columns) as f64;
        START + rounds + if splits > 1 { COMBINE + COMBINE_ELEMENT * sums } else { 0.0 }
    }
}

/// The kernel that computes a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    /// Of `convolution_mma.cu`, loading 16 bytes at a time.
    Tile(&'static Tile),
    /// Of `convolution_mma.cu`, loading single elements.
    Elements,
    /// Of `convolution_rows.cu`.
    Rows,
    /// Of `convolution_few.cu`, for square areas of this size.
    Few(usize),
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Choice {
    kernel: Kernel,
    /// How many blocks share a tile's sums.
    splits: usize,
}

impl Choice {
    fn tile(&self) -> Option<&'static Tile> {
        match self.kernel {
            Kernel::Tile(tile) => Some(tile),
            Kernel::Elements => Some(&TILE_ANY),
            Kernel::Rows | Kernel::Few(_) => None,
        }
    }

    /// Tiles whose sums several blocks share.
    fn shared_tiles(&self, it: &Convolution) -> usize {
        match self.tile() {
            Some(tile) if self.splits > 1 => tile.tiles(it.rows(), it.out_channels),
            _ => 0,
        }
    }

    fn scratch_bytes(&self, it: &Convolution) -> usize {
        self.tile().map_or(0, |tile| self.shared_tiles(it) * self.splits * tile.rows * tile.columns * 4)
    }
}

impl Convolution {
    /// Bytes of [`scratch`](Self::scratch), whatever the addresses turn out to be.
    pub fn scratch_bytes(&self, card: &Card) -> usize {
        [true, false]
            .map(|aligned| self.choose(card, aligned).scratch_bytes(self))
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    /// 32-bit counters at [`arrivals`](Self::arrivals), whatever the addresses turn out to be.
    pub fn counters(&self, card: &Card) -> usize {
        [true, false]
            .map(|aligned| self.choose(card, aligned).shared_tiles(self))
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    /// The launch, or none if there are no results. On Hopper `wgmma_launch` (`convolution_wgmma.rs`) is preferred where it
    /// gives one.
    pub fn launches(&self, card: &Card) -> Vec<Launch> {
        if self.rows() == 0 || self.out_channels == 0 {
            return Vec::new();
        }
        debug_assert!(
            self.batch * self.in_height * self.in_width < 1 << 31 && self.rows() < 1 << 31,
            "{self:?}"
        );
        let choice = self.choose(card, self.x.is_multiple_of(16) && self.weight.is_multiple_of(16));
        let name = match self.precision {
            Precision::Tf32 if self.element == Element::F32 && choice.kernel != Kernel::Rows => "tf32",
            _ => self.element.name(),
        };
        let (variant, grid, threads, shared_bytes) = match choice.kernel {
            Kernel::Tile(tile) => {
                let grid = [tile.tiles(self.rows(), self.out_channels), choice.splits];
                (format!("{}x{}", tile.rows, tile.columns), grid, tile.threads(), tile.shared_bytes())
            }
            Kernel::Elements => {
                let grid = [TILE_ANY.tiles(self.rows(), self.out_channels), choice.splits];
                ("any".to_string(), grid, TILE_ANY.threads(), TILE_ANY.shared_bytes())
            }
            Kernel::Rows if self.element == Element::F32 => {
                ("rows4".to_string(), [self.out_channels.div_ceil(2), self.rows().div_ceil(4)], 128, 0)
            }
            Kernel::Rows => {
                ("rows16".to_string(), [self.out_channels.div_ceil(8), self.rows().div_ceil(16)], 256, 0)
            }
            Kernel::Few(size) => {
                let areas = self.out_height.div_ceil(size) * self.out_width.div_ceil(size);
                (format!("few{size}"), [areas, self.batch], 224, self.few_shared_bytes(size))
            }
        };
        vec![Launch {
            kernel: format!("oxd_convolution_{name}_{variant}"),
            grid: [grid[0] as u32, grid[1] as u32, 1],
            block: [threads as u32, 1, 1],
            shared_bytes: shared_bytes as u32,
            // The kernels wait by themselves in the binary for this capability, not in PTX for others.
            early: card.capability == (9, 0),
            parameters: bytemuck::bytes_of(&self.parameters(choice.splits)).to_vec(),
            tensor_maps: Vec::new(),
            operations: self.operations(),
            bytes: self.bytes(),
        }]
    }

    /// Rows of the matrix product: pixels of `y`.
    pub(super) fn rows(&self) -> usize {
        self.batch * self.out_height * self.out_width
    }

    /// Products in a sum.
    fn depth(&self) -> usize {
        self.kernel_height * self.kernel_width * self.in_channels
    }

    /// Floating-point operations.
    pub fn operations(&self) -> f64 {
        2.0 * self.rows() as f64 * self.out_channels as f64 * self.depth() as f64
    }

    /// The fewest bytes that must be moved.
    pub fn bytes(&self) -> f64 {
        let channels = if self.gate { self.out_channels / 2 } else { self.out_channels };
        let outputs = self.rows() * channels * if self.residual.is_some() { 2 } else { 1 };
        let inputs = self.batch * self.in_height * self.in_width * self.in_channels;
        let biases = usize::from(self.bias.is_some()) + if self.item_bias.is_some() { self.batch } else { 0 };
        let weights = self.out_channels * (self.depth() + biases);
        ((inputs + weights + outputs) * self.element.bytes()) as f64
    }

    /// Whether the sizes allow to load 16 bytes at a time.
    fn chunks_fit(&self) -> bool {
        let count = 16 / self.element.bytes();
        let sizes = [self.in_channels, self.x_pitch, self.weight_pitch];
        self.in_channels > 0 && sizes.iter().all(|size| size.is_multiple_of(count))
    }

    /// Whether row i of the product is pixel i of `x`.
    pub(super) fn is_linear(&self) -> bool {
        [self.kernel_height, self.kernel_width, self.stride, self.upsample] == [1; 4]
            && [self.pad_top, self.pad_left] == [0; 2]
            && [self.in_height, self.in_width] == [self.out_height, self.out_width]
    }

    /// The area of a block of `convolution_few.cu`, if that takes the convolution.
    fn few(&self, card: &Card) -> Option<usize> {
        let takes = [self.kernel_height, self.kernel_width, self.stride, self.upsample] == [3, 3, 1, 1]
            && self.out_channels <= FEW_CHANNELS
            && self.batch < 1 << 16;
        let blocks = self.batch * self.out_height.div_ceil(16) * self.out_width.div_ceil(16);
        let size = if blocks >= 2 * card.multiprocessors as usize { 16 } else { 8 };
        (takes && self.few_shared_bytes(size) <= card.shared_bytes_per_block as usize).then_some(size)
    }

    /// The products of an area of pixels, and the weight.
    fn few_shared_bytes(&self, size: usize) -> usize {
        let pixels = (size + 2).pow(2).next_multiple_of(16) + 4;
        let weight = (self.in_channels * self.element.bytes()).next_multiple_of(128) + 64;
        FEW_COLUMNS * (pixels * 4 + weight)
    }

    /// The kernel and the splits; `aligned` says whether 16-byte loads are possible at `x` and `weight`.
    fn choose(&self, card: &Card, aligned: bool) -> Choice {
        let whole = |kernel| Choice { kernel, splits: 1 };
        let chunks = aligned && self.chunks_fit();
        if chunks && self.is_linear() && self.rows() <= FEW_ROWS {
            return whole(Kernel::Rows);
        }
        if let Some(size) = self.few(card).filter(|_| chunks) {
            return whole(Kernel::Few(size));
        }
        let line = LINE / self.element.bytes();
        let positions = self.kernel_height * self.kernel_width;
        let (tiles, steps): (&'static [Tile], usize) = match (chunks, self.element, self.precision) {
            (false, ..) => (std::slice::from_ref(&TILE_ANY), self.depth().div_ceil(line)),
            (true, Element::F32, Precision::Full) => {
                (&TILES_F32, positions * self.in_channels.div_ceil(line))
            }
            (true, Element::F32, Precision::Tf32) => {
                (&TILES_TF32, positions * self.in_channels.div_ceil(line))
            }
            (true, ..) => (&TILES_16_BITS, positions * self.in_channels.div_ceil(line)),
        };
        let candidates = tiles
            .iter()
            // The narrowest tiles are for few channels only.
            .filter(|tile| tile.fits(card) && (tile.columns > 16 || self.out_channels <= 2 * tile.columns))
            .flat_map(|tile| {
                let tiles = tile.tiles(self.rows(), self.out_channels);
                // Splits are for tiles that do not fill the card; they would cost the others scratch for nothing.
                let room = 2 * tile.resident * card.multiprocessors as usize / tiles.max(1);
                let most = MOST_SPLITS.min(steps / LEAST_STEPS).min(room).max(1);
                (1..=most).map(move |splits| (tile, splits, tile.microseconds(card, tiles, steps, splits)))
            });
        let best = candidates.min_by(|a, b| a.2.total_cmp(&b.2));
        match best {
            Some((tile, splits, _)) if chunks => Choice { kernel: Kernel::Tile(tile), splits },
            Some((_, splits, _)) => Choice { kernel: Kernel::Elements, splits },
            None => whole(Kernel::Elements),
        }
    }

    pub(super) fn parameters(&self, splits: usize) -> Parameters {
        Parameters {
            x: self.x,
            weight: self.weight,
            bias: self.bias.unwrap_or(0),
            item_bias: self.item_bias.unwrap_or(0),
            residual: self.residual.unwrap_or(0),
            y: self.y,
            partial: self.scratch,
            arrivals: self.arrivals,
            batch: self.batch as i32,
            in_height: self.in_height as i32,
            in_width: self.in_width as i32,
            in_channels: self.in_channels as i32,
            x_pitch: self.x_pitch as i32,
            out_height: self.out_height as i32,
            out_width: self.out_width as i32,
            out_channels: self.out_channels as i32,
            y_pitch: self.y_pitch as i32,
            kernel_height: self.kernel_height as i32,
            kernel_width: self.kernel_width as i32,
            stride: self.stride as i32,
            pad_top: self.pad_top as i32,
            pad_left: self.pad_left as i32,
            upsample: self.upsample as i32,
            weight_pitch: self.weight_pitch as i32,
            item_bias_pitch: self.item_bias_pitch as i32,
            residual_pitch: self.residual_pitch as i32,
            activation: self.activation as i32,
            gate: i32::from(self.gate),
            splits: splits as i32,
            scale: self.scale,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const H100: Card = Card { capability: (9, 0), multiprocessors: 132, shared_bytes_per_block: 232_448 };
    const RTX_4090: Card = Card { capability: (8, 9), multiprocessors: 128, shared_bytes_per_block: 101_376 };

    pub fn convolution(batch: usize, size: usize, in_channels: usize, out_channels: usize) -> Convolution {
        Convolution {
            element: Element::Bf16,
            precision: Precision::Full,
            batch,
            in_height: size,
            in_width: size,
            in_channels,
            x_pitch: in_channels,
            out_height: size,
            out_width: size,
            out_channels,
            y_pitch: out_channels,
            kernel_height: 3,
            kernel_width: 3,
            stride: 1,
            pad_top: 1,
            pad_left: 1,
            upsample: 1,
            weight_pitch: 9 * in_channels,
            item_bias_pitch: 0,
            residual_pitch: 0,
            activation: Activation::None,
            gate: false,
            scale: 1.0,
            x: 1 << 20,
            weight: 2 << 20,
            bias: None,
            item_bias: None,
            residual: None,
            y: 3 << 20,
            scratch: 4 << 20,
            arrivals: 5 << 20,
        }
    }

    pub fn linear(rows: usize, in_channels: usize, out_channels: usize) -> Convolution {
        Convolution {
            in_height: 1,
            in_width: rows,
            out_height: 1,
            out_width: rows,
            kernel_height: 1,
            kernel_width: 1,
            pad_top: 0,
            pad_left: 0,
            weight_pitch: in_channels,
            ..convolution(1, 1, in_channels, out_channels)
        }
    }

    fn kernel(it: &Convolution, card: &Card) -> String {
        let [launch] = it.launches(card).try_into().expect("one launch");
        launch.kernel
    }

    #[test]
    fn parameters_are_those_of_the_kernels() {
        assert_eq!(std::mem::size_of::<Parameters>(), 152);
        let parameters = &convolution(2, 64, 320, 320).launches(&H100)[0].parameters;
        assert_eq!(parameters.len(), 152);
        assert_eq!(parameters[64..68], 2i32.to_le_bytes());
        assert_eq!(parameters[148..], 1f32.to_le_bytes());
    }

    #[test]
    fn tiles_are_those_of_the_kernels() {
        let source = include_str!("../../kernels/convolution_mma.cu");
        for (tiles, name) in [
            (&TILES_16_BITS[..], "NAME, MATH"),
            (&TILES_F32[..], "f32, F32Math"),
            (&TILES_TF32[..], "tf32, Tf32Math"),
        ] {
            for Tile { rows, columns, warps: [along_rows, along_columns], slots, .. } in tiles {
                let instance =
                    format!("({name}, {rows}, {columns}, {along_rows}, {along_columns}, {slots}, ");
                assert!(source.contains(&instance), "{instance}");
            }
        }
    }

    #[test]
    fn shapes_get_the_kernels_that_suit_them() {
        let name = |it: &Convolution| kernel(it, &H100);
        assert_eq!(name(&convolution(2, 64, 320, 320)), "oxd_convolution_bf16_128x160");
        assert_eq!(name(&convolution(1, 256, 512, 256)), "oxd_convolution_bf16_128x256");
        assert_eq!(name(&convolution(2, 64, 4, 320)), "oxd_convolution_bf16_any");
        assert_eq!(name(&convolution(2, 64, 320, 4)), "oxd_convolution_bf16_few8");
        assert_eq!(name(&convolution(1, 512, 128, 3)), "oxd_convolution_bf16_few16");
        assert_eq!(name(&linear(2, 1280, 1280)), "oxd_convolution_bf16_rows16");
        assert_eq!(name(&linear(154, 768, 640)), "oxd_convolution_bf16_32x64");
        let f32 = Convolution { element: Element::F32, ..linear(2, 1280, 1280) };
        assert_eq!(name(&f32), "oxd_convolution_f32_rows4");
        let f16 = Convolution { element: Element::F16, ..convolution(2, 64, 320, 320) };
        assert_eq!(name(&f16), "oxd_convolution_f16_128x160");
        let tf32 =
            Convolution { element: Element::F32, precision: Precision::Tf32, ..convolution(2, 8, 320, 320) };
        assert!(name(&tf32).starts_with("oxd_convolution_tf32_"));
    }

    #[test]
    fn shared_memory_fits_the_card() {
        for it in [convolution(2, 64, 320, 320), convolution(1, 256, 512, 256), convolution(2, 8, 1280, 1280)]
        {
            let launch = &it.launches(&RTX_4090)[0];
            assert!(launch.shared_bytes < RTX_4090.shared_bytes_per_block, "{launch:?}");
        }
        let wide = convolution(1, 512, 4096, 3);
        assert_ne!(kernel(&wide, &RTX_4090), "oxd_convolution_bf16_few16");
    }

    #[test]
    fn operands_off_alignment_are_loaded_by_elements() {
        let it = convolution(2, 64, 320, 320);
        assert_eq!(kernel(&Convolution { x: it.x + 2, ..it.clone() }, &H100), "oxd_convolution_bf16_any");
        assert_eq!(kernel(&Convolution { x_pitch: 324, ..it.clone() }, &H100), "oxd_convolution_bf16_any");
        assert_eq!(kernel(&Convolution { weight_pitch: 2884, ..it }, &H100), "oxd_convolution_bf16_any");
    }

    #[test]
    fn splits_have_scratch() {
        let small = convolution(2, 8, 1280, 1280);
        let launch = &small.launches(&H100)[0];
        assert!(launch.grid[1] > 1, "{launch:?}");
        let [tiles, splits] = [launch.grid[0] as usize, launch.grid[1] as usize];
        let tile = small.choose(&H100, true).tile().expect("a tile");
        assert!(small.scratch_bytes(&H100) >= tiles * splits * tile.rows * tile.columns * 4);
        assert!(small.counters(&H100) >= tiles);
        let large = convolution(1, 256, 512, 256);
        assert_eq!((large.scratch_bytes(&H100), large.counters(&H100)), (0, 0));
    }

    #[test]
    fn nothing_is_launched_for_no_results() {
        assert!(linear(0, 320, 320).launches(&H100).is_empty());
        assert!(linear(320, 320, 0).launches(&H100).is_empty());
    }
}
