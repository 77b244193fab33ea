//! Which tensors share their memory, and so their values.

use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::{Bytes, Tensor};
use burn_flex::Layout;

/// Where the values of a tensor are. As long as it exists they stay there and do not change, so that tensors at equal places are
/// equal, which is found out without a look at their values.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use oxidiff_kernels::Place;
///
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let place = Place::of(&x);
/// assert!(place.is_some() && place == Place::of(&x.clone()));
/// assert!(place != Place::of(&(x + 0.0)));
/// ```
#[derive(Clone)]
pub struct Place {
    data: Arc<Bytes>,
    layout: Layout,
}

impl Place {
    /// The place of a tensor on the CPU; that of others is not known.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
        Some(Self { data: tensor.data_arc(), layout: tensor.layout().clone() })
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.data, &other.data) && self.layout == other.layout
    }
}
