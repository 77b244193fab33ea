//! Resizing of images, byte for byte as in Pillow or torchvision.
//!
//! An image is resampled along its rows, then along its columns, or the other way round. A new pixel is the weighted mean of
//! the pixels that the filter reaches around its centre; when the image shrinks, the filter is stretched so that every pixel
//! counts. The weights are fixed-point numbers and the image between the two passes has 8 bits. Both affect the result, which
//! is why no other library gives the same bytes.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::bitmap::Bitmap;

/// Whose arithmetic to resize with: both resample in the same way but round differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// Weights with 22 fraction bits, colours weighted by alpha, the cheaper pass first.
    Pillow,
    /// Weights of 16 bits, alpha as a channel like any other, rows always first.
    Torchvision,
}

impl Arithmetic {
    /// Fraction bits of the given weights.
    fn fraction_bits(self, windows: &[Window<f64>]) -> u32 {
        match self {
            // Of 32 bits, 8 are for the value, and 2 for the sums of filters that overshoot.
            Self::Pillow => 32 - 8 - 2,
            // As many as the largest weight leaves of 15.
            Self::Torchvision => {
                let largest =
                    windows.iter().flat_map(|window| &window.weights).fold(0.0, |a, b| f64::max(a, *b));
                let fits = |bits: &u32| ((0.5 + largest * f64::from(1 << (bits + 1))) as i32) < 1 << 15;
                (0..22).find(|bits| !fits(bits)).unwrap_or(22)
            }
        }
    }
}

/// The filter for resizing images; names as in diffusers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resample {
    /// The nearest pixel.
    Nearest,
    /// Linear interpolation.
    #[serde(alias = "linear")]
    Bilinear,
    /// Cubic convolution with a = -1/2 (Keys 1981).
    Bicubic,
    /// A sinc windowed by another, three zeros wide (Duchon 1979).
    #[default]
    Lanczos,
}

impl Resample {
    /// The filter's kernel; none if pixels are only picked.
    fn kernel(self) -> Option<Kernel> {
        match self {
            Self::Nearest => None,
            Self::Bilinear => Some(Kernel { reach: 1.0, at: triangle }),
            Self::Bicubic => Some(CUBIC),
            Self::Lanczos => Some(Kernel { reach: 3.0, at: lanczos }),
        }
    }
}

/// How much a pixel counts, depending on its distance.
#[derive(Clone, Copy)]
struct Kernel {
    /// The distance, in pixels, beyond which pixels do not count.
    reach: f64,
    /// The weight at a distance from the centre.
    at: fn(f64) -> f64,
}

const CUBIC: Kernel = Kernel { reach: 2.0, at: cubic };

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    let angle = x * PI;
    if angle == 0.0 { 1.0 } else { angle.sin() / angle }
}

/// Some of the pixels along one side, from `start` up to `end`. Even an empty span can be stretched.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

/// The pixels that a new pixel is made from.
struct Window<T> {
    first: usize,
    weights: Vec<T>,
}

/// What each new pixel along a side is made from, in fixed-point numbers.
struct Windows {
    windows: Vec<Window<i32>>,
    fraction_bits: u32,
}

impl Windows {
    fn new(windows: Vec<Window<f64>>, arithmetic: Arithmetic) -> Self {
        let fraction_bits = arithmetic.fraction_bits(&windows);
        let to_fixed_point = |weight: &f64| to_fixed_point(*weight, fraction_bits);
        let windows = windows.iter().map(|window| Window {
            first: window.first,
            weights: window.weights.iter().map(to_fixed_point).collect(),
        });
        Self { windows: windows.collect(), fraction_bits }
    }

    /// One half in fixed point, so that truncation rounds.
    fn half(&self) -> i32 {
        1 << (self.fraction_bits - 1)
    }

    fn to_byte(&self, sum: i32) -> u8 {
        (sum >> self.fraction_bits).clamp(0, 255) as u8
    }
}

/// An edge of an image.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    Top,
    Bottom,
    Left,
    Right,
}

impl Bitmap {
    /// The image in another size; neither side may be 0.
    pub fn resize(&self, width: usize, height: usize, filter: Resample) -> Self {
        self.resize_with(width, height, filter, Arithmetic::Pillow)
    }

    /// Like [`Self::resize`], with the arithmetic of another library.
    pub fn resize_with(&self, width: usize, height: usize, filter: Resample, arithmetic: Arithmetic) -> Self {
        match filter.kernel() {
            Some(kernel) => {
                let across = Span { start: 0, end: self.width };
                let down = Span { start: 0, end: self.height };
                self.resample(across, down, width, height, kernel, arithmetic)
            }
            None => self.pick(&nearest(self.width, width), &nearest(self.height, height)),
        }
    }

    /// An image stretched from an empty span at one edge.
    pub(super) fn stretch_edge(&self, edge: Edge, width: usize, height: usize) -> Self {
        let (mut across, mut down) =
            (Span { start: 0, end: self.width }, Span { start: 0, end: self.height });
        match edge {
            Edge::Top => down.end = 0,
            Edge::Bottom => down.start = self.height,
            Edge::Left => across.end = 0,
            Edge::Right => across.start = self.width,
        }
        self.resample(across, down, width, height, CUBIC, Arithmetic::Pillow)
    }

