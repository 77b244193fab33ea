//! Layer norm, RMS norm and softmax of rows: `kernels/rows.cu`.

use bytemuck::{Pod, Zeroable};

use super::{Element, Launch};

/// Threads of a block that has several rows.
const LANES_THREADS: usize = 128;
/// Threads of a block that has one row.
const BLOCK_THREADS: usize = 256;

/// Rows of neighbouring elements and their results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    /// The type of all operands.
    pub element: Element,
    /// How many rows.
    pub rows: usize,
    /// Elements of a row.
    pub features: usize,
    /// From one row of `x` to the next, in elements.
    pub x_pitch: usize,
    /// From one row of `y` to the next, in elements.
    pub y_pitch: usize,
    /// Address of the input.
    pub x: u64,
    /// Address of the result.
    pub y: u64,
}

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias` for each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// The rows.
    pub rows: Rows,
    /// Address of `[features]`.
    pub weight: Option<u64>,
    /// Address of `[features]`.
    pub bias: Option<u64>,
    /// Added to the variance.
    pub epsilon: f32,
    /// RMS norm: the mean is taken to be 0.
    pub rms: bool,
}

/// `RowsParams` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Parameters {
    x: u64,
    weight: u64,
    bias: u64,
    y: u64,
    rows: i32,
    features: i32,
    x_pitch: i32,
    y_pitch: i32,
    lanes: i32,
    rms: i32,
    epsilon: f32,
    unused: i32,
}

impl Rows {
    /// The launch of softmax, or none if there are no elements.
    pub fn softmax(&self) -> Vec<Launch> {
        self.launches("softmax", &[], Parameters::zeroed())
    }

    /// `others`: addresses of vectors as long as a row that the kernel reads as well.
    fn launches(&self, function: &str, others: &[u64], parameters: Parameters) -> Vec<Launch> {
        let Self { rows, features, x_pitch, y_pitch, x, y, element } = *self;
        if rows * features == 0 {
            return Vec::new();
        }
        let widest = 16 / element.bytes();
        let is_aligned = [features, x_pitch, y_pitch].iter().all(|length| length % widest == 0)
            && others.iter().chain(&[x, y]).all(|address| address % 16 == 0);
        // Vectors that a lane can keep, and those that it should have to do.
        let (width, most, enough) = if is_aligned { (widest, 8, 5) } else { (1, 16, 16) };
        let lanes = [4, 8, 16, 32].into_iter().find(|lanes| features <= lanes * width * enough).unwrap_or(32);
        let (kind, blocks, threads) = if features <= lanes * width * most {
            ("lanes", (rows * lanes).div_ceil(LANES_THREADS), LANES_THREADS)
        } else {
            ("block", rows, BLOCK_THREADS)
        };
        let parameters = Parameters {
            x,
            y,
            rows: rows as i32,
            features: features as i32,
            x_pitch: x_pitch as i32,
            y_pitch: y_pitch as i32,
            lanes: lanes as i32,
            ..parameters
        };
        let elements = 2 * rows * features + others.len() * features;
        vec![Launch {
            kernel: format!("oxd_{function}_{}_v{width}_{kind}", element.name()),
            grid: [blocks as u32, 1, 1],
            block: [threads as u32, 1, 1],
            shared_bytes: 0,
            // The kernels could, but wait longer than they gain (measured on an H200).
            early: false,
            parameters: bytemuck::bytes_of(&parameters).to_vec(),
            tensor_maps: Vec::new(),
            operations: (8 * rows * features) as f64,
            bytes: (elements * element.bytes()) as f64,
        }]
    }
}

impl LayerNorm {
    /// The launch, or none if there are no elements.
    pub fn launches(&self) -> Vec<Launch> {
        let others: Vec<u64> = self.weight.into_iter().chain(self.bias).collect();
        let parameters = Parameters {
            weight: self.weight.unwrap_or(0),
            bias: self.bias.unwrap_or(0),
            rms: i32::from(self.rms),
            epsilon: self.epsilon,
            ..Parameters::zeroed()
        };
        self.rows.launches("layer_norm", &others, parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: usize, features: usize) -> Rows {
        Rows { element: Element::Bf16, rows, features, x_pitch: features, y_pitch: features, x: 256, y: 512 }
    }

    fn chosen(rows: Rows) -> (String, u32, i32) {
        let norm = LayerNorm { rows, weight: Some(1024), bias: None, epsilon: 1e-5, rms: false };
        let launch = norm.launches().remove(0);
        let parameters: Parameters = *bytemuck::from_bytes(&launch.parameters);
        (launch.kernel, launch.grid[0], parameters.lanes)
    }

    #[test]
    fn short_rows_belong_to_as_few_lanes_as_can_keep_them() {
        assert_eq!(chosen(rows(8192, 320)), ("oxd_layer_norm_bf16_v8_lanes".into(), 512, 8));
        assert_eq!(chosen(rows(512, 1280)), ("oxd_layer_norm_bf16_v8_lanes".into(), 128, 32));
        assert_eq!(chosen(rows(512, 2048)), ("oxd_layer_norm_bf16_v8_lanes".into(), 128, 32));
        assert_eq!(chosen(rows(512, 2056)), ("oxd_layer_norm_bf16_v8_block".into(), 512, 32));
    }

    #[test]
    fn odd_rows_are_moved_one_by_one() {
        assert_eq!(chosen(rows(5, 321)), ("oxd_layer_norm_bf16_v1_lanes".into(), 2, 32));
        assert_eq!(chosen(Rows { y_pitch: 321, ..rows(5, 320) }).0, "oxd_layer_norm_bf16_v1_lanes");
        assert_eq!(chosen(Rows { x: 258, ..rows(5, 768) }).0, "oxd_layer_norm_bf16_v1_block");
    }

    #[test]
    fn softmax_takes_no_weights() {
        let launch = rows(3, 77).softmax().remove(0);
        assert_eq!(
            (launch.kernel.as_str(), launch.bytes),
            ("oxd_softmax_bf16_v1_lanes", (2 * 3 * 77 * 2) as f64)
        );
        assert!(rows(0, 77).softmax().is_empty());
    }
}
