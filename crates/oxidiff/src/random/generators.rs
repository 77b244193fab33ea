//! Noise for a batch, from one generator or one per item.

use burn::tensor::{DType, Device, Tensor};

use super::Generator;
use crate::error::{Error, Result};

/// The source of noise for a batch: one generator for the whole batch, or one per item.
///
/// With one generator per item, the noise of an item depends only on its own seed, not on its position in the batch.
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
