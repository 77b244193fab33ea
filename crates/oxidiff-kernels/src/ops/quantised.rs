//! Matrices whose values are stored as small whole numbers, and linear layers with them.

use std::fmt;
use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_flex::FlexTensor;
use bytes::Bytes;
use half::{bf16, f16};

use super::linear::linear;
use super::parameter::parameter;
use crate::cpu::quantised::encode;
use crate::cpu::quantised::few_rows::Weights;
use crate::cpu::quantised::format::QuantisedFormat;
use crate::cpu::quantised::linear as kernels;
use crate::cpu::quantised::values::dequantised;

/// A matrix in blocks of a [`QuantisedFormat`], which divide its rows. The blocks can be in a mapped file; they are never copied.
///
/// ```
/// use oxidiff_kernels::{QuantisedFormat, QuantisedMatrix};
///
/// let values: Vec<f32> = (0..64).map(|value| value as f32).collect();
/// let matrix = QuantisedMatrix::quantise(QuantisedFormat::Q8_0, &values, [2, 32]).unwrap();
/// assert_eq!(matrix.blocks().len(), 2 * 34);
/// let row = matrix.rows(1..2).unwrap().values();
/// assert!((row[3] - 35.0).abs() < 0.3);
/// ```
#[derive(Clone)]
pub struct QuantisedMatrix {
    format: QuantisedFormat,
    blocks: Bytes,
    rows: usize,
    columns: usize,
}

impl QuantisedMatrix {
    /// The matrix `[rows, columns]` of these blocks; `None` where they are of another size.
    pub fn new(format: QuantisedFormat, blocks: Bytes, [rows, columns]: [usize; 2]) -> Option<Self> {
        let expected = format.row_bytes(columns)?.checked_mul(rows)?;
        (blocks.len() == expected).then_some(Self { format, blocks, rows, columns })
    }

    /// Rounds `values` `[rows, columns]` as GGML does; `None` where blocks do not divide the rows, or the format is only read.
    ///
    /// # Panics
    /// When there are more or fewer values.
    pub fn quantise(format: QuantisedFormat, values: &[f32], [rows, columns]: [usize; 2]) -> Option<Self> {
        assert_eq!(values.len(), rows * columns, "values of {rows} rows and {columns} columns");
        format.row_bytes(columns)?;
        Self::new(format, encode::quantised(format, values)?.into(), [rows, columns])
    }

    /// How the values are stored.
    pub fn format(&self) -> QuantisedFormat {
        self.format
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The blocks, row by row.
    pub fn blocks(&self) -> &[u8] {
        &self.blocks
    }

    /// The blocks, kept alive by whoever has them.
    pub fn shared_blocks(&self) -> Bytes {
        self.blocks.clone()
    }

    /// Some of the rows; `None` where there are fewer.
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        if rows.start > rows.end || rows.end > self.rows {
            return None;
        }
        let row = self.blocks.len() / self.rows.max(1);
        let blocks = self.blocks.slice(rows.start * row..rows.end * row);
        Some(Self { blocks, rows: rows.len(), ..self.clone() })
    }

    /// The values, row by row.
    pub fn values(&self) -> Vec<f32> {
        let bytes = dequantised::<f32>(self.format, &self.blocks, self.rows * self.columns);
        bytemuck::pod_collect_to_vec(&bytes)
    }

    /// The values as a tensor `[rows, columns]` on `device`, of type `f32`, `f16` or `bf16`; rounded if that is not `f32`.
    ///
    /// # Panics
    /// When `dtype` is another type.
    pub fn dequantised(&self, dtype: DType, device: &Device) -> Tensor<2> {
        let dequantised = match dtype {
            DType::F32 => dequantised::<f32>,
            DType::F16 => dequantised::<f16>,
            DType::BF16 => dequantised::<bf16>,
            other => panic!("values of type {other:?}"),
        };
        let bytes = dequantised(self.format, &self.blocks, self.rows * self.columns);
        Tensor::from_data(TensorData::from_bytes(bytes, self.dims(), dtype), (device, dtype))
    }

    /// The rows with these numbers, `[numbers, columns]`, as [`Self::dequantised`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn selected(&self, numbers: &[usize], dtype: DType, device: &Device) -> Tensor<2> {
        let row = self.blocks.len() / self.rows.max(1);
        let blocks: Vec<u8> =
            numbers.iter().flat_map(|number| &self.blocks[number * row..][..row]).copied().collect();
        let selected = Self { blocks: blocks.into(), rows: numbers.len(), ..self.clone() };
        selected.dequantised(dtype, device)
    }
}

impl fmt::Debug for QuantisedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, rows, columns, .. } = self;
        write!(f, "QuantisedMatrix({} [{rows}, {columns}])", format.name())
    }
}

