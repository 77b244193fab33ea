//! Gradient checkpointing (Chen et al. 2016, <https://arxiv.org/abs/1604.06174>): blocks that keep nothing but their inputs for the
//! backward pass, which computes them again.

use std::cell::Cell;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};
use oxidiff_kernels::{MOST_RECOMPUTED_INPUTS, RecomputedGradient, RecomputedInput, recomputed};

use super::linear::Linear;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Lets the models that `call` calls keep little for the backward pass: the blocks of residual networks and transformers keep their
/// inputs alone, and are computed again when their gradients are. The gradients are the same. A step takes up to 60% more time.
///
/// ```
/// use oxidiff::training::{Recording, mse, with_gradient_checkpointing};
/// use oxidiff::{DType, Device, DownBlockType, Generator, Model, UNet2DConfig, UNet2DModel, UpBlockType};
///
/// let config = UNet2DConfig {
///     block_out_channels: vec![32, 32],
///     down_block_types: vec![DownBlockType::DownBlock2D; 2],
///     up_block_types: vec![UpBlockType::UpBlock2D; 2],
///     ..Default::default()
/// };
/// let model = UNet2DModel::init(&config, &Device::flex())?;
/// let noisy = Generator::manual_seed(0).randn([1, 3, 16, 16], DType::F32, &Device::flex()).autodiff();
/// let recording = Recording::of(&model, DType::F32);
/// let prediction = with_gradient_checkpointing(|| recording.model().forward(noisy.clone(), &[10.0]))?;
/// let gradients = recording.backward(&mse(prediction, noisy));
/// # assert!(gradients.get("conv_in.weight").is_some());
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub fn with_gradient_checkpointing<R>(call: impl FnOnce() -> R) -> R {
    with(true, call)
}

/// Calls `call` with recomputation on or off in this thread.
pub(crate) fn with<R>(is_on: bool, call: impl FnOnce() -> R) -> R {
    /// Sets it back when `call` panics, too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_ON.set(self.0);
        }
    }
    let _before = Before(IS_ON.replace(is_on));
    call()
}

/// Whether blocks are recomputed: within a call of [`with_gradient_checkpointing`].
pub(crate) fn is_on() -> bool {
    IS_ON.get()
}

/// An input of a block, as a part of a module.
pub(crate) fn input<const D: usize>(tensor: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), tensor)
}

/// The result of `forward` for a block with its inputs, of which nothing but these is kept. `low_rank` lists the layers of the block
/// that can have low-rank additions, which are no parameters of the module.
pub(crate) fn recompute<M: Module + Sync + 'static, const D: usize>(
    block: M,
    low_rank: for<'a> fn(&'a mut M) -> Vec<&'a mut Linear>,
    forward: fn(&M) -> Tensor<D>,
) -> Tensor<D> {
    with(false, || {
        let mut tracked = Tracked::default();
        let mut block = block;
        block.visit(&mut tracked);
        for addition in additions(&mut block, low_rank) {
            tracked.add(addition);
        }
        let Tracked { is_tracked, inputs } = tracked;
        if inputs.is_empty() || inputs.len() > MOST_RECOMPUTED_INPUTS {
            return forward(&block);
        }
        let mut plain = block.map(&mut WithoutAutodiff);
        for addition in additions(&mut plain, low_rank) {
            *addition = addition.clone().without_autodiff();
        }
        recomputed(forward(&plain), inputs, move |gradient| {
            with(false, || {
                #[cfg(test)]
                tests::RECOMPUTED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let mut leaves = Leaves { is_tracked: &is_tracked, at: 0, taken: Vec::new() };
                let mut block = plain.clone().map(&mut leaves);
                for addition in additions(&mut block, low_rank) {
                    *addition = leaves.leaf(addition.clone());
                }
                // The sum's gradient is that of the block's result.
                let mut gradients = (forward(&block) * gradient.autodiff()).sum().backward();
                drop(block);
                leaves.taken.into_iter().map(|take| take(&mut gradients)).collect()
            })
        })
    })
}

