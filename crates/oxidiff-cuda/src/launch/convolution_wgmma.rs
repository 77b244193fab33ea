//! Convolutions and linear layers of 16-bit elements on Hopper: `kernels/convolution_wgmma.cu`.

use bytemuck::{Pod, Zeroable};

use super::convolution::{Convolution, Parameters};
use super::tensor_map::{Copy, TensorMap};
use super::{Card, Element, Launch};
use crate::operation::Activation;

/// `ConvolutionWgmmaParams` of `kernels/convolution_wgmma.cuh`. The maps are encoded by the driver.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct WgmmaParameters {
    x_map: [u64; TensorMap::BYTES / 8],
    weight_map: [u64; TensorMap::BYTES / 8],
    parameters: Parameters,
    image: i32,
    constant_weight: i32,
    /// To a multiple of 64, the alignment of a map.
    padding: [u32; 8],
}

/// What happens to the sums at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing; item bias and residual were added at the start.
    Plain,
    /// GEGLU.
    Gate,
    /// An activation.
    Activation,
}

/// A kernel.
#[derive(Debug, PartialEq)]
struct Kernel {
    /// Rows and columns of a block's tile.
    rows: usize,
    columns: usize,
    /// How many blocks, a cluster, share the sums of a tile.
    splits: usize,
    /// Blocks on a multiprocessor.
    occupancy: usize,
    end: End,
    /// Microseconds of a step, for each block on the multiprocessor.
    step: f64,
    /// Microseconds that a step takes at least.
    latency: f64,
    /// Microseconds before the first step and after the last.
    ends: f64,
}

const fn kernel(tile: [usize; 2], splits: usize, occupancy: usize, end: End, costs: [f64; 3]) -> Kernel {
    let [rows, columns] = tile;
    let [step, latency, ends] = costs;
    Kernel { rows, columns, splits, occupancy, end, step, latency, ends }
}

// The costs are a fit to what the shapes of Stable Diffusion took on an H200 (check/convolution_wgmma.py --time).
const KERNELS: [Kernel; 16] = [
    kernel([128, 80], 1, 1, End::Plain, [0.28, 0.28, 2.3]),
    kernel([128, 80], 2, 1, End::Plain, [0.28, 0.28, 4.2]),
    kernel([128, 80], 4, 1, End::Plain, [0.28, 0.28, 4.2]),
    kernel([128, 80], 6, 1, End::Plain, [0.28, 0.28, 4.2]),
    kernel([128, 128], 1, 1, End::Plain, [0.32, 0.32, 3.0]),
    kernel([128, 128], 1, 2, End::Plain, [0.37, 0.46, 3.0]),
    kernel([128, 160], 1, 1, End::Plain, [0.39, 0.39, 3.4]),
    kernel([128, 160], 2, 1, End::Plain, [0.39, 0.39, 5.4]),
    kernel([128, 160], 3, 1, End::Plain, [0.39, 0.39, 5.4]),
    kernel([256, 128], 1, 1, End::Plain, [0.59, 0.59, 4.1]),
    kernel([256, 160], 1, 1, End::Plain, [0.74, 0.74, 4.6]),
    kernel([128, 128], 1, 2, End::Gate, [0.33, 0.50, 3.4]),
    kernel([128, 160], 1, 1, End::Gate, [0.43, 0.43, 3.1]),
    kernel([256, 160], 1, 1, End::Gate, [0.78, 0.78, 6.0]),
    kernel([128, 80], 1, 1, End::Activation, [0.27, 0.27, 2.6]),
    kernel([128, 128], 1, 2, End::Activation, [0.37, 0.46, 3.4]),
];

/// Microseconds to start a launch.
const START: f64 = 2.0;

/// How many clusters of 1, 2, ... blocks an H100 runs at once with one block on each of its 132 multiprocessors
/// (cuOccupancyMaxActiveClusters): a cluster's blocks share a part of the card, and not every part has the same size.
const CLUSTERS: [usize; 6] = [132, 66, 39, 30, 22, 17];

/// Rows of the matrix product up to which `convolution_rows.cu` is faster.
const FEW_ROWS: usize = 16;

