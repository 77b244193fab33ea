//! Products of whole numbers of 8 bits, with the instructions that the processor has for them.

use super::activations::ActivationChunk;
use super::chunk::{Blocks, Chunk, GROUP, GROUPS};
use super::few_rows::SomeRows;

/// What a processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    /// `vpdpbusd` on 64 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// `vpdpbusd` on 32 bytes.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// `vpmaddubsw` on 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// `sdot`.
    #[cfg(target_arch = "aarch64")]
    Dot,
    Plain,
}

impl Instructions {
    /// All that this program has code for, the fastest first.
    const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Vnni,
        #[cfg(target_arch = "x86_64")]
        Self::AvxVnni,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "aarch64")]
        Self::Dot,
        Self::Plain,
    ];

    fn are_there(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Self::Avx2.are_there() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Dot => std::arch::is_aarch64_feature_detected!("dotprod"),
            Self::Plain => true,
        }
    }

    /// Those that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|instructions| instructions.are_there())
    }
}

/// The fastest that this processor has.
pub(super) fn best() -> Instructions {
    Instructions::available().next().expect("the plain ones are always there")
}

/// [`SomeRows::multiply`] with these instructions.
///
/// # Panics
/// When the processor does not have them.
pub(super) fn multiply<B: Blocks>(instructions: Instructions, rows: SomeRows<'_>, out: &mut [f32]) {
    assert!(instructions.are_there(), "{instructions:?} on a processor without them");
    match instructions {
        // SAFETY: the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni => unsafe { avx512::multiply::<B>(rows, out) },
        // SAFETY: the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::AvxVnni => unsafe { avx2::multiply_vnni::<B>(rows, out) },
        // SAFETY: the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { avx2::multiply::<B>(rows, out) },
        // SAFETY: the processor has the instructions.
        #[cfg(target_arch = "aarch64")]
        Instructions::Dot => unsafe { neon::multiply::<B>(rows, out) },
        Instructions::Plain => rows.multiply::<B>(out, plain::<B>),
    }
}

/// The factors of the sums of activations: what a number of zero stands for, negative.
#[inline(always)]
fn zeros<B: Blocks>(chunk: &Chunk) -> [f32; GROUPS] {
    std::array::from_fn(|group| chunk.scales[group] * f32::from(B::OFFSET) + chunk.minima[group])
}

