//! Reductions, gathered rows, small products and constants: `kernels/plain.cu`.

use burn::tensor::DType;
use bytemuck::{Pod, Zeroable};

use super::strided::{Strided, is_integer, type_number};
use super::{Card, Launch};
use crate::error::{Error, Result};

/// Threads of a block.
pub(super) const THREADS: usize = 256;

/// A launch of a kernel without shared memory.
pub(super) fn launch<P: Pod>(
    kernel: String,
    grid: [usize; 3],
    parameters: &P,
    operations: f64,
    bytes: f64,
) -> Launch {
    Launch {
        kernel,
        grid: grid.map(|blocks| blocks as u32),
        block: [THREADS as u32, 1, 1],
        shared_bytes: 0,
        early: false,
        parameters: bytemuck::bytes_of(parameters).to_vec(),
        tensor_maps: Vec::new(),
        operations,
        bytes,
    }
}

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named for what it computes")]
pub enum Reducing {
    Sum,
    Mean,
    Max,
    Min,
    Product,
    Any,
    All,
    ArgMax,
    ArgMin,
}

/// `[outer, n, inner]` to `[outer, inner]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// What to compute.
    pub reducing: Reducing,
    /// `[outer, n, inner]`.
    pub shape: [usize; 3],
    /// The input.
    pub x: Strided,
    /// The result, with the strides of `[outer, inner]`.
    pub y: Strided,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct ReduceParameters {
    x: u64,
    y: u64,
    x_strides: [i64; 3],
    y_strides: [i64; 2],
    shape: [i32; 3],
    x_type: i32,
    y_type: i32,
    reducing: i32,
}

fn strides<const N: usize>(operand: &Strided) -> [i64; N] {
    std::array::from_fn(|axis| operand.strides[axis] as i64)
}

impl Reduce {
    /// The launch, or none if there are no results.
    ///
    /// # Errors
    /// When an operand has a type that the kernels do not take.
    pub fn launches(&self, card: &Card) -> Result<Vec<Launch>> {
        let [outer, n, inner] = self.shape;
        let results = outer * inner;
        if results == 0 {
            return Ok(Vec::new());
        }
        let parameters = ReduceParameters {
            x: self.x.address,
            y: self.y.address,
            x_strides: strides(&self.x),
            y_strides: strides(&self.y),
            shape: self.shape.map(|length| length as i32),
            x_type: type_number(self.x.dtype)?,
            y_type: type_number(self.y.dtype)?,
            reducing: self.reducing as i32,
        };
        let mode = if is_integer(self.x.dtype) { "i64" } else { "f32" };
        // A thread for each result, unless that leaves most of the card idle.
        let by_blocks = n > 32 && results < card.multiprocessors as usize * 1024;
        let (way, blocks) =
            if by_blocks { ("block", results) } else { ("threads", results.div_ceil(THREADS)) };
        let bytes = results * n * self.x.dtype.size() + results * self.y.dtype.size();
        let kernel = format!("oxd_reduce_{mode}_{way}");
        Ok(vec![launch(kernel, [blocks, 1, 1], &parameters, (results * n) as f64, bytes as f64)])
    }
}

