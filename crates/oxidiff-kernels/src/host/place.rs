//! Recognising tensors that share their memory, and so their values.

use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::{Bytes, Tensor};
use burn_flex::Layout;

/// Where the values of a tensor are in memory. While a `Place` exists, the values stay there and do not change. So two tensors
/// with the same place are equal, and no values need to be compared.
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
    /// The place of a tensor on the CPU; `None` on other devices.
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
