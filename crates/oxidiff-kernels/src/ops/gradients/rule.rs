//! Rules of differentiation, as steps of Burn's backward pass.

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use burn::backend::Flex;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;

use super::accumulation::{is_registered, registered, sum};

/// How the gradient of a result becomes the gradients of the `N` inputs. The implementing type holds what that takes, without
/// autodiff.
pub(in crate::ops) trait Rule<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradients of the inputs that are `tracked`, each with the shape and the element type of its input, from the
    /// gradient of the result, which may have any strides. Those of other inputs are ignored: do not compute them.
    fn gradients(self, gradient: FlexTensor, tracked: [bool; N]) -> [Option<FlexTensor>; N];
}

/// A rule as a step of the backward pass.
#[derive(Debug)]
pub(super) struct Step<R>(PhantomData<fn() -> R>);

impl<R> Step<R> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Rule<N>, const N: usize> Backward<Flex, N> for Step<R> {
    type State = R;

    fn backward(self, ops: Ops<R, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let tracked = ops.parents.each_ref().map(Option::is_some);
        let of_inputs = ops.state.gradients(gradient, tracked);
        for (node, mut gradient) in ops.parents.into_iter().zip(of_inputs) {
            let Some(node) = node else { continue };
            let gradient = gradient.take().expect("a rule computes the gradients of all tracked inputs");
            let shared: Arc<dyn Any + Send + Sync> = node.clone();
            // Leaves keep their gradients, so that consuming one would not take it out.
            let is_leaf = node.order == 0;
            let gradient = if !is_leaf && is_registered(node.id.value, &shared) {
                sum(gradients.consume::<Flex>(&node), gradient)
            } else {
                gradient
            };
            gradients.register::<Flex>(node.id, gradient);
            if !is_leaf {
                registered(node.id.value, &shared);
            }
        }
    }
}