/// `y[o, j, i] = table[o, indices[j], i]`. Where an index is not in the table, floating-point results are
/// NaN, and all bits of others are set.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// The length of the first dimension.
    pub outer: usize,
    /// Entries of the table.
    pub entries: usize,
    /// How many indices there are.
    pub count: usize,
    /// Neighbouring elements of an entry.
    pub inner: usize,
    /// The type of the table and the result.
    pub dtype: DType,
    /// The type of the indices: `I64` or `I32`.
    pub index_dtype: DType,
    /// Address of the table.
    pub table: u64,
    /// Between neighbours along the first dimension and the entries of the table, in elements.
    pub table_strides: [usize; 2],
    /// Address of the indices.
    pub indices: u64,
    /// Address of the result.
    pub y: u64,
    /// As `table_strides`, of the result.
    pub y_strides: [usize; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct GatherParameters {
    table: u64,
    indices: u64,
    y: u64,
    table_strides: [i64; 2],
    y_strides: [i64; 2],
    outer: i32,
    entries: i32,
    count: i32,
    inner: i32,
    index_type: i32,
    unused: i32,
}

impl Gather {
    /// The launch, or none if there are no results.
    ///
    /// # Errors
    /// When the indices are not integers of 64 or 32 bits.
    pub fn launches(&self) -> Result<Vec<Launch>> {
        let results = self.outer * self.count * self.inner;
        if results == 0 {
            return Ok(Vec::new());
        }
        if !matches!(self.index_dtype, DType::I64 | DType::I32) {
            return Err(Error::unsupported(format!(
                "gathering by indices of the type {:?}",
                self.index_dtype
            )));
        }
        let size = self.dtype.size();
        // As many bytes at once as all sizes and addresses are multiples of.
        let facts =
            [self.inner, self.table_strides[0], self.table_strides[1], self.y_strides[0], self.y_strides[1]];
        let fits = |bytes: usize| {
            facts.iter().all(|length| (length * size).is_multiple_of(bytes))
                && [self.table, self.y].iter().all(|address| address % bytes as u64 == 0)
        };
        let bytes = [16, 8, 4, 2].into_iter().find(|&bytes| bytes >= size && fits(bytes)).unwrap_or(size);
        let each = bytes / size;
        let parameters = GatherParameters {
            table: self.table,
            indices: self.indices,
            y: self.y,
            table_strides: self.table_strides.map(|stride| (stride / each) as i64),
            y_strides: self.y_strides.map(|stride| (stride / each) as i64),
            outer: self.outer as i32,
            entries: self.entries as i32,
            count: self.count as i32,
            inner: (self.inner / each) as i32,
            index_type: type_number(self.index_dtype)?,
            unused: 0,
        };
        let blocks = (results / each).div_ceil(THREADS);
        let moved = (2 * results * size + self.count * self.index_dtype.size()) as f64;
        Ok(vec![launch(format!("oxd_gather_{bytes}"), [blocks, 1, 1], &parameters, 0.0, moved)])
    }
}

/// `[batch, m, k]` times `[batch, k, n]`, all of one floating-point type.
#[derive(Clone, Debug, PartialEq)]
pub struct Matmul {
    /// `[batch, m, n, k]`.
    pub sizes: [usize; 4],
    /// `[batch, m, k]`.
    pub a: Strided,
    /// `[batch, k, n]`.
    pub b: Strided,
    /// `[batch, m, n]`.
    pub y: Strided,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct MatmulParameters {
    addresses: [u64; 3],
    strides: [[i64; 3]; 3],
    m: i32,
    n: i32,
    k: i32,
    kind: i32,
}

impl Matmul {
    /// The launch, or none if there are no results.
    ///
    /// # Errors
    /// When the operands have different types, or integers.
    pub fn launches(&self) -> Result<Vec<Launch>> {
        let [batch, m, n, k] = self.sizes;
        let operands = [&self.a, &self.b, &self.y];
        if batch * m * n == 0 {
            return Ok(Vec::new());
        }
        if is_integer(self.y.dtype) || operands.iter().any(|operand| operand.dtype != self.y.dtype) {
            return Err(Error::unsupported(format!(
                "a product of {:?} and {:?}",
                self.a.dtype, self.b.dtype
            )));
        }
        let parameters = MatmulParameters {
            addresses: operands.map(|operand| operand.address),
            strides: operands.map(strides),
            m: m as i32,
            n: n as i32,
            k: k as i32,
            kind: type_number(self.y.dtype)?,
        };
        let bytes = batch * (m * k + k * n + m * n) * self.y.dtype.size();
        let operations = 2.0 * (batch * m * n * k) as f64;
        let grid = [m.div_ceil(64), n.div_ceil(64), batch];
        Ok(vec![launch("oxd_matmul".into(), grid, &parameters, operations, bytes as f64)])
    }
}

/// `y[i] = start + i * step`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Address of the result.
    pub y: u64,
    /// Its type.
    pub dtype: DType,
    /// How many elements.
    pub count: usize,
    /// The first element.
    pub start: f64,
    /// Between neighbours; 0 for a constant.
    pub step: f64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct FillParameters {
    y: u64,
    start: f64,
    step: f64,
    count: i64,
    kind: i32,
    unused: i32,
}

impl Fill {
    /// The launch, or none if there are no elements.
    ///
    /// # Errors
    /// When the kernel does not take the type.
    pub fn launches(&self) -> Result<Vec<Launch>> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let parameters = FillParameters {
            y: self.y,
            start: self.start,
            step: self.step,
            count: self.count as i64,
            kind: type_number(self.dtype)?,
            unused: 0,
        };
        let bytes = (self.count * self.dtype.size()) as f64;
        Ok(vec![launch("oxd_fill".into(), [self.count.div_ceil(THREADS), 1, 1], &parameters, 0.0, bytes)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Card = Card { capability: (9, 0), multiprocessors: 132, shared_bytes_per_block: 227 * 1024 };

    fn reduce(shape: [usize; 3], dtype: DType) -> Launch {
        let [_, n, inner] = shape;
        let x = Strided { address: 256, dtype, strides: vec![n * inner, inner, 1] };
        let y = Strided { address: 512, dtype, strides: vec![inner, 1] };
        Reduce { reducing: Reducing::Mean, shape, x, y }.launches(&CARD).expect("a launch").remove(0)
    }

    #[test]
    fn reductions_choose_threads_or_blocks() {
        let few = reduce([2, 1000, 3], DType::F32);
        assert_eq!((few.kernel.as_str(), few.grid), ("oxd_reduce_f32_block", [6, 1, 1]));
        let many = reduce([1 << 20, 8, 3], DType::I64);
        assert_eq!((many.kernel.as_str(), many.grid), ("oxd_reduce_i64_threads", [12288, 1, 1]));
        assert_eq!(many.parameters.len(), 80);
    }

    fn gather(inner: usize, y: u64, index_dtype: DType) -> Gather {
        Gather {
            outer: 1,
            entries: 49408,
            count: 154,
            inner,
            dtype: DType::BF16,
            index_dtype,
            table: 4096,
            table_strides: [0, inner],
            indices: 256,
            y,
            y_strides: [0, inner],
        }
    }

    #[test]
    fn gathered_rows_move_in_pieces_as_large_as_possible() {
        let aligned = gather(768, 512, DType::I64).launches().expect("a launch").remove(0);
        assert_eq!(
            (aligned.kernel.as_str(), aligned.grid[0]),
            ("oxd_gather_16", (154 * 96_u32).div_ceil(256))
        );
        assert_eq!(gather(768, 514, DType::I32).launches().expect("a launch")[0].kernel, "oxd_gather_2");
        assert_eq!(gather(770, 512, DType::I32).launches().expect("a launch")[0].kernel, "oxd_gather_4");
        assert!(gather(768, 512, DType::F32).launches().is_err());
    }

    #[test]
    fn products_need_one_type() {
        let operand = |dtype| Strided { address: 256, dtype, strides: vec![0, 64, 1] };
        let [a, b, y] = [DType::F16; 3].map(operand);
        let product = Matmul { sizes: [3, 65, 64, 10], a, b, y };
        assert_eq!(product.launches().expect("a launch")[0].grid, [2, 1, 3]);
        let mixed = Matmul { a: operand(DType::F32), ..product };
        assert!(mixed.launches().is_err());
    }

    #[test]
    fn nothing_is_launched_for_nothing() {
        let none = Fill { y: 0, dtype: DType::F32, count: 0, start: 1.0, step: 0.0 };
        assert!(none.launches().expect("no error").is_empty());
        let some = Fill { count: 257, ..none };
        assert_eq!(some.launches().expect("a launch")[0].grid, [2, 1, 1]);
    }
}