/// Channels that a step takes.
const STEP_CHANNELS: usize = 64;

/// Bytes of a row of a tile's operands in shared memory, which is a step.
const STEP_BYTES: usize = 128;

impl Kernel {
    /// The weight's rows are exchanged in groups of so many (see `GROUP` in the kernel).
    fn group(&self) -> usize {
        if self.columns.is_multiple_of(32) { 32 } else { 16 }
    }

    fn threads(&self) -> usize {
        if self.rows * self.columns >= 128 * 240 { 384 } else { 288 }
    }

    fn shared_bytes(&self) -> usize {
        let slot = (self.rows + self.columns) * STEP_BYTES;
        ((228 / self.occupancy - 2) * 1024 / slot).min(8) * slot
    }

    /// About how long so many tiles take with so many steps, in microseconds.
    fn microseconds(&self, card: &Card, tiles: usize, steps: usize) -> f64 {
        let room = CLUSTERS[self.splits - 1] * card.multiprocessors as usize / CLUSTERS[0];
        let each = tiles.div_ceil(room.max(1));
        let round = |together: usize| {
            let step = self.latency.max(self.step * together as f64);
            if together == 0 { 0.0 } else { self.ends + steps.div_ceil(self.splits) as f64 * step }
        };
        START + (each / self.occupancy) as f64 * round(self.occupancy) + round(each % self.occupancy)
    }

    fn name(&self, element: Element) -> String {
        let Self { rows, columns, splits, occupancy, .. } = self;
        let end = match self.end {
            End::Plain => "PLAIN",
            End::Gate => "GATE",
            End::Activation => "ACTIVATION",
        };
        format!("oxd_convolution_{}_wgmma_{rows}x{columns}x{splits}_{occupancy}_{end}", element.name())
    }
}

impl Convolution {
    /// The launch, if a kernel for Hopper takes the convolution and is worth it. `constant_weight` says that no launch
    /// before writes the weight or the bias: the kernel then reads them before it waits for these.
    pub fn wgmma_launch(&self, card: &Card, constant_weight: bool) -> Option<Launch> {
        let kernel = self.wgmma_kernel(card)?;
        let parameters = WgmmaParameters {
            x_map: [0; TensorMap::BYTES / 8],
            weight_map: [0; TensorMap::BYTES / 8],
            parameters: self.parameters(1),
            image: i32::from(!self.is_linear()),
            constant_weight: i32::from(constant_weight),
            padding: [0; 8],
        };
        Some(Launch {
            kernel: kernel.name(self.element),
            grid: self.wgmma_grid(kernel).map(|blocks| blocks as u32),
            block: [kernel.threads() as u32, 1, 1],
            shared_bytes: kernel.shared_bytes() as u32,
            early: true,
            parameters: bytemuck::bytes_of(&parameters).to_vec(),
            tensor_maps: vec![(0, self.pixels_map(kernel)), (TensorMap::BYTES, self.weight_map(kernel))],
            operations: self.operations(),
            bytes: self.bytes(),
        })
    }

