//! The place of an operation in the graph that autodiff records.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use burn::tensor::{DType, Tensor};
use burn_autodiff::checkpoint::strategy::{BalancedCheckpointing, NoCheckpointing};
use burn_autodiff::ops::{Backward, NodeGuard, OpsKind};
use burn_flex::FlexTensor;

use super::rule::{Rule, Step};

/// What [`Device::gradient_checkpointing`](burn::tensor::Device::gradient_checkpointing) chose. It decides what Burn's own
/// operations keep; the operations of this crate keep what their rules need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) enum Strategy {
    NoCheckpointing,
    Balanced,
}

/// A tensor, or the absence of one, as an input of a differentiable operation.
pub(in crate::ops) enum Input {
    /// A node of the graph.
    Node(FloatTensor<Autodiff<Flex>>, Strategy),
    /// Not part of the graph.
    Constant,
    /// On another backend.
    Elsewhere,
}

impl<const D: usize> From<&Tensor<D>> for Input {
    fn from(tensor: &Tensor<D>) -> Self {
        if tensor.clone().try_into_primitive::<Flex>().is_ok() {
            return Self::Constant;
        }
        if let Ok(tensor) = tensor.clone().try_into_primitive::<Autodiff<Flex>>() {
            return Self::Node(tensor, Strategy::NoCheckpointing);
        }
        match tensor.clone().try_into_primitive::<Autodiff<Flex, BalancedCheckpointing>>() {
            Ok(tensor) => Self::Node(tensor, Strategy::Balanced),
            Err(_) => Self::Elsewhere,
        }
    }
}

impl<const D: usize> From<Option<&Tensor<D>>> for Input {
    fn from(tensor: Option<&Tensor<D>>) -> Self {
        tensor.map_or(Self::Constant, Self::from)
    }
}

/// The inputs of an operation in the graph that autodiff records.
pub(in crate::ops) struct Graph<const N: usize> {
    nodes: [NodeGuard; N],
    /// Which inputs need a gradient.
    tracked: [bool; N],
    strategy: Strategy,
}

impl<const N: usize> Graph<N> {
    /// `None` if no input has autodiff, or one is not on the CPU.
    pub fn of(inputs: [Input; N]) -> Option<Self> {
        let mut strategies = inputs.iter().filter_map(|input| match input {
            Input::Node(_, strategy) => Some(*strategy),
            _ => None,
        });
        let strategy = strategies.next()?;
        if strategies.any(|other| other != strategy)
            || inputs.iter().any(|input| matches!(input, Input::Elsewhere))
        {
            return None;
        }
        let tracked =
            inputs.each_ref().map(|input| matches!(input, Input::Node(tensor, _) if tensor.is_tracked()));
        let nodes = inputs.map(|input| match input {
            Input::Node(tensor, _) => tensor.node(),
            // A leaf that needs no gradient.
            _ => Autodiff::<Flex>::from_inner(FlexTensor::empty([0].into(), DType::F32)).node(),
        });
        Some(Self { nodes, tracked, strategy })
    }

    /// Whether any input needs a gradient.
    pub fn is_tracked(&self) -> bool {
        self.tracked.contains(&true)
    }

    /// Makes `output`, computed without autodiff, the result of the operation. `rule` makes the rule for its gradients, from
    /// which inputs need one; it is called only if any does.
    pub fn finish<const D: usize, R: Rule<N>>(
        self,
        output: Tensor<D>,
        rule: impl FnOnce([bool; N]) -> R,
    ) -> Tensor<D> {
        let output = output.try_into_primitive::<Flex>().expect("computed on the CPU, without autodiff");
        let prepared = Step::<R>::new().prepare::<NoCheckpointing>(self.nodes).compute_bound().stateful();
        let output = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(rule(self.tracked), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        };
        with_autodiff(output, self.strategy)
    }

    /// Makes `output`, computed without autodiff, a constant of the graph.
    pub fn constant<const D: usize>(self, output: Tensor<D>) -> Tensor<D> {
        let output = output.try_into_primitive::<Flex>().expect("computed on the CPU, without autodiff");
        with_autodiff(Autodiff::<Flex>::from_inner(output), self.strategy)
    }
}

fn with_autodiff<const D: usize>(tensor: FloatTensor<Autodiff<Flex>>, strategy: Strategy) -> Tensor<D> {
    match strategy {
        Strategy::NoCheckpointing => Tensor::from_primitive::<Autodiff<Flex>>(tensor),
        Strategy::Balanced => Tensor::from_primitive::<Autodiff<Flex, BalancedCheckpointing>>(tensor),
    }
}
