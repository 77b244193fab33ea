//! PyTorch's CPU random numbers, value for value, so that a seed means the same image as in Python.
//!
//! The bits come from a Mersenne Twister; this file holds what PyTorch makes of them. That differs between element
//! types and between short and long tensors, so each case is spelled out where it is computed.

use std::f64::consts::TAU;

use burn::tensor::{DType, Device, Element, Int, Tensor, TensorData};
use half::{bf16, f16};
use rand_mt::Mt;

use crate::error::{Error, Result};

/// PyTorch computes long normal samples in blocks of this many; fewer samples than this go another way.
const BLOCK: usize = 16;

/// PyTorch's `torch.Generator("cpu")`: the same seed and the same calls give the same numbers.
///
/// Numbers are made on the CPU whatever the device of the tensor is, as diffusers does with a CPU generator.
///
/// ```
/// use oxidiff::Generator;
///
/// let mut generator = Generator::manual_seed(0);
/// let noise = generator.randn_vec::<f32>(2);
/// assert!((noise[0] - 1.5410).abs() < 1e-4 && (noise[1] + 0.2934).abs() < 1e-4);
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    engine: Box<Mt>,
    /// The second half of the last pair of normal samples of a short tensor; the next short tensor starts with it.
    next_normal: Option<f64>,
}

impl Generator {
    /// A generator in the state that `torch.Generator().manual_seed(seed)` gives.
    ///
    /// Like in PyTorch only the lower 32 bits of `seed` choose the numbers. Python's negative seeds are
    /// `seed as u64` here.
    pub fn manual_seed(seed: u64) -> Self {
        let engine = Box::new(Mt::new((seed & 0xffff_ffff) as u32));
        Self { seed, engine, next_normal: None }
    }

    /// A generator with a seed from the operating system, which [`Generator::initial_seed`] tells.
    ///
    /// # Panics
    /// When the operating system has no random numbers to give.
    pub fn from_entropy() -> Self {
        Self::manual_seed(getrandom::u64().expect("the operating system gives random numbers"))
    }

    /// The seed that this generator started from.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Samples of the standard normal distribution: `torch.randn(shape, generator=self, dtype=dtype)`.
    ///
    /// Single precision follows PyTorch's vectorised x86-64 code; other processors' PyTorch differs in the last bits.
    ///
    /// # Panics
    /// When `dtype` is not a floating point type.
    pub fn randn<const D: usize>(&mut self, shape: [usize; D], dtype: DType, device: &Device) -> Tensor<D> {
        let len = shape.iter().product();
        let data = match dtype {
            DType::F64 => TensorData::new(self.randn_vec::<f64>(len), shape),
            DType::F32 | DType::Flex32 => TensorData::new(self.randn_vec::<f32>(len), shape),
            DType::F16 => TensorData::new(self.randn_vec::<f16>(len), shape),
            DType::BF16 => TensorData::new(self.randn_vec::<bf16>(len), shape),
            other => panic!("normal samples need a floating point type, not {other:?}"),
        };
        Tensor::from_data(data, (device, dtype))
    }

    /// [`Generator::randn`] in host memory: `torch.randn(len, generator=self)` of `T`'s dtype.
    pub fn randn_vec<T: RandomFloat>(&mut self, len: usize) -> Vec<T> {
        if len < BLOCK {
            return (0..len).map(|_| T::from_f64(self.normal())).collect();
        }

        let mut samples = Vec::with_capacity(len);
        for _ in 0..len / BLOCK {
            samples.extend(T::normal_block(self));
        }
        let rest = len % BLOCK;
        if rest != 0 {
            if T::DRAWS_REST {
                (0..rest).for_each(|_| T::skip_uniform(self));
            }
            // An incomplete block is not computed: the last 16 values are drawn again instead.
            samples.truncate(len - BLOCK);
            samples.extend(T::normal_block(self));
        }
        samples
    }

    /// Uniform samples from [0, 1): `torch.rand(shape, generator=self, dtype=dtype)`.
    ///
    /// # Panics
    /// When `dtype` is not a floating point type.
    pub fn rand<const D: usize>(&mut self, shape: [usize; D], dtype: DType, device: &Device) -> Tensor<D> {
        let len = shape.iter().product();
        let data = match dtype {
            DType::F64 => TensorData::new(self.rand_vec::<f64>(len), shape),
            DType::F32 | DType::Flex32 => TensorData::new(self.rand_vec::<f32>(len), shape),
            DType::F16 => TensorData::new(self.rand_vec::<f16>(len), shape),
            DType::BF16 => TensorData::new(self.rand_vec::<bf16>(len), shape),
            other => panic!("uniform samples need a floating point type, not {other:?}"),
        };
        Tensor::from_data(data, (device, dtype))
    }

