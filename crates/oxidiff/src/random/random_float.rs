//! The element types that samples can have, and how each is drawn.

use burn::tensor::Element;
use half::{bf16, f16};

use super::box_muller::{box_muller_f32, box_muller_f64};
use super::{BLOCK, Generator};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}

/// The element types of samples: `f32`, `f64`, `f16` and `bf16`.
pub trait RandomFloat: Element + sealed::Sealed {
    /// Whether a long tensor whose length is not a multiple of 16 also draws uniform samples for its incomplete block.
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
                // Through f32, as in C++: rounding twice can differ from rounding once.
                Self::from_f32(value as f32)
            }

            fn uniform(generator: &mut Generator) -> Self {
                let value = Self::from_f32(generator.uniform_f32());
                // A value that rounds up to the excluded bound becomes the included one.
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