    /// The fastest kernel, as far as is known.
    fn wgmma_kernel(&self, card: &Card) -> Option<&'static Kernel> {
        if !self.fits_wgmma(card) || (self.is_linear() && self.rows() <= FEW_ROWS) {
            return None;
        }
        let takes = |kernel: &&Kernel| {
            kernel.end == self.end()
                && self.out_channels.is_multiple_of(kernel.group())
                && self.wgmma_steps() >= kernel.splits
                && self.wgmma_grid(kernel)[1] < 1 << 16
        };
        let microseconds = |kernel: &Kernel| {
            let tiles = self.wgmma_grid(kernel).iter().product::<usize>() / kernel.splits;
            kernel.microseconds(card, tiles, self.wgmma_steps())
        };
        KERNELS.iter().filter(takes).min_by(|a, b| microseconds(a).total_cmp(&microseconds(b)))
    }

    /// Tiles along the columns (and splits), along the rows, and parities of the outputs of a doubled image.
    fn wgmma_grid(&self, kernel: &Kernel) -> [usize; 3] {
        let parities = self.upsample * self.upsample;
        let columns = self.out_channels.div_ceil(kernel.columns);
        [columns * kernel.splits, (self.rows() / parities).div_ceil(kernel.rows), parities]
    }

    fn wgmma_steps(&self) -> usize {
        self.kernel_height * self.kernel_width * self.in_channels.div_ceil(STEP_CHANNELS)
    }

    /// Where the kernel's corner is at the first and at the last output, x and y, relative to the first and to the last
    /// pixel of `x`.
    fn corners(&self) -> [[i32; 2]; 2] {
        let corner = |outputs: usize, inputs: usize, pad: usize| {
            // Outputs of one parity read a doubled image like the image itself, from one pixel before it on.
            let (outputs, pad) = if self.upsample == 2 { (outputs / 2, 1) } else { (outputs, pad as i32) };
            let last = (outputs as i32 - 1) * self.stride as i32 - pad;
            (-pad, last + 1 - inputs as i32)
        };
        let (left, right) = corner(self.out_width, self.in_width, self.pad_left);
        let (top, bottom) = corner(self.out_height, self.in_height, self.pad_top);
        [[left, top], [right, bottom]]
    }

    /// Whether the kernels can do everything that is asked for, but for the number of output channels.
    fn fits_wgmma(&self, card: &Card) -> bool {
        let positions = self.kernel_height * self.kernel_width;
        let pitches = [self.x_pitch, self.weight_pitch, self.y_pitch];
        let optional = [(self.item_bias, self.item_bias_pitch), (self.residual, self.residual_pitch)];
        let [lower, upper] = self.corners();
        card.capability == (9, 0)
            && self.element != Element::F32
            && self.rows() > 0
            && self.in_channels > 0
            && [self.x, self.weight, self.y, self.bias.unwrap_or(0)].iter().all(|address| address % 16 == 0)
            && pitches.iter().all(|pitch| pitch.is_multiple_of(8))
            && (positions == 1 || self.in_channels.is_multiple_of(8))
            && optional.iter().all(|(address, pitch)| {
                address.is_none_or(|address| address % 16 == 0 && pitch.is_multiple_of(8))
            })
            && (optional.iter().all(|(address, _)| address.is_none()) || self.end() == End::Plain)
            && (self.upsample == 1 || self.is_doubled())
            && (self.is_linear()
                || (lower.iter().chain(&upper).all(|corner| (-128..128).contains(corner))
                    && self.stride <= 8
                    && self.kernel_height.max(self.kernel_width) <= 256))
    }

    fn end(&self) -> End {
        match (self.gate, self.activation) {
            (true, _) => End::Gate,
            (false, Activation::None) => End::Plain,
            (false, _) => End::Activation,
        }
    }

    /// Whether this is a 3x3 convolution, with padding, of an image of twice the size.
    fn is_doubled(&self) -> bool {
        [self.kernel_height, self.kernel_width, self.stride, self.upsample, self.pad_top, self.pad_left]
            == [3, 3, 1, 2, 1, 1]
            && [self.out_height, self.out_width] == [2 * self.in_height, 2 * self.in_width]
    }

    fn pixels_map(&self, kernel: &Kernel) -> TensorMap {
        let pitch = (self.x_pitch * self.element.bytes()) as u64;
        let [channels, width, height] =
            [self.in_channels, self.in_width, self.in_height].map(|size| size as u64);
        let stride = self.stride as u32;
        if self.is_linear() {
            return TensorMap {
                element: self.element,
                address: self.x,
                dims: vec![channels, self.rows() as u64],
                strides: vec![pitch],
                element_strides: vec![1; 2],
                copy: Copy::Box(vec![STEP_CHANNELS as u32, kernel.rows as u32]),
            };
        }
        let [lower, upper] = self.corners();
        TensorMap {
            element: self.element,
            address: self.x,
            dims: vec![channels, width, height, self.batch as u64],
            strides: vec![pitch, pitch * width, pitch * width * height],
            element_strides: vec![1, stride, stride, 1],
            copy: Copy::Pixels { lower, upper, channels: STEP_CHANNELS as u32, pixels: kernel.rows as u32 },
        }
    }

    /// The rows of the weight in the order in which the kernel wants them: of each group, row `group / 4 * c + 2 * b + e`
    /// comes to `8 * b + 2 * c + e`.
    fn weight_map(&self, kernel: &Kernel) -> TensorMap {
        let pitch = (self.weight_pitch * self.element.bytes()) as u64;
        let group = kernel.group() as u64;
        let depth = self.kernel_height * self.kernel_width * self.in_channels;
        TensorMap {
            element: self.element,
            address: self.weight,
            dims: vec![depth as u64, 2, 4, group / 8, self.out_channels as u64 / group],
            strides: vec![pitch, pitch * group / 4, pitch * 2, pitch * group],
            element_strides: vec![1; 5],
            copy: Copy::Box(vec![
                STEP_CHANNELS as u32,
                2,
                4,
                group as u32 / 8,
                (kernel.columns / kernel.group()) as u32,
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::convolution::tests::{H100, convolution, linear};
    use super::*;

    fn variant(it: &Convolution) -> Option<String> {
        let launch = it.wgmma_launch(&H100, true)?;
        assert_eq!(launch.parameters.len(), size_of::<WgmmaParameters>());
        assert!(launch.shared_bytes < H100.shared_bytes_per_block - 1024);
        Some(launch.kernel.strip_prefix("oxd_convolution_bf16_wgmma_")?.to_owned())
    }

    #[test]
    fn tiles_fill_the_card() {
        assert_eq!(variant(&convolution(2, 64, 320, 320)).as_deref(), Some("128x160x1_1_PLAIN"));
        assert_eq!(variant(&convolution(2, 32, 640, 640)).as_deref(), Some("128x160x2_1_PLAIN"));
        assert_eq!(variant(&convolution(2, 8, 1280, 1280)).as_deref(), Some("128x80x6_1_PLAIN"));
        let gate = Convolution { gate: true, y_pitch: 1280, ..linear(8192, 320, 2560) };
        assert_eq!(variant(&gate).as_deref(), Some("128x128x1_2_GATE"));
    }

    #[test]
    fn what_does_not_fit_is_left_to_others() {
        assert_eq!(variant(&linear(2, 1280, 1280)), None);
        assert_eq!(variant(&convolution(2, 64, 4, 320)), None);
        assert_eq!(variant(&convolution(2, 64, 320, 4)), None);
        assert_eq!(variant(&Convolution { x_pitch: 321, ..linear(512, 320, 320) }), None);
        assert_eq!(variant(&Convolution { element: Element::F32, ..linear(512, 320, 320) }), None);
        let older = Card { capability: (8, 9), ..H100 };
        assert!(linear(512, 320, 320).wgmma_launch(&older, true).is_none());
    }

    #[test]
    fn maps_of_parameters_lie_at_multiples_of_64() {
        assert_eq!(size_of::<WgmmaParameters>() % 64, 0);
        let launch = convolution(2, 64, 320, 320).wgmma_launch(&H100, true).expect("a launch");
        assert_eq!(launch.tensor_maps.iter().map(|map| map.0).collect::<Vec<_>>(), [0, 128]);
        assert_eq!(launch.grid, [2, 64, 1]);
    }

    #[test]
    fn the_kernels_are_compiled() {
        let source = include_str!("../../kernels/convolution_wgmma.cu");
        for Kernel { rows, columns, splits, occupancy, end, .. } in &KERNELS {
            let end = format!("{end:?}").to_uppercase();
            let line = format!("OXD_CONVOLUTION(NAME, T, {rows}, {columns}, {splits}, {occupancy}, {end})");
            assert!(source.contains(&line), "{line}");
        }
    }

    #[test]
    fn corners_follow_from_the_sizes() {
        assert_eq!(convolution(1, 64, 8, 16).corners(), [[-1, -1], [-1, -1]]);
        let strided = Convolution { stride: 2, out_height: 32, out_width: 32, ..convolution(1, 64, 8, 16) };
        assert_eq!(strided.corners(), [[-1, -1], [-2, -2]]);
        let doubled =
            Convolution { upsample: 2, out_height: 128, out_width: 128, ..convolution(1, 64, 8, 16) };
        assert_eq!(doubled.corners(), [[-1, -1], [-1, -1]]);
    }
}