    /// [`Generator::rand`] in host memory: `torch.rand(len, generator=self)` of `T`'s dtype.
    pub fn rand_vec<T: RandomFloat>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| T::uniform(self)).collect()
    }

    /// Integers from `low` up to but not including `high`: `torch.randint(low, high, shape, generator=self)`.
    ///
    /// # Errors
    /// When `low` is not less than `high`.
    pub fn randint<const D: usize>(
        &mut self,
        low: i64,
        high: i64,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D, Int>> {
        let values = self.randint_vec(low, high, shape.iter().product())?;
        Ok(Tensor::from_data(TensorData::new(values, shape), (device, DType::I64)))
    }

    /// [`Generator::randint`] in host memory.
    ///
    /// # Errors
    /// When `low` is not less than `high`.
    pub fn randint_vec(&mut self, low: i64, high: i64, len: usize) -> Result<Vec<i64>> {
        if low >= high {
            return Err(Error::argument("high", format!("{high} is not above `low`, which is {low}")));
        }
        let range = high.wrapping_sub(low) as u64;
        // The remainder favours small values; from here on PyTorch finds that too uneven with 32 bits.
        let wide = range >= 1 << 28;
        Ok((0..len)
            .map(|_| {
                let bits = if wide { self.bits64() } else { u64::from(self.bits32()) };
                low.wrapping_add((bits % range) as i64)
            })
            .collect())
    }

    /// The integers below `n` in random order: `torch.randperm(n, generator=self)`.
    pub fn randperm(&mut self, n: usize, device: &Device) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(self.randperm_vec(n), [n]), (device, DType::I64))
    }

    /// [`Generator::randperm`] in host memory.
    pub fn randperm_vec(&mut self, n: usize) -> Vec<i64> {
        if n >= u32::MAX as usize / 20 {
            // Too many for the remainder of 32 bits to be spread evenly; PyTorch then shuffles from the inside out.
            let mut values = vec![0; n];
            for i in 0..n {
                let j = (self.bits64() % (i as u64 + 1)) as usize;
                values[i] = values[j];
                values[j] = i as i64;
            }
            return values;
        }
        let mut values: Vec<i64> = (0..n as i64).collect();
        for i in 0..n.saturating_sub(1) {
            values.swap(i, i + self.bits32() as usize % (n - i));
        }
        values
    }

    /// Samples of the exponential distribution with mean 1: `torch.empty(len).exponential_(generator=self)`.
    ///
    /// This is what PyTorch 2.15 computes; older builds with Intel's MKL draw other numbers.
    pub fn exponential_vec(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| -(-self.uniform_f64()).ln_1p() as f32).collect()
    }

    /// Draws one of `categories` for each row of `weights`: `torch.multinomial(weights, 1, generator=self)`.
    ///
    /// ```
    /// use oxidiff::Generator;
    ///
    /// let mut generator = Generator::manual_seed(0);
    /// assert_eq!(generator.multinomial(&[0.0, 1.0, 0.5, 0.0], 2)?, [1, 0]);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `categories` is 0, the weights are no whole number of rows, one of them is negative or not finite, or all of
    /// a row are 0.
    pub fn multinomial(&mut self, weights: &[f32], categories: usize) -> Result<Vec<usize>> {
        let invalid = |message: &str| Error::argument("weights", message);
        if categories == 0 || !weights.len().is_multiple_of(categories) {
            return Err(invalid("must be a whole number of rows of at least one category"));
        }
        if weights.iter().any(|weight| !(0.0..f32::INFINITY).contains(weight)) {
            return Err(invalid("must not be negative, and must be finite"));
        }
        let samples = self.exponential_vec(weights.len());
        let rows = weights.chunks_exact(categories).zip(samples.chunks_exact(categories));
        rows.map(|(weights, samples)| {
            if weights.iter().all(|&weight| weight == 0.0) {
                return Err(invalid("must not be 0 throughout a row"));
            }
            // The shortest waiting time wins; of equal ones the first.
            let mut best = 0;
            for category in 1..categories {
                if weights[category] / samples[category] > weights[best] / samples[best] {
                    best = category;
                }
            }
            Ok(best)
        })
        .collect()
    }

    /// One normal sample of a short tensor, of whatever type: Box-Muller in double precision, two samples at a time.
    fn normal(&mut self) -> f64 {
        if let Some(sample) = self.next_normal.take() {
            return sample;
        }
        let (u1, u2) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let theta = TAU * u1;
        self.next_normal = Some(radius * theta.sin());
        radius * theta.cos()
    }

    fn uniform_f32(&mut self) -> f32 {
        (self.bits32() & ((1 << f32::MANTISSA_DIGITS) - 1)) as f32 / (1_u32 << f32::MANTISSA_DIGITS) as f32
    }

    fn uniform_f64(&mut self) -> f64 {
        (self.bits64() & ((1 << f64::MANTISSA_DIGITS) - 1)) as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64
    }

    fn bits32(&mut self) -> u32 {
        self.engine.next_u32()
    }

    fn bits64(&mut self) -> u64 {
        let high = u64::from(self.bits32());
        high << 32 | u64::from(self.bits32())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}