/// The low-rank additions of a block's layers.
fn additions<M>(
    block: &mut M,
    low_rank: for<'a> fn(&'a mut M) -> Vec<&'a mut Linear>,
) -> Vec<&mut Tensor<2>> {
    let layers = low_rank(block).into_iter().filter_map(|layer| layer.low_rank.as_deref_mut());
    layers.flat_map(|addition| [&mut addition.down, &mut addition.up]).collect()
}

/// Which tensors of a block need gradients.
#[derive(Default)]
struct Tracked {
    is_tracked: Vec<bool>,
    inputs: Vec<RecomputedInput>,
}

impl Tracked {
    fn add<const D: usize>(&mut self, tensor: &Tensor<D>) {
        let input = RecomputedInput::of(tensor);
        self.is_tracked.push(input.is_some());
        self.inputs.extend(input);
    }
}

impl ModuleVisitor for Tracked {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(&param.val());
    }
}

struct WithoutAutodiff;

impl ModuleMapper for WithoutAutodiff {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value) = (param.id, param.into_value());
        Param::initialized(id, value.without_autodiff())
    }
}

/// Makes leaves of the tensors that need gradients, and constants of the others.
struct Leaves<'a> {
    is_tracked: &'a [bool],
    at: usize,
    taken: Vec<TakeGradient>,
}

type TakeGradient = Box<dyn FnOnce(&mut Gradients) -> RecomputedGradient>;

impl Leaves<'_> {
    fn leaf<const D: usize>(&mut self, value: Tensor<D>) -> Tensor<D> {
        let is_tracked = self.is_tracked[self.at];
        self.at += 1;
        if !is_tracked {
            return value.autodiff();
        }
        let leaf = value.autodiff().require_grad();
        let seen = leaf.clone();
        self.taken.push(Box::new(move |gradients| {
            let gradient = leaf.grad_remove(gradients);
            // What the result does not depend on has a gradient of 0.
            gradient.unwrap_or_else(|| leaf.without_autodiff().zeros_like()).into()
        }));
        seen
    }
}

impl ModuleMapper for Leaves<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value) = (param.id, param.into_value());
        Param::initialized(id, self.leaf(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burn::tensor::{DType, Device};

    use super::*;
    use crate::models::model::Model;
    use crate::models::unets::{DownBlockType, UNet2DConfig, UNet2DModel, UpBlockType};
    use crate::random::Generator;
    use crate::training::{Recording, mse};

    /// How many blocks were computed again.
    pub(super) static RECOMPUTED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn all_blocks_of_a_model_are_computed_again() {
        let config = UNet2DConfig {
            block_out_channels: vec![32, 32],
            layers_per_block: 1,
            // With a channel a group, norms take away what the timestep adds.
            norm_num_groups: Some(4),
            down_block_types: vec![DownBlockType::DownBlock2D; 2],
            up_block_types: vec![UpBlockType::UpBlock2D; 2],
            ..Default::default()
        };
        let device = Device::flex();
        let model = UNet2DModel::init(&config, &device).unwrap();
        let noisy = Generator::manual_seed(0).randn([2, 3, 16, 16], DType::F32, &device).autodiff();
        let gradients = |is_on: bool| {
            let recording = Recording::of(&model, DType::F32);
            let predict = || recording.model().forward(noisy.clone(), &[10.0, 300.0]).unwrap();
            let prediction = if is_on { with_gradient_checkpointing(predict) } else { predict() };
            recording.backward(&mse(prediction, noisy.clone()))
        };
        let kept = gradients(false);
        assert_eq!(RECOMPUTED.load(Ordering::SeqCst), 0);
        let recomputed = gradients(true);
        // One block a resolution on the way down, two on the way up, and two in the middle.
        assert_eq!(RECOMPUTED.load(Ordering::SeqCst), 8);
        assert!(!is_on());
        for ((name, kept), (other, recomputed)) in kept.iter().zip(recomputed.iter()) {
            assert_eq!(name, other);
            let norm = kept.iter().map(|x| x * x).sum::<f32>().sqrt();
            let apart = kept.iter().zip(recomputed).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
            assert!(apart <= 1e-5 * norm, "{name}: {apart} of {norm}");
        }
    }
}
