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
    /// Item `i` of the batch is filled by generator `of_item[i]`. Items that share a generator draw from it in turn, as a
    /// list of Python does that holds a generator more than once.
    Shared {
        /// The generators, each once.
        generators: Vec<Generator>,
        /// The index of each item's generator.
        of_item: Vec<usize>,
    },
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
        let Some(items) = self.items() else { return Ok(self.of_item(0)?.randn(shape, dtype, device)) };
        if items == 1 {
            return Ok(self.of_item(0)?.randn(shape, dtype, device));
        }
        let batch_size = shape.first().copied().unwrap_or(1);
        self.check(batch_size)?;
        if items == 0 {
            return Err(Error::argument("generator", "the list of generators is empty"));
        }

        self.randn_of_items(shape, dtype, device)
    }

    /// Normal samples for a batch, each item by its own generator. If there are more generators than items, the first ones are
    /// used.
    ///
    /// # Errors
    /// When an item has no generator.
    pub(crate) fn randn_of_items<const D: usize>(
        &mut self,
        shape: [usize; D],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let mut item_shape = shape;
        item_shape[0] = 1;
        let draw = |item| Ok(self.of_item(item)?.randn(item_shape, dtype, device));
        Ok(Tensor::cat((0..shape[0]).map(draw).collect::<Result<_>>()?, 0))
    }

    /// The generator of the first item alone.
    ///
    /// # Errors
    /// When there are no generators.
    pub(crate) fn into_first(mut self) -> Result<Self> {
        if let Self::PerItem(generators) | Self::Shared { generators, .. } = &mut self {
            // The list is dropped, which returns the others to whoever lent them.
            let first = generators.drain(..).next();
            return first
                .map(Self::One)
                .ok_or_else(|| Error::argument("generator", "the list of generators is empty"));
        }
        Ok(self)
    }

    /// The number of items that have a generator of their own; `None` if one generator fills the whole batch.
    pub(crate) fn items(&self) -> Option<usize> {
        match self {
            Self::One(_) => None,
            Self::PerItem(generators) => Some(generators.len()),
            Self::Shared { of_item, .. } => Some(of_item.len()),
        }
    }

    /// Checks that there is one generator, or one for each of `items`.
    pub(crate) fn check(&self, items: usize) -> Result<()> {
        match self.items() {
            Some(given) if given != items => {
                let message = format!("{given} generators for a batch of {items}: give one, or one per item");
                Err(Error::argument("generator", message))
            }
            _ => Ok(()),
        }
    }

    /// The generator that fills an item.
    ///
    /// # Errors
    /// When the item has none.
    pub(crate) fn of_item(&mut self, item: usize) -> Result<&mut Generator> {
        let generator = match self {
            Self::One(generator) => Some(generator),
            Self::PerItem(generators) => generators.get_mut(item),
            Self::Shared { generators, of_item } => {
                of_item.get(item).and_then(|&generator| generators.get_mut(generator))
            }
        };
        generator.ok_or_else(|| Error::argument("generator", format!("there is none for item {item}")))
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