/// The element types that [`Generator`] has samples for: `f32`, `f64`, `f16` and `bf16`.
pub trait RandomFloat: Element + sealed::Sealed {
    /// Whether a long tensor whose length is no multiple of 16 uses up uniform samples for its incomplete block.
    #[doc(hidden)]
    const DRAWS_REST: bool;

    #[doc(hidden)]
    fn from_f64(value: f64) -> Self;

    #[doc(hidden)]
    fn uniform(generator: &mut Generator) -> Self;

    #[doc(hidden)]
    fn skip_uniform(generator: &mut Generator) {
        Self::uniform(generator);
    }

    #[doc(hidden)]
    fn normal_block(generator: &mut Generator) -> [Self; BLOCK];
}

impl RandomFloat for f32 {
    const DRAWS_REST: bool = true;

    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn uniform(generator: &mut Generator) -> Self {
        generator.uniform_f32()
    }

    fn normal_block(generator: &mut Generator) -> [Self; BLOCK] {
        let mut block = std::array::from_fn(|_| generator.uniform_f32());
        box_muller_f32(&mut block);
        block
    }
}

impl RandomFloat for f64 {
    const DRAWS_REST: bool = true;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn uniform(generator: &mut Generator) -> Self {
        generator.uniform_f64()
    }

    fn normal_block(generator: &mut Generator) -> [Self; BLOCK] {
        let mut block = std::array::from_fn(|_| generator.uniform_f64());
        box_muller_f64(&mut block);
        block
    }
}

/// Half precision is computed in single precision and rounded at the end.
macro_rules! impl_random_float_for_half {
    ($half:ty) => {
        impl RandomFloat for $half {
            const DRAWS_REST: bool = false;

            fn from_f64(value: f64) -> Self {
                // By way of f32, as C++ converts: rounding twice can differ from rounding once.
                Self::from_f32(value as f32)
            }

            fn uniform(generator: &mut Generator) -> Self {
                let value = Self::from_f32(generator.uniform_f32());
                // What rounds up to the excluded bound becomes the included one.
                if value == Self::ONE { Self::ZERO } else { value }
            }

            fn normal_block(generator: &mut Generator) -> [Self; BLOCK] {
                f32::normal_block(generator).map(Self::from_f32)
            }
        }
    };
}

impl_random_float_for_half!(f16);
impl_random_float_for_half!(bf16);

/// Turns uniform samples into normal ones; sample `i` and sample `i + 8` make a pair.
fn box_muller_f64(block: &mut [f64; BLOCK]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        let theta = TAU * *b;
        (*a, *b) = (radius * theta.cos(), radius * theta.sin());
    }
}

/// [`box_muller_f64`] in single precision, with the logarithm and the sine that PyTorch's AVX2 code uses.
fn box_muller_f32(block: &mut [f32; BLOCK]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * cephes_ln(1.0 - *a)).sqrt();
        let (sin, cos) = cephes_sin_cos(std::f32::consts::TAU * *b);
        (*a, *b) = (radius * cos, radius * sin);
    }
}