    fn resample(
        &self,
        across: Span,
        down: Span,
        width: usize,
        height: usize,
        kernel: Kernel,
        arithmetic: Arithmetic,
    ) -> Self {
        let unchanged =
            |span: Span, size: usize, new: usize| span.start == 0 && span.end == size && new == size;
        let keeps_width = unchanged(across, self.width, width);
        let keeps_height = unchanged(down, self.height, height);
        if keeps_width && keeps_height {
            return self.clone();
        }
        // Colours are weighted by their alpha.
        let weighted = self.has_alpha() && arithmetic == Arithmetic::Pillow;
        let mut image = if weighted { self.premultiplied() } else { self.clone() };
        let columns = || Windows::new(windows(down, self.height, height, kernel), arithmetic);
        let rows = || Windows::new(windows(across, self.width, width, kernel), arithmetic);
        // The order of the passes affects the result; this is the rule of Pillow since version 13.
        let lost = |old: usize, new: usize| old as i64 - new as i64;
        let (fewer_rows, fewer_columns) = (lost(self.height, height), lost(self.width, width));
        let columns_first =
            arithmetic == Arithmetic::Pillow && fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
        if !keeps_height && columns_first {
            image = image.resample_columns(&columns());
        }
        if !keeps_width {
            image = image.resample_rows(&rows());
        }
        if !keeps_height && !columns_first {
            image = image.resample_columns(&columns());
        }
        if weighted { image.unpremultiplied() } else { image }
    }

    fn resample_rows(&self, resampling: &Windows) -> Self {
        let (channels, windows) = (self.channels, &resampling.windows);
        let mut new = Self::new(windows.len(), self.height, channels);
        let rows = self.bytes.chunks_exact((self.width * channels).max(1));
        for (row, new_row) in rows.zip(new.bytes.chunks_exact_mut(windows.len() * channels)) {
            for (window, pixel) in windows.iter().zip(new_row.chunks_exact_mut(channels)) {
                let mut sums = [resampling.half(); 4];
                let reached = row[window.first * channels..].chunks_exact(channels);
                for (&weight, old) in window.weights.iter().zip(reached) {
                    for (sum, &value) in sums.iter_mut().zip(old) {
                        *sum += weight * i32::from(value);
                    }
                }
                for (value, sum) in pixel.iter_mut().zip(sums) {
                    *value = resampling.to_byte(sum);
                }
            }
        }
        new
    }

    fn resample_columns(&self, resampling: &Windows) -> Self {
        let (windows, half) = (&resampling.windows, resampling.half());
        let length = self.width * self.channels;
        let mut new = Self::new(self.width, windows.len(), self.channels);
        let mut sums = vec![half; length];
        for (window, new_row) in windows.iter().zip(new.bytes.chunks_exact_mut(length.max(1))) {
            sums.fill(half);
            let reached = self.bytes[window.first * length..].chunks_exact(length);
            for (&weight, row) in window.weights.iter().zip(reached) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += weight * i32::from(value);
                }
            }
            for (value, &sum) in new_row.iter_mut().zip(&sums) {
                *value = resampling.to_byte(sum);
            }
        }
        new
    }

    /// The image of the pixels in the given columns and rows.
    fn pick(&self, columns: &[usize], rows: &[usize]) -> Self {
        let mut new = Self::new(columns.len(), rows.len(), self.channels);
        let positions = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
        for (pixel, (row, column)) in new.bytes.chunks_exact_mut(self.channels).zip(positions) {
            let from = (row * self.width + column) * self.channels;
            pixel.copy_from_slice(&self.bytes[from..from + self.channels]);
        }
        new
    }
}

/// How much each of `size` old values counts for each of `new` values, `[size, new]` row by row, for values that are not
/// bytes. `None` if values are only picked.
pub(crate) fn resampling_matrix(size: usize, new: usize, filter: Resample) -> Option<Vec<f32>> {
    let windows = windows(Span { start: 0, end: size }, size, new, filter.kernel()?);
    let mut matrix = vec![0.0; size * new];
    for (column, window) in windows.iter().enumerate() {
        for (row, &weight) in (window.first..).zip(&window.weights) {
            matrix[row * new + column] = weight as f32;
        }
    }
    Some(matrix)
}

/// For each of `new` evenly spread pixels, the nearest of `size` old ones. Positions are summed up, which rounds differently
/// from multiplication.
fn nearest(size: usize, new: usize) -> Vec<usize> {
    let step = size as f64 / new as f64;
    std::iter::successors(Some(step * 0.5), |position| Some(position + step))
        .take(new)
        .map(|position| (position as usize).min(size - 1))
        .collect()
}

/// The window of each of `new` pixels, spread evenly over a span of a side of `size` pixels.
fn windows(span: Span, size: usize, new: usize, kernel: Kernel) -> Vec<Window<f64>> {
    let scale = (span.end - span.start) as f64 / new as f64;
    let stretch = scale.max(1.0);
    let reach = kernel.reach * stretch;
    (0..new)
        .map(|index| {
            let center = span.start as f64 + (index as f64 + 0.5) * scale;
            let first = (center - reach + 0.5).max(0.0) as usize;
            let end = ((center + reach + 0.5) as usize).min(size);
            let weights: Vec<f64> = (first..end)
                .map(|pixel| (kernel.at)((pixel as f64 - center + 0.5) * (1.0 / stretch)))
                .collect();
            let sum: f64 = weights.iter().sum();
            let sum = if sum == 0.0 { 1.0 } else { sum };
            Window { first, weights: weights.iter().map(|weight| weight / sum).collect() }
        })
        .collect()
}

/// Rounds halves away from zero.
fn to_fixed_point(weight: f64, fraction_bits: u32) -> i32 {
    let scaled = weight * f64::from(1 << fraction_bits);
    (scaled + 0.5_f64.copysign(scaled)) as i32
}
