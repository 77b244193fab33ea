//! What an optimizer can change.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::gradients::numbers;
use super::state_file::StateFile;
use crate::error::Result;
use crate::loading::weights::{pop_field, push_field};
use crate::models::model::Model;

/// What [`Trained::read`] calls for every parameter: with its path, its shape, and its values in row-major order.
pub type ReadParameter<'a> = dyn FnMut(&str, &[usize], Vec<f32>) + 'a;

/// Parameters with paths, which an optimizer changes: those of a [`Model`], or [`LowRankLayers`](super::LowRankLayers).
pub trait Trained: Sized {
    /// Passes every parameter through `change`: its path and its values, in row-major order.
    #[must_use]
    fn changed(self, change: &mut dyn FnMut(&str, &mut Vec<f32>)) -> Self;

    /// Passes every parameter to `read`.
    fn read(&self, read: &mut ReadParameter<'_>);

    /// Adds the values of all parameters to the state of a training, under `prefix`.
    fn save_values(&self, file: &mut StateFile, prefix: &str) {
        self.read(&mut |name, shape, values| {
            file.put_f32(format!("{prefix}.{name}"), shape.to_vec(), values)
        });
    }

    /// The parameters with the values that [`Self::save_values`] wrote.
    ///
    /// # Errors
    /// When one is missing, or has another size.
    fn with_values(self, file: &StateFile, prefix: &str) -> Result<Self> {
        let mut failed = None;
        let restored = self.changed(&mut |name, values| {
            let name = format!("{prefix}.{name}");
            let stored = file.f32(&name).and_then(|stored| match stored.len() == values.len() {
                true => Ok(stored),
                false => {
                    let (has, needed) = (stored.len(), values.len());
                    Err(file.error(format!("`{name}` has {has} values, but {needed} are trained now")))
                }
            });
            match stored {
                Ok(stored) => *values = stored,
                Err(error) => failed = failed.take().or(Some(error)),
            }
        });
        failed.map_or(Ok(restored), Err)
    }
}

impl<M: Model> Trained for M {
    fn changed(self, change: &mut dyn FnMut(&str, &mut Vec<f32>)) -> Self {
        self.map(&mut Changer { change, path: Vec::new() })
    }

    fn read(&self, read: &mut ReadParameter<'_>) {
        self.visit(&mut Reader { read, path: Vec::new() });
    }
}

/// `tensor` with its values changed in place, if nothing else holds them.
pub(super) fn change_values<const D: usize>(
    tensor: Tensor<D>,
    change: impl FnOnce(&mut Vec<f32>),
) -> Tensor<D> {
    let (shape, device, dtype) = (tensor.dims(), tensor.device(), tensor.dtype());
    let mut values = numbers(tensor);
    change(&mut values);
    from_values(values, shape, &device, dtype)
}

pub(super) fn from_values<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::<D>::from_data(TensorData::new(values, shape), (device, DType::F32)).cast(dtype)
}

struct Changer<'a> {
    change: &'a mut dyn FnMut(&str, &mut Vec<f32>),
    path: Vec<String>,
}

impl ModuleMapper for Changer<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        param.map(|value| change_values(value, |values| (self.change)(&name, values)))
    }
}

struct Reader<'a> {
    read: &'a mut ReadParameter<'a>,
    path: Vec<String>,
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        (self.read)(&self.path.join("."), &value.dims(), numbers(value));
    }
}