/// Natural logarithm of a positive normal number, by the single precision Cephes library's polynomial.
///
/// The multiplications that PyTorch's build fuses with the following addition are fused here too: without that, one
/// sample in a few thousand differs in its last bit.
fn cephes_ln(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts, the first of which has few enough bits for exact products.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    // x = mantissa * 2^exponent with a mantissa between sqrt(1/2) and sqrt(2).
    let bits = x.to_bits();
    let mut exponent = (bits >> 23) as f32 - 126.0;
    let mut mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    if mantissa < std::f32::consts::FRAC_1_SQRT_2 {
        exponent -= 1.0;
        mantissa += mantissa;
    }

    let x = mantissa - 1.0;
    let square = x * x;
    let polynomial = COEFFICIENTS[1..].iter().fold(COEFFICIENTS[0], |sum, &c| sum.mul_add(x, c)) * x;
    let tail = polynomial.mul_add(square, exponent * LN_2_LOW);
    exponent.mul_add(LN_2_HIGH, x + (-square).mul_add(0.5, tail))
}

/// Sine and cosine of an angle between 0 and 2π, by the single precision Cephes library's polynomials.
fn cephes_sin_cos(x: f32) -> (f32, f32) {
    // π/4 in three parts, for an exact reduction of the argument.
    const FRAC_PI_4: [f32; 3] = [0.785_156_25, 2.418_756_5e-4, 3.774_895e-8];

    let octant = ((x * (4.0 / std::f32::consts::PI)) as u32 + 1) & !1;
    let x = FRAC_PI_4.iter().fold(x, |x, &part| (octant as f32).mul_add(-part, x));
    let square = x * x;

    let cos = 2.443_315_7e-5_f32.mul_add(square, -1.388_731_6e-3).mul_add(square, 4.166_664_6e-2) * square;
    let cos = cos.mul_add(square, -(square * 0.5)) + 1.0;
    let sin = (-1.951_529_6e-4_f32).mul_add(square, 8.332_161e-3).mul_add(square, -1.666_665_5e-1) * square;
    let sin = sin.mul_add(x, x);

    match octant & 6 {
        0 => (sin, cos),
        2 => (cos, -sin),
        4 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// Where a batch takes its noise from: one generator for all of it, or one for each item.
///
/// With one generator per item, an item's noise depends on its own seed alone and not on its place in the batch.
///
/// ```
/// use oxidiff::{Generator, Generators};
///
/// let one = Generators::from(Generator::manual_seed(0));
/// let per_item: Generators = (0..4).map(Generator::manual_seed).collect::<Vec<_>>().into();
/// # let _ = (one, per_item);
/// ```
#[derive(Clone, Debug)]
pub enum Generators {
    /// One generator fills the whole batch in order.
    One(Generator),
    /// Item `i` of the batch is filled by generator `i`.
    PerItem(Vec<Generator>),
}

impl Generators {
    /// One generator with a seed from the operating system.
    pub(crate) fn from_entropy() -> Self {
        Self::One(Generator::from_entropy())
    }

    /// Normal samples for a batch, whose size is the first dimension: diffusers' `randn_tensor`.
    ///
    /// A list of one generator counts as [`Generators::One`].
    ///
    /// # Errors
    /// When the number of generators is not the batch size.
    ///
    /// # Panics
    /// When `dtype` is not a floating point type.
    pub fn randn<const D: usize>(
        &mut self,
        shape: [usize; D],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let generators = match self {
            Self::One(generator) => return Ok(generator.randn(shape, dtype, device)),
            Self::PerItem(generators) => generators.as_mut_slice(),
        };
        if let [generator] = generators {
            return Ok(generator.randn(shape, dtype, device));
        }
        let batch_size = shape.first().copied().unwrap_or(1);
        if generators.is_empty() || generators.len() != batch_size {
            let message = format!(
                "{} generators for a batch of {batch_size}: give one, or one per item",
                generators.len()
            );
            return Err(Error::argument("generator", message));
        }

        let mut item_shape = shape;
        item_shape[0] = 1;
        let items =
            generators.iter_mut().map(|generator| generator.randn(item_shape, dtype, device)).collect();
        Ok(Tensor::cat(items, 0))
    }
}

impl From<Generator> for Generators {
    fn from(generator: Generator) -> Self {
        Self::One(generator)
    }
}

impl From<Vec<Generator>> for Generators {
    fn from(generators: Vec<Generator>) -> Self {
        Self::PerItem(generators)
    }
}