/// `x Wᵀ + bias + residual`, as [`linear`].
///
/// Shapes: `x` `[..., columns]`, `bias` `[rows]`, `residual` and the result `[..., rows]`, where `weight` has these rows and
/// columns. On the CPU, a few rows of `x` are rounded to 8 bits for the product. More rows are rounded to `bf16` where the processor
/// has instructions for it, and so are the weights, block by block.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn quantised_linear<const D: usize>(
    x: Tensor<D>,
    weight: &QuantisedMatrix,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let mut dims = x.dims();
    let [rows, columns] = weight.dims();
    assert_eq!(dims[D - 1], columns, "as many features as the weight has columns");
    dims[D - 1] = rows;
    if let Some(residual) = &residual {
        assert_eq!(residual.dims(), dims, "a residual with the shape of the result");
    }
    let primitives = (
        x.clone().try_into_primitive::<Flex>(),
        residual.clone().map(|residual| residual.try_into_primitive::<Flex>()).transpose(),
    );
    let (Ok(x_flex), Ok(residual_flex)) = primitives else {
        return quantised_linear_plain(x, weight, bias, residual);
    };
    let dtype = x_flex.dtype();
    let same = residual_flex.as_ref().is_none_or(|residual| residual.dtype() == dtype);
    let Some(kernel) = kernel(dtype).filter(|_| same) else {
        return quantised_linear_plain(x, weight, bias, residual);
    };
    let weights = Weights { format: weight.format, blocks: &weight.blocks, rows, depth: columns };
    Tensor::from_primitive::<Flex>(kernel((x_flex, residual_flex), weights, bias.map(parameter), &dims))
}

/// A kernel: `x` and the residual, the weights, the bias, and the shape of the result.
type Kernel = fn((FlexTensor, Option<FlexTensor>), Weights<'_>, Option<Vec<f32>>, &[usize]) -> FlexTensor;

/// The kernel for elements of this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType) -> Option<Kernel> {
    match dtype {
        DType::F32 => Some(kernels::linear::<f32>),
        DType::F16 => Some(kernels::linear::<f16>),
        DType::BF16 => Some(kernels::linear::<bf16>),
        _ => None,
    }
}