/// The product on any processor; this also defines what the instructions compute.
#[inline(always)]
fn plain<B: Blocks>(chunk: &Chunk, activations: &ActivationChunk, sums: &mut [f32; GROUPS]) {
    let zeros = zeros::<B>(chunk);
    let numbers = chunk.numbers.as_chunks::<GROUP>().0.iter().zip(activations.numbers.as_chunks::<GROUP>().0);
    for (group, (weights, values)) in numbers.enumerate() {
        let dot: i32 =
            weights.iter().zip(values).map(|(weight, value)| i32::from(*weight) * i32::from(*value)).sum();
        sums[group] += chunk.scales[group] * activations.scales[group] * dot as f32
            - zeros[group] * activations.sums[group];
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm256_loadu_si256, _mm512_add_epi32, _mm512_castsi256_si512, _mm512_cvtepi32_ps,
        _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_inserti64x4, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_mul_ps, _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_set1_ps,
        _mm512_setr_epi32, _mm512_setzero_si512, _mm512_storeu_ps,
    };

    use super::super::chunk::{Blocks, Chunk, GROUPS};
    use super::{ActivationChunk, SomeRows};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")]
    pub fn multiply<B: Blocks>(rows: SomeRows<'_>, out: &mut [f32]) {
        rows.multiply::<B>(out, |chunk, activations, sums| dot::<B>(chunk, activations, sums));
    }

    /// Four vectors of 64 numbers, each of four groups: four lanes have the scale of a group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")]
    fn dot<B: Blocks>(chunk: &Chunk, activations: &ActivationChunk, sums: &mut [f32; GROUPS]) {
        let load = |values: &[f32; GROUPS]| -> __m512 {
            // SAFETY: there are as many values as lanes, read unaligned.
            unsafe { _mm512_loadu_ps(values.as_ptr()) }
        };
        let (weight_scales, mut sum) = (load(&chunk.scales), load(sums));
        let scales = _mm512_mul_ps(weight_scales, load(&activations.scales));
        let mut group = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
        for vector in 0..4 {
            // SAFETY: the four vectors are inside the arrays, read unaligned. Numbers that were just stored as halves are loaded as
            // such: a load of two stores would wait for them.
            let (low, high, values) = unsafe {
                let numbers = chunk.numbers.as_ptr().add(64 * vector);
                (
                    _mm256_loadu_si256(numbers.cast()),
                    _mm256_loadu_si256(numbers.add(32).cast()),
                    _mm512_loadu_si512(activations.numbers.as_ptr().add(64 * vector).cast()),
                )
            };
            let weights = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            let products = _mm512_dpbusd_epi32(_mm512_setzero_si512(), weights, values);
            let scales = _mm512_permutexvar_ps(group, scales);
            sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scales, sum);
            group = _mm512_add_epi32(group, _mm512_set1_epi32(4));
        }
        let offset = _mm512_set1_ps(f32::from(B::OFFSET));
        let zeros = _mm512_fmadd_ps(weight_scales, offset, load(&chunk.minima));
        sum = _mm512_fnmadd_ps(zeros, load(&activations.sums), sum);
        // SAFETY: there are as many sums as lanes, written unaligned.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), sum) };
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, __m256i, _mm256_abs_epi8, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps,
        _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
        _mm256_mul_ps, _mm256_permutevar8x32_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_ps,
        _mm256_setr_epi32, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_storeu_ps, _mm256_xor_si256,
    };

    use super::super::chunk::{Blocks, Chunk, GROUPS};
    use super::{ActivationChunk, SomeRows};

    const LANES: usize = 8;

    #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
    pub fn multiply_vnni<B: Blocks>(rows: SomeRows<'_>, out: &mut [f32]) {
        rows.multiply::<B>(out, |chunk, activations, sums| {
            dot::<B>(chunk, activations, sums, B::OFFSET, |weights, values| {
                _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), weights, values)
            });
        });
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn multiply<B: Blocks>(rows: SomeRows<'_>, out: &mut [f32]) {
        // Sums of two products have 16 bits. For numbers of 8 bits that is one too few, unless they have a sign.
        let is_wide = B::OFFSET == 128;
        let offset = if is_wide { 0 } else { B::OFFSET };
        rows.multiply::<B>(out, |chunk, activations, sums| {
            dot::<B>(chunk, activations, sums, offset, |weights, values| {
                let pairs = if is_wide {
                    let weights = _mm256_xor_si256(weights, _mm256_set1_epi8(i8::MIN));
                    _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(values, weights))
                } else {
                    _mm256_maddubs_epi16(weights, values)
                };
                _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
            });
        });
    }

    /// Eight vectors of 32 numbers, each of two groups: four lanes have the scale of a group. `products` adds the products of four
    /// neighbours.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn dot<B: Blocks>(
        chunk: &Chunk,
        activations: &ActivationChunk,
        sums: &mut [f32; GROUPS],
        offset: u8,
        products: impl Fn(__m256i, __m256i) -> __m256i,
    ) {
        let load = |values: &[f32; GROUPS], half: usize| -> __m256 {
            // SAFETY: both halves are inside the array, read unaligned.
            unsafe { _mm256_loadu_ps(values[half * LANES..].as_ptr()) }
        };
        for half in 0..2 {
            let (weight_scales, mut sum) = (load(&chunk.scales, half), load(sums, half));
            let scales = _mm256_mul_ps(weight_scales, load(&activations.scales, half));
            for pair in 0..4 {
                let vector = 4 * half + pair;
                // SAFETY: the eight vectors are inside the arrays, read unaligned.
                let (weights, values) = unsafe {
                    (
                        _mm256_loadu_si256(chunk.numbers.as_ptr().add(32 * vector).cast()),
                        _mm256_loadu_si256(activations.numbers.as_ptr().add(32 * vector).cast()),
                    )
                };
                let (first, second) = (2 * pair as i32, 2 * pair as i32 + 1);
                let group = _mm256_setr_epi32(first, first, first, first, second, second, second, second);
                let scales = _mm256_permutevar8x32_ps(scales, group);
                sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products(weights, values)), scales, sum);
            }
            if offset > 0 || B::HAS_MINIMA {
                let offset = _mm256_set1_ps(f32::from(offset));
                let zeros = _mm256_fmadd_ps(weight_scales, offset, load(&chunk.minima, half));
                sum = _mm256_fnmadd_ps(zeros, load(&activations.sums, half), sum);
            }
            // SAFETY: this half is inside the array, written unaligned.
            unsafe { _mm256_storeu_ps(sums[half * LANES..].as_mut_ptr(), sum) };
        }
    }
}

