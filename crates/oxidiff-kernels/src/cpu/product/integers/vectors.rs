//! Products with instructions that multiply four numbers per lane: of AVX-512 VNNI, of AVX-VNNI and of Arm.

/// The product with vectors of `$lanes` lanes: for each step, four numbers of a row are multiplied with a vector of columns.
macro_rules! with_instructions {
    (
        $features:literal, $lanes:literal lanes, $rows:literal rows,
        $dot:ident, $splat_numbers:ident, $load_numbers:ident, $to_floats:ident,
        $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident, $fma:ident, $fnma:ident,
    ) => {
        use super::super::{BYTES, Integers, LEN, Place, Product, STEPS, VECTORS, plain};
        use crate::cpu::prefetch::prefetch;

        const LANES: usize = $lanes;
        const WIDTH: usize = VECTORS * LANES;

        /// # Safety
        /// As for [`Unit::multiply`](super::super::Unit::multiply), on a processor that has the instructions.
        #[target_feature(enable = $features)]
        pub unsafe fn multiply(rows: usize, product: Product<Integers>) {
            if rows == 0 || product.depth == 0 {
                // SAFETY: the caller makes the same promises.
                return unsafe { plain(rows, WIDTH, product) };
            }
            // SAFETY: the left matrix has a unit, and the caller promises the rest.
            unsafe {
                match (*product.left).traits {
                    0 => all_rows::<false, false>(rows, product),
                    Integers::HALVES => all_rows::<true, false>(rows, product),
                    Integers::MINIMA => all_rows::<false, true>(rows, product),
                    _ => all_rows::<true, true>(rows, product),
                }
            }
        }

        /// # Safety
        /// As for [`multiply`], with these traits.
        #[target_feature(enable = $features)]
        unsafe fn all_rows<const HALVES: bool, const MINIMA: bool>(rows: usize, product: Product<Integers>) {
            /// The most rows that leave registers for two sums of each, a row of the panel and four numbers.
            const ROWS: usize = $rows;
            let mut row = 0;
            let mut ahead = product.ahead;
            let lines = ahead.map(|ahead| ahead.lines_at_once(rows.div_ceil(ROWS)));
            // SAFETY: each tile is inside the rows, for which the caller promises the rest.
            unsafe {
                while row + ROWS <= rows {
                    for (ahead, lines) in ahead.iter_mut().zip(lines) {
                        ahead.fetch(lines);
                    }
                    tile::<ROWS, HALVES, MINIMA>(row, product);
                    row += ROWS;
                }
                while row < rows {
                    tile::<1, HALVES, MINIMA>(row, product);
                    row += 1;
                }
            }
        }

        /// # Safety
        /// As for [`all_rows`], for the `ROWS` rows from `row` on.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn tile<const ROWS: usize, const HALVES: bool, const MINIMA: bool>(
            row: usize,
            product: Product<Integers>,
        ) {
            let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
            let place = Place { width: WIDTH, in_eights: false };
            let parts = if HALVES { 2 } else { 1 };
            let mut sums = [[$splat(0.0); VECTORS]; ROWS];
            // SAFETY: the caller promises that all rows are there, and all places are inside a row of the panel; vectors are
            // read and written unaligned.
            unsafe {
                let left = left.add(row * left_stride);
                for k in 0..depth {
                    let weights: [*const Integers; ROWS] =
                        std::array::from_fn(|i| left.add(i * left_stride + k));
                    for weights in weights {
                        prefetch::<true, _>(weights.wrapping_add(ROWS * left_stride));
                    }
                    let panel = panel.add(k * WIDTH).cast::<u8>();
                    let values = |place: usize, vector: usize| {
                        $load(panel.add(place).cast::<f32>().add(vector * LANES))
                    };
                    for part in 0..parts {
                        let mut dots = [[$splat_numbers(0); VECTORS]; ROWS];
                        for (dots, weights) in dots.iter_mut().zip(weights) {
                            *dots = [$splat_numbers((*weights).corrections[part]); VECTORS];
                        }
                        for step in part * STEPS / parts..(part + 1) * STEPS / parts {
                            let numbers = panel.add(place.numbers(step, 0));
                            let columns: [_; VECTORS] =
                                std::array::from_fn(|j| $load_numbers(numbers.add(j * BYTES * LANES).cast()));
                            for (dots, weights) in dots.iter_mut().zip(weights) {
                                let four = (*weights).numbers.as_ptr().add(BYTES * step);
                                let four = $splat_numbers(four.cast::<i32>().read_unaligned());
                                for (dot, columns) in dots.iter_mut().zip(columns) {
                                    *dot = $dot(*dot, columns, four);
                                }
                            }
                        }
                        for j in 0..VECTORS {
                            let scales = values(place.scales(), j);
                            let totals = if HALVES {
                                values(place.sums(part), j)
                            } else {
                                $add(values(place.sums(0), j), values(place.sums(1), j))
                            };
                            for i in 0..ROWS {
                                let weights = &*weights[i];
                                let dot = $mul($to_floats(dots[i][j]), scales);
                                sums[i][j] = $fma(dot, $splat(weights.scales[part]), sums[i][j]);
                                if MINIMA {
                                    sums[i][j] = $fnma(totals, $splat(weights.minima[part]), sums[i][j]);
                                }
                            }
                        }
                    }
                }
                for (i, sums) in sums.into_iter().enumerate() {
                    let out = out.add((row + i) * out_stride);
                    for (j, sum) in sums.into_iter().enumerate() {
                        let out = out.add(j * LANES);
                        $store(out, if add { $add($load(out), sum) } else { sum });
                    }
                }
            }
        }

        const _: () = assert!(LEN == STEPS * BYTES);
    };
}

