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

impl Input {
    /// Whether it needs a gradient.
    pub fn is_tracked(&self) -> bool {
        matches!(self, Self::Node(tensor, _) if tensor.is_tracked())
    }
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
        let tracked = inputs.each_ref().map(Input::is_tracked);
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::ops::convolution::{Addends, conv2d, conv2d_plain};
    use crate::ops::gradients::testing::{distance, random};
    use crate::ops::linear::{linear, linear_geglu};

    fn assert_same<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
        assert!(found.is_autodiff());
        assert!(found.without_autodiff().into_data() == expected.into_data());
    }

    /// A plain convolution rounds differently.
    #[test]
    fn results_come_from_the_kernels() {
        let x = random(64 * 130, 1.0).reshape([1, 64, 130]);
        let weight = random(90 * 130, 1.0).reshape([90, 130]);
        let y = linear(x.clone(), weight.clone(), None, None);
        let gated = linear_geglu(x.clone(), weight.clone(), None);
        for leaf in [weight.clone().autodiff(), weight.clone().autodiff().require_grad()] {
            assert_same(linear(x.clone(), leaf, None, None), y.clone());
        }
        assert_same(linear_geglu(x.clone(), weight.clone().autodiff(), None), gated);

        let image = x.reshape([1, 26, 16, 20]);
        let kernels = weight.reshape([50, 26, 3, 3]);
        let y = conv2d(image.clone(), kernels.clone(), Addends::default(), 1, 1);
        let plain = conv2d_plain(image.clone(), kernels.clone(), Addends::default(), 1, 1);
        assert!(y.clone().into_data() != plain.into_data());
        let leaf = image.autodiff().require_grad();
        assert_same(conv2d(leaf, kernels, Addends::default(), 1, 1), y);
    }

    #[test]
    fn burn_differentiates_types_without_a_kernel() {
        let [x, weight] = [random(60, 1.0), random(30, 1.0)];
        let gradient = |dtype: DType| {
            let leaf = weight.clone().cast(dtype).autodiff().require_grad();
            // A tensor without autodiff meets one with it.
            let y = linear(x.clone().cast(dtype).reshape([10, 6]), leaf.clone().reshape([5, 6]), None, None);
            assert_eq!(y.dtype(), dtype);
            leaf.grad(&y.square().sum().backward()).expect("of a leaf").cast(DType::F32)
        };
        assert!(distance(gradient(DType::F64), gradient(DType::F32)) < 1e-6);
    }

    #[test]
    fn works_with_gradient_checkpointing() {
        let [x, weight, gate] = [random(60, 1.0), random(36, 1.0), random(36, 1.0)];
        let gradient = |device: &Device| {
            let on_device = |x: &Tensor<1>| {
                let values: TensorData = x.to_data();
                Tensor::<1>::from_data(values, device).require_grad()
            };
            let leaves = [&x, &weight, &gate].map(on_device);
            let [x, weight, gate] = leaves.clone();
            // Burn computes the sum and the product again; both come from operations of this crate.
            let (weight, gate) = (weight.reshape([6, 6]), gate.reshape([6, 6]));
            let x = x.reshape([1, 10, 6]);
            let y = linear(x.clone(), weight, None, Some(x.clone())) + 1.0;
            let y = linear_geglu(y.clone() * x, gate, None) * y.narrow(2, 0, 3);
            let gradients = y.square().sum().backward();
            leaves.map(|leaf| leaf.grad(&gradients).expect("of a leaf"))
        };
        let plain = gradient(&Device::flex().autodiff());
        let again = gradient(&Device::flex().autodiff().gradient_checkpointing());
        for (again, plain) in again.into_iter().zip(plain) {
            assert!(again.into_data() == plain.into_data());
        }
    }
}
