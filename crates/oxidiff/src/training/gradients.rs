//! From a model to the gradients of its parameters.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{DType, Gradients, Tensor};

use crate::loading::weights::{pop_field, push_field};
use crate::models::model::Model;

/// A model whose operations are recorded for one training step.
///
/// The recorded model shares its weights with the model that it was made of.
pub struct Recording<M> {
    model: M,
    leaves: Leaves,
}

impl<M: Model> Recording<M> {
    /// Records all parameters of `model`. It computes in `dtype`; the gradients are those of the parameters themselves, as with
    /// mixed precision (Micikevicius et al. 2017, <https://arxiv.org/abs/1710.03740>).
    pub fn of(model: &M, dtype: DType) -> Self {
        Self::of_some(model, dtype, |_| true)
    }

    /// Like [`Self::of`], with gradients only for the parameters whose path `is_trained`.
    pub fn of_some(model: &M, dtype: DType, is_trained: impl Fn(&str) -> bool) -> Self {
        let mut recorder =
            Recorder { dtype, is_trained: &is_trained, path: Vec::new(), leaves: Leaves::default() };
        let model = model.clone().map(&mut recorder);
        Self { model, leaves: recorder.leaves }
    }

    /// A model that takes part in a step but has no gradients itself.
    pub fn frozen(model: &M, dtype: DType) -> M {
        Self::of_some(model, dtype, |_| false).model
    }

    /// The model to call. Its inputs must have [`autodiff`](Tensor::autodiff) too.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The gradients of `loss`, which was computed from [`Self::model`].
    ///
    /// # Panics
    /// When the loss does not depend on a recorded parameter.
    pub fn backward(self, loss: &Tensor<1>) -> ParameterGradients {
        // The model must not hold on to its weights while the gradients are computed.
        let Self { model, leaves } = self;
        drop(model);
        leaves.take(&mut loss.backward())
    }

    /// The recorded model and the parameters that wait for their gradients, for steps with several models.
    pub fn into_parts(self) -> (M, Leaves) {
        (self.model, self.leaves)
    }
}

/// The parameters of a recorded model that wait for their gradients.
#[derive(Default)]
pub struct Leaves(Vec<(String, TakeGradient)>);

type TakeGradient = Box<dyn FnOnce(&mut Gradients) -> Option<Vec<f32>>>;

impl Leaves {
    /// Tracks `value`, and returns it as the model should see it.
    pub(super) fn track<const D: usize>(
        &mut self,
        name: String,
        value: Tensor<D>,
        dtype: DType,
    ) -> Tensor<D> {
        let leaf = value.without_autodiff().autodiff().require_grad();
        let seen = if leaf.dtype() == dtype { leaf.clone() } else { leaf.clone().cast(dtype) };
        let take = move |gradients: &mut Gradients| leaf.grad_remove(gradients).map(numbers);
        self.0.push((name, Box::new(take)));
        seen
    }

    /// The gradients that `gradients` holds for these parameters.
    pub fn take(self, gradients: &mut Gradients) -> ParameterGradients {
        let taken = self.0.into_iter().map(|(name, take)| Some((name, take(gradients)?)));
        ParameterGradients { gradients: taken.flatten().collect() }
    }
}

/// The values of a tensor in host memory, in `f32`.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_into_vec().expect("just cast to f32")
}

struct Recorder<'a> {
    dtype: DType,
    is_trained: &'a dyn Fn(&str) -> bool,
    path: Vec<String>,
    leaves: Leaves,
}

impl ModuleMapper for Recorder<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let (id, value) = (param.id, param.into_value());
        let seen = if (self.is_trained)(&name) {
            self.leaves.track(name, value, self.dtype)
        } else {
            value.cast(self.dtype).autodiff()
        };
        Param::initialized(id, seen)
    }
}

/// The gradients of parameters, by the parameters' paths.
#[derive(Clone, Debug, Default)]
pub struct ParameterGradients {
    gradients: Vec<(String, Vec<f32>)>,
}

impl ParameterGradients {
    /// The gradient of the parameter at `path`, in row-major order; `None` if the loss does not depend on it.
    pub fn get(&self, path: &str) -> Option<&[f32]> {
        self.gradients.iter().find(|(name, _)| name == path).map(|(_, gradient)| gradient.as_slice())
    }

    /// The paths and gradients, in the order of the model's fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.gradients.iter().map(|(name, gradient)| (name.as_str(), gradient.as_slice()))
    }

    /// The gradients with `module` before their paths, as of a part of a larger model.
    #[must_use]
    pub fn within(mut self, module: &str) -> Self {
        for (name, _) in &mut self.gradients {
            *name = format!("{module}.{name}");
        }
        self
    }

    /// Adds the gradients of another part of the batch, or of other parameters.
    pub fn accumulate(&mut self, other: Self) {
        for (name, gradient) in other.gradients {
            match self.gradients.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => sum.iter_mut().zip(gradient).for_each(|(sum, more)| *sum += more),
                None => self.gradients.push((name, gradient)),
            }
        }
    }

    /// Scales the gradients so that their common L2 norm is at most `max_norm`, and returns the norm before:
    /// `torch.nn.utils.clip_grad_norm_`.
    pub fn clip_norm(&mut self, max_norm: f64) -> f64 {
        Self::clip_common_norm([self], max_norm)
    }

    /// As [`Self::clip_norm`], for the parameters of several models together.
    pub fn clip_common_norm<'a>(all: impl IntoIterator<Item = &'a mut Self>, max_norm: f64) -> f64 {
        let mut all = Vec::from_iter(all);
        let squares = |gradient: &Vec<f32>| {
            // In parts, as a sum in `f32` would lose small terms, and one in `f64` is slow.
            gradient.chunks(256).map(|part| f64::from(part.iter().map(|x| x * x).sum::<f32>())).sum::<f64>()
        };
        let norm = all.iter().flat_map(|some| &some.gradients).map(|(_, it)| squares(it)).sum::<f64>().sqrt();
        // Torch adds this, against a division by 0.
        let factor = (max_norm / (norm + 1e-6)) as f32;
        if factor < 1.0 {
            for (_, gradient) in all.iter_mut().flat_map(|some| &mut some.gradients) {
                gradient.iter_mut().for_each(|x| *x *= factor);
            }
        }
        norm
    }
}
