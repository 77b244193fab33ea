//! PyTorch's CPU random numbers, value for value, so that a seed means the same image as in Python.
//!
//! The bits come from a Mersenne Twister; this module turns them into numbers like PyTorch. The way differs between element
//! types, and between short and long tensors, so each case is documented where it is computed.

mod box_muller;
mod engine;
mod generators;
mod loan;
mod random_float;
mod torch_state;

use std::f64::consts::TAU;

use self::engine::Engine;
pub use self::generators::Generators;
use self::loan::Lender;
pub use self::loan::Loan;
pub use self::random_float::RandomFloat;
use crate::error::{Error, Result};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use half::{bf16, f16};

/// PyTorch computes normal samples of long tensors in blocks of this size; shorter tensors are computed differently.
const BLOCK: usize = 16;

/// PyTorch's `torch.Generator("cpu")`: the same seed and the same calls give the same numbers.
///
/// Numbers are drawn on the CPU whatever the device of the tensor, as diffusers does with a CPU generator.
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
    engine: Box<Engine>,
    /// The unused second half of the last pair of normal samples; the next short tensor starts with it.
    next_normal: Option<f64>,
    /// Whom to return the generator to, if it is lent.
    lender: Lender,
}

impl Generator {
    /// A generator in the state that `torch.Generator().manual_seed(seed)` gives.
    ///
    /// As in PyTorch, only the lower 32 bits of `seed` matter. Python's negative seeds are `seed as u64` here.
    pub fn manual_seed(seed: u64) -> Self {
        let engine = Box::new(Engine::new((seed & 0xffff_ffff) as u32));
        Self { seed, engine, next_normal: None, lender: Lender::default() }
    }

    /// A generator with a seed from the operating system; [`Generator::initial_seed`] returns it.
    ///
    /// # Panics
    /// When the operating system provides no random numbers.
    pub fn from_entropy() -> Self {
        Self::manual_seed(getrandom::u64().expect("the operating system provides random numbers"))
    }

    /// The seed that this generator started from.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Samples of the standard normal distribution: `torch.randn(shape, generator=self, dtype=dtype)`.
    ///
    /// Single precision follows PyTorch's vectorised x86-64 code; PyTorch on other processors differs in the last bits.
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

    /// Samples for a tensor that PyTorch keeps in the memory format `channels_last`: `torch.randn_like(tensor)`. They are drawn in
    /// the order of the memory, one by one.
    ///
    /// Several latents of an encoder whose middle block has attention are such a tensor, so this is the noise of PyTorch's trainings.
    ///
    /// # Panics
    /// When `dtype` is not a floating point type.
    pub fn randn_channels_last(&mut self, shape: [usize; 4], dtype: DType, device: &Device) -> Tensor<4> {
        let [batch, channels, height, width] = shape;
        if batch == 1 || channels == 1 || height * width == 1 {
            // PyTorch then has the usual format.
            return self.randn(shape, dtype, device);
        }
        let samples: Vec<f64> = (0..shape.iter().product()).map(|_| self.normal()).collect();
        let samples = TensorData::new(samples, [batch, height, width, channels]);
        Tensor::<4>::from_data(samples.convert_dtype(dtype), (device, dtype)).permute([0, 3, 1, 2])
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
            // Instead of computing an incomplete block, PyTorch draws the last 16 values again.
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
        // The remainder favours small values; from this range on, PyTorch considers that too uneven with 32 bits.
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
            // Too many for the remainder of 32 bits to be even; PyTorch then shuffles from the inside out.
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
    /// This follows PyTorch 2.15; older builds with Intel's MKL draw other numbers.
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
    /// When `categories` is 0, the weights are not a whole number of rows, one of them is negative or not finite, or all
    /// weights of a row are 0.
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
                return Err(invalid("must not all be 0 in a row"));
            }
            // The shortest waiting time wins; the first in case of a tie.
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

    /// One normal sample of a short tensor of any type: Box-Muller in double precision, two samples at a time.
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