/// One instruction multiplies 16 bytes with a sign, a group, and adds the products of four neighbours.
#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::{int8x16_t, int32x4_t, vaddvq_s32, vdupq_n_s8, vdupq_n_s32, veorq_s8, vld1q_s8};
    use std::arch::asm;

    use super::super::chunk::{Blocks, Chunk, GROUP, GROUPS};
    use super::{ActivationChunk, SomeRows};

    #[target_feature(enable = "neon,dotprod")]
    pub fn multiply<B: Blocks>(rows: SomeRows<'_>, out: &mut [f32]) {
        rows.multiply::<B>(out, |chunk, activations, sums| dot::<B>(chunk, activations, sums));
    }

    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn dot<B: Blocks>(chunk: &Chunk, activations: &ActivationChunk, sums: &mut [f32; GROUPS]) {
        // Numbers of 8 bits get their sign back, the others have room for one.
        let is_wide = B::OFFSET == 128;
        let offset = if is_wide { 0.0 } else { f32::from(B::OFFSET) };
        for group in 0..GROUPS {
            // SAFETY: the vectors are inside the arrays.
            let (weights, values) = unsafe {
                (
                    vld1q_s8(chunk.numbers[group * GROUP..].as_ptr().cast()),
                    vld1q_s8(activations.numbers[group * GROUP..].as_ptr()),
                )
            };
            let weights = if is_wide { veorq_s8(weights, vdupq_n_s8(i8::MIN)) } else { weights };
            let products = vaddvq_s32(products(vdupq_n_s32(0), weights, values)) as f32;
            let scale = chunk.scales[group];
            let zero = scale * offset + chunk.minima[group];
            sums[group] += scale * activations.scales[group] * products - zero * activations.sums[group];
        }
    }

    /// `sums` plus the products. (Rust has no stable function for this yet.)
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn products(mut sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
        // SAFETY: the enabled features include the instruction, which only reads and writes these registers.
        unsafe {
            asm!(
                "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.16b",
                sums = inout(vreg) sums,
                weights = in(vreg) weights,
                values = in(vreg) values,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::linear::Sum;
    use crate::cpu::output::Output;
    use crate::cpu::quantised::activations::Activations;
    use crate::cpu::quantised::few_rows::{Weights, multiply_with};
    use crate::cpu::quantised::format::QuantisedFormat;

    /// Every bit pattern occurs, so that sums of the largest numbers would overflow if they could.
    #[test]
    fn all_instructions_give_the_product() {
        let (rows, depth) = (5, 768);
        for format in QuantisedFormat::ALL {
            let mut blocks: Vec<u8> = (0..rows * format.row_bytes(depth).unwrap())
                .map(|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[1])
                .collect();
            finite_scales(format, &mut blocks);
            let values: Vec<f32> = (0..3 * depth).map(|i| ((i * i) as f32 * 0.71).sin()).collect();
            let activations = Activations::new(&values, depth);
            let weights = Weights { format, blocks: &blocks, rows, depth };
            let product = |instructions| {
                let output = Output::<f32>::new(3 * rows);
                let sink = Sum { output: &output, bias: None, residual: None, columns: rows };
                multiply_with(instructions, &activations, weights, &sink);
                bytemuck::cast_slice::<u8, f32>(&output.finish()).to_vec()
            };
            let expected = product(Instructions::Plain);
            let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            for instructions in Instructions::available() {
                let difference: Vec<f32> =
                    product(instructions).iter().zip(&expected).map(|(a, b)| a - b).collect();
                let error = norm(&difference) / norm(&expected);
                assert!(error < 1e-5, "{} with {instructions:?}: off by {error}", format.name());
            }
        }
    }

    /// Gives random blocks scales and minima that are numbers.
    fn finite_scales(format: QuantisedFormat, blocks: &mut [u8]) {
        use QuantisedFormat::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
        let places: &[usize] = match format {
            Q4_0 | Q5_0 | Q8_0 => &[0],
            Q4_1 | Q5_1 | Q4K | Q5K => &[0, 2],
            Q2K => &[80, 82],
            Q3K => &[108],
            Q6K => &[208],
        };
        for block in blocks.chunks_exact_mut(format.block_bytes()) {
            for place in places {
                // An exponent between those of 1/8 and of 1.
                block[place + 1] = block[place + 1] & 0x83 | 0x30;
            }
        }
    }
}
