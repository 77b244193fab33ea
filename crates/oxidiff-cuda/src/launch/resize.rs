//! Resizing and average pooling of images: `kernels/resize.cu`.

use bytemuck::{Pod, Zeroable};

use super::plain::{THREADS, launch};
use super::{Element, Launch};
use crate::operation::Resizing;

/// Images `[batch, height, width, channels]` in another size.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// How.
    pub resizing: Resizing,
    /// The type of both.
    pub element: Element,
    /// How many images.
    pub batch: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Height and width of `x`.
    pub from: [usize; 2],
    /// Height and width of `y`.
    pub to: [usize; 2],
    /// From one pixel of `x` to the next.
    pub x_pitch: usize,
    /// From one pixel of `y` to the next.
    pub y_pitch: usize,
    /// Address of the input.
    pub x: u64,
    /// Address of the result.
    pub y: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct ResizeParameters {
    x: u64,
    y: u64,
    batch: i32,
    channels: i32,
    pitches: [i32; 2],
    from: [i32; 2],
    to: [i32; 2],
    align_corners: i32,
    kernel: [i32; 2],
    stride: [i32; 2],
    /// Top and left, then bottom and right.
    padding: [[i32; 2]; 2],
    count_padding: i32,
}

impl Resize {
    /// The launch, or none if there are no pixels.
    pub fn launches(&self) -> Vec<Launch> {
        let pixels = |[height, width]: [usize; 2]| self.batch * height * width;
        if pixels(self.to) * self.channels == 0 {
            return Vec::new();
        }
        let numbers = |pair: [usize; 2]| pair.map(|number| number as i32);
        let mut parameters = ResizeParameters {
            x: self.x,
            y: self.y,
            batch: self.batch as i32,
            channels: self.channels as i32,
            pitches: numbers([self.x_pitch, self.y_pitch]),
            from: numbers(self.from),
            to: numbers(self.to),
            ..ResizeParameters::zeroed()
        };
        let name = match self.resizing {
            Resizing::Nearest => "nearest",
            Resizing::Bilinear { align_corners } => {
                parameters.align_corners = i32::from(align_corners);
                "bilinear"
            }
            Resizing::Average { kernel, stride, padding, count_padding } => {
                parameters.kernel = numbers(kernel);
                parameters.stride = numbers(stride);
                parameters.padding = [numbers(padding); 2];
                parameters.count_padding = i32::from(count_padding);
                "average"
            }
        };
        let widest = 16 / self.element.bytes();
        let is_aligned =
            [self.channels, self.x_pitch, self.y_pitch].iter().all(|length| length % widest == 0)
                && [self.x, self.y].iter().all(|address| address % 16 == 0);
        let width = if is_aligned { widest } else { 1 };
        let blocks = (pixels(self.to) * self.channels / width).div_ceil(THREADS);
        let bytes = (pixels(self.from) + pixels(self.to)) * self.channels * self.element.bytes();
        let kernel = format!("oxd_{name}_{}_v{width}", self.element.name());
        vec![launch(kernel, [blocks, 1, 1], &parameters, 0.0, bytes as f64)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_vectors_where_they_are_aligned() {
        let resize = Resize {
            resizing: Resizing::Nearest,
            element: Element::Bf16,
            batch: 2,
            channels: 640,
            from: [32, 32],
            to: [64, 64],
            x_pitch: 640,
            y_pitch: 648,
            x: 256,
            y: 512,
        };
        let launch = resize.launches().remove(0);
        assert_eq!((launch.kernel.as_str(), launch.grid[0]), ("oxd_nearest_bf16_v8", 2 * 64 * 64 * 80 / 256));
        assert_eq!(launch.parameters.len(), 88);
        let odd =
            Resize { y_pitch: 641, resizing: Resizing::Bilinear { align_corners: true }, ..resize.clone() };
        assert_eq!(odd.launches()[0].kernel, "oxd_bilinear_bf16_v1");
        assert!(Resize { batch: 0, ..resize }.launches().is_empty());
    }
}