#[cfg(target_arch = "x86_64")]
pub mod avx512 {
    use std::arch::x86_64::{
        _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps,
        _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps,
        _mm512_storeu_ps,
    };

    with_instructions! {
        "avx512f,avx512vnni", 16 lanes, 6 rows,
        _mm512_dpbusd_epi32, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_cvtepi32_ps,
        _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_mul_ps,
        _mm512_fmadd_ps, _mm512_fnmadd_ps,
    }
}

#[cfg(target_arch = "x86_64")]
pub mod avx2 {
    use std::arch::x86_64::{
        _mm256_add_ps, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_fnmadd_ps,
        _mm256_loadu_ps, _mm256_loadu_si256, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_storeu_ps,
    };

    with_instructions! {
        "avx2,fma,avxvnni", 8 lanes, 3 rows,
        _mm256_dpbusd_avx_epi32, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_cvtepi32_ps,
        _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_mul_ps,
        _mm256_fmadd_ps, _mm256_fnmadd_ps,
    }
}

#[cfg(target_arch = "aarch64")]
pub mod neon {
    use std::arch::aarch64::{
        float32x4_t, int32x4_t, vaddq_f32, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s32, vfmaq_f32, vfmsq_f32,
        vld1q_f32, vld1q_s32, vmulq_f32, vst1q_f32,
    };
    use std::arch::asm;

    with_instructions! {
        "neon,dotprod", 4 lanes, 6 rows,
        add_products, vdupq_n_s32, vld1q_s32, vcvtq_f32_s32,
        vdupq_n_f32, vld1q_f32, vst1q_f32, vaddq_f32, vmulq_f32,
        product_plus, minus_product,
    }

    /// `sums` plus the products of four bytes per lane. (Rust has no stable function for this yet.)
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    fn add_products(mut sums: int32x4_t, columns: int32x4_t, numbers: int32x4_t) -> int32x4_t {
        // SAFETY: the enabled features include the instruction, which only reads and writes these registers.
        unsafe {
            asm!(
                "sdot {sums:v}.4s, {columns:v}.16b, {numbers:v}.16b",
                sums = inout(vreg) sums,
                columns = in(vreg) columns,
                numbers = in(vreg) numbers,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }

    /// `a * b + c`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn product_plus(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmaq_f32(c, a, b)
    }

    /// `c - a * b`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn minus_product(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmsq_f32(c, a, b)
    }
}