/// The plain expression: the widened weights in a linear layer.
fn quantised_linear_plain<const D: usize>(
    x: Tensor<D>,
    weight: &QuantisedMatrix,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let weight = weight.dequantised(x.dtype(), &x.device());
    linear(x, weight, bias, residual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;

    fn norm<const D: usize>(x: Tensor<D>) -> f32 {
        x.cast(DType::F32).square().sum().into_scalar::<f32>().sqrt()
    }

    /// A file of the recorded ones.
    fn recorded(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/gguf/blocks/");
        std::fs::read(format!("{folder}{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn recorded_values(name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&recorded(name))
    }

    #[test]
    fn values_are_those_of_the_gguf_package() {
        for format in QuantisedFormat::ALL {
            let name = format.name();
            let blocks = recorded(&format!("{name}.blocks"));
            let expected = recorded_values(&format!("{name}.values"));
            assert!(expected.len() >= 500);
            let matrix = QuantisedMatrix::new(format, blocks.into(), [expected.len() / 256, 256]).unwrap();
            for (index, (found, expected)) in matrix.values().iter().zip(&expected).enumerate() {
                let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                assert!(same, "{name}: value {index} is {found:e}, not {expected:e}");
            }
            let narrow = matrix.dequantised(DType::BF16, &Device::flex()).into_data();
            for (found, expected) in narrow.iter::<bf16>().zip(&expected) {
                let expected = bf16::from_f32(*expected);
                assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan());
            }
        }
    }

    #[test]
    fn blocks_are_those_of_the_gguf_package_or_as_good_as_ggmls() {
        let values = recorded_values("encoded.values");
        let mut count = 0;
        for format in QuantisedFormat::ALL {
            let Some(found) = QuantisedMatrix::quantise(format, &values, [values.len() / 256, 256]) else {
                continue;
            };
            let expected = recorded(&format!("{}.encoded", format.name()));
            let blocks =
                found.blocks().chunks(format.block_bytes()).zip(expected.chunks(format.block_bytes()));
            for (index, (block, expected)) in blocks.enumerate() {
                if format == QuantisedFormat::Q4K {
                    // It searches for the best scales, and GGML's result depends on how its compiler joins multiplications and
                    // additions: ours must be about as near to the values.
                    let off = |block: &[u8]| {
                        let found = QuantisedMatrix::new(format, block.to_vec().into(), [1, 256]).unwrap();
                        let differences = found.values().into_iter().zip(&values[256 * index..]);
                        differences.map(|(found, value)| (found - value).powi(2)).sum::<f32>()
                    };
                    assert!(
                        off(block) <= 1.2 * off(expected),
                        "block {index}: {} {}",
                        off(block),
                        off(expected)
                    );
                } else {
                    assert_eq!(block, expected, "{}: block {index}", format.name());
                }
            }
            assert_eq!(found.blocks().len(), expected.len());
            count += 1;
        }
        assert_eq!(count, 6);
    }

    /// Random weights in every format: recorded blocks, in another order in each row.
    fn weights(format: QuantisedFormat, dims: [usize; 2]) -> QuantisedMatrix {
        // Those with scales of ordinary size.
        let ordinary = recorded(&format!("{}.ordinary", format.name()));
        let blocks: Vec<&[u8]> = ordinary.chunks_exact(format.block_bytes()).collect();
        let count = dims[0] * dims[1] / format.block_len();
        let chosen = (0..count).flat_map(|i| blocks[(i * 7 + i / 5) % blocks.len()]).copied();
        QuantisedMatrix::new(format, chosen.collect::<Vec<u8>>().into(), dims).unwrap()
    }

    #[test]
    fn equals_the_plain_expression() {
        for format in QuantisedFormat::ALL {
            let block = format.block_len();
            for [rows, depth, columns] in [
                [1, block, 5],
                [2, 3 * block, 40],
                [8, 768, 33],
                [9, 512, 70],
                [77, 768, 33],
                [300, 1280, 130],
            ] {
                let weight = weights(format, [columns, depth]);
                for dtype in [DType::F32, DType::BF16, DType::F16] {
                    // Activations have 8 bits if whole numbers are multiplied, as they always are for a few rows; else at least as many
                    // as those of `bf16`.
                    let most = match rows {
                        ..=8 => 2.5e-2,
                        _ if kernels::multiplies_integers(dtype) => 1e-2,
                        _ => 6e-3,
                    };
                    let x = random([1, rows, depth], 1.0).cast(dtype);
                    let bias = random([columns], 1.0).cast(dtype);
                    let residual = random([1, rows, columns], 1.0).cast(dtype);
                    for (bias, residual) in
                        [(None, None), (Some(bias.clone()), None), (Some(bias), Some(residual))]
                    {
                        let fast = quantised_linear(x.clone(), &weight, bias.clone(), residual.clone());
                        assert_eq!(fast.dtype(), dtype);
                        let wide = x.clone().cast(DType::F32);
                        let plain = quantised_linear_plain(
                            wide.clone(),
                            &weight,
                            bias.map(|bias| bias.cast(DType::F32)),
                            residual.map(|residual| residual.cast(DType::F32)),
                        );
                        // What is rounded are the factors, so errors are relative to these.
                        let size = norm(wide) * norm(weight.dequantised(DType::F32, &Device::flex()));
                        let size = size / (depth as f32).sqrt();
                        let error = norm(fast.cast(DType::F32) - plain.clone()) / size.max(norm(plain));
                        let name = format.name();
                        assert!(error < most, "{rows}x{depth}x{columns}, {name} with {dtype:?}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_selected_and_sliced() {
        let weight = weights(QuantisedFormat::Q6K, [6, 512]);
        let all = weight.values();
        let row = |index: usize| &all[index * 512..(index + 1) * 512];
        assert_eq!(weight.rows(2..4).unwrap().values(), [row(2), row(3)].concat());
        assert!(weight.rows(5..7).is_none());
        let selected = weight.selected(&[4, 0, 4], DType::F32, &Device::flex()).into_data();
        assert_eq!(selected.try_into_vec::<f32>().unwrap(), [row(4), row(0), row(4)].concat());
    }

    #[test]
    fn blocks_of_another_size_are_refused() {
        let new = |len: usize, dims| QuantisedMatrix::new(QuantisedFormat::Q4_0, vec![0; len].into(), dims);
        assert!(new(36, [2, 32]).is_some());
        assert!(new(35, [2, 32]).is_none());
        assert!(new(36, [2, 33]).is_none());
        assert!(new(0, [usize::MAX, 64]).is_none());
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let weight = weights(QuantisedFormat::Q8_0, [4, 64]);
        for rows in [1, 20] {
            let mut values = vec![1.0f32; rows * 64];
            values[3] = f32::INFINITY;
            let x = Tensor::<2>::from_data(TensorData::new(values, [rows, 64]), &Device::flex());
            let y: Vec<f32> = quantised_linear(x, &weight, None, None).into_data().try_into_vec().unwrap();
            assert!(y[..4].iter().all(|value| !value.is_finite()) && y[4..].iter().all(|y| y.is_finite()));
        }
    }
}
