//! Calls of a model: planned once for each shape of the inputs, then run.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::TensorMetadata;
use burn::module::Module;
use burn::tensor::DType;
use burn_flex::{FlexTensor, Layout};

use crate::card::{Card, OnCard};
use crate::error::Result;
use crate::graph::Graph;
use crate::host;
use crate::operand::Operand;
use crate::operation::Precision;
use crate::plan::{Plan, Settings};
use crate::recording::{record, weights_of};
use crate::startable;

/// What runs the plans.
#[derive(Clone)]
pub enum Executor {
    /// Plain loops on the CPU: slow, for tests of everything but the kernels. Plans that no card could run are refused.
    Interpreter,
    /// A card.
    Card(Arc<Card>),
}

impl Executor {
    /// Bytes of the window through which weights pass: so large that few segments wait for the copies of others, and small beside a
    /// model.
    fn window(&self) -> usize {
        match self {
            // The models of tests are small.
            Self::Interpreter => 8 << 10,
            Self::Card(_) => 256 << 20,
        }
    }
}

/// Runs one model.
pub struct Engine {
    executor: Executor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The weights that the plans were made for.
    weights: Vec<FlexTensor>,
    plans: HashMap<Key, Prepared>,
}

/// What a plan is made for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Which call of the model.
    call: String,
    inputs: Vec<(Vec<usize>, DType)>,
    settings: Settings,
}

enum Prepared {
    Interpreted(Box<Plan>),
    OnCard(Box<OnCard>),
    /// Nothing of the plan is on the card.
    Waiting(Box<Plan>),
}

impl Prepared {
    fn into_plan(self) -> Box<Plan> {
        match self {
            Self::Interpreted(plan) | Self::Waiting(plan) => plan,
            Self::OnCard(on_card) => Box::new(on_card.into_plan()),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Engine")
    }
}

/// A call of a model.
pub struct Call<'a> {
    /// Which one, if a model has several: everything that its operations depend on besides the shapes of the inputs.
    pub name: &'a str,
    /// The inputs.
    pub inputs: &'a [Operand],
    /// Which inputs are mostly the same as in the call before, by position.
    pub conditions: &'a [usize],
    /// Whether weights are on the card only while the operations that read them run.
    pub weights_pass: bool,
    /// Whether `f32` may be rounded to TF32 where it is multiplied.
    pub tf32: bool,
}

impl Engine {
    /// An engine without a model.
    pub fn new(executor: Executor) -> Self {
        Self { executor, state: Mutex::default() }
    }

    /// Computes `forward` of `model`.
    ///
    /// # Errors
    /// Those of `forward`, and when the card fails or has too little memory, or an operation has no kernel.
    pub fn call<M: Module, E>(
        &self,
        model: &M,
        call: &Call<'_>,
        forward: impl FnOnce(&M, Vec<Operand>) -> std::result::Result<Vec<Operand>, E>,
    ) -> std::result::Result<Result<Vec<Operand>>, E> {
        let mut forward = Some(forward);
        let mut record =
            || record(model, call.inputs, forward.take().expect("a call is recorded at most once"));
        self.call_recorded(weights_of(model), call, &mut record)
    }

    /// As [`Self::call`], of a model with these weights, whose operations `record` returns. What does not depend on the model is compiled
    /// once.
    fn call_recorded<E>(
        &self,
        weights: Vec<FlexTensor>,
        call: &Call<'_>,
        record: &mut dyn FnMut() -> std::result::Result<Result<Graph>, E>,
    ) -> std::result::Result<Result<Vec<Operand>>, E> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs: Vec<FlexTensor> =
            call.inputs.iter().map(|input| input.to_flex().to_contiguous()).collect();
        let settings = Settings {
            window: call.weights_pass.then(|| self.executor.window()),
            precision: if call.tf32 { Precision::Tf32 } else { Precision::Full },
        };
        let key = Key {
            call: call.name.to_owned(),
            inputs: inputs
                .iter()
                .map(|input| (input.shape().iter().copied().collect(), input.dtype()))
                .collect(),
            settings,
        };
        if !same(&weights, &state.weights) {
            state.plans.clear();
            state.weights = weights;
        }
        if matches!(state.plans.get(&key), None | Some(Prepared::Waiting(_))) {
            let plan = match state.plans.remove(&key) {
                Some(waiting) => *waiting.into_plan(),
                None => {
                    let graph = match record()? {
                        Ok(graph) => graph,
                        Err(error) => return Ok(Err(error)),
                    };
                    let plan = Plan::new(graph, call.conditions, settings);
                    let (arena, window) = (plan.arena_bytes, plan.window_bytes);
                    tracing::debug!(arena, window, "planned {}: {}", call.name, plan.summary());
                    plan
                }
            };
            let prepared = match self.prepare(plan, &state.weights) {
                Ok(prepared) => prepared,
                Err(error) => return Ok(Err(error)),
            };
            state.plans.insert(key.clone(), prepared);
        }
        let State { weights, plans } = &mut *state;
        let prepared = plans.get_mut(&key).expect("just prepared");
        let (outputs, results) = match prepared {
            Prepared::Interpreted(plan) => {
                let weights: Vec<FlexTensor> = weights.iter().map(FlexTensor::to_contiguous).collect();
                let weights: Vec<&[u8]> = weights.iter().map(bytes_of).collect();
                let inputs: Vec<&[u8]> = inputs.iter().map(bytes_of).collect();
                (&plan.graph.outputs, host::run(plan, &weights, &inputs))
            }
            Prepared::OnCard(on_card) => match on_card.run(&inputs) {
                Ok(results) => (&on_card.plan().graph.outputs, results),
                Err(error) => return Ok(Err(error)),
            },
            Prepared::Waiting(_) => unreachable!("just prepared"),
        };
        let tensor = |(output, bytes): (&crate::view::View, Vec<u8>)| {
            let shape = burn::tensor::Shape::from(output.shape.clone());
            let bytes = burn::tensor::Bytes::from_bytes_vec(bytes);
            Operand::from_flex(FlexTensor::new(bytes, Layout::contiguous(shape), output.dtype))
        };
        Ok(Ok(outputs.iter().zip(results).map(tensor).collect()))
    }

    /// Releases the memory of the card. The plans stay: the next call only brings the weights back.
    pub fn release_memory(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let plans = std::mem::take(&mut state.plans);
        state.plans =
            plans.into_iter().map(|(key, prepared)| (key, Prepared::Waiting(prepared.into_plan()))).collect();
    }

    fn prepare(&self, plan: Plan, weights: &[FlexTensor]) -> Result<Prepared> {
        Ok(match &self.executor {
            Executor::Interpreter => {
                startable::check(&plan)?;
                Prepared::Interpreted(Box::new(plan))
            }
            Executor::Card(card) => Prepared::OnCard(Box::new(OnCard::new(card.clone(), plan, weights)?)),
        })
    }
}

/// Whether the weights are those of the plans. They are if they are in the same memory: as long as a tensor exists, its memory
/// does not change.
fn same(weights: &[FlexTensor], others: &[FlexTensor]) -> bool {
    weights.len() == others.len()
        && weights.iter().zip(others).all(|(one, other)| {
            Arc::ptr_eq(&one.data_arc(), &other.data_arc())
                && one.layout() == other.layout()
                && one.dtype() == other.dtype()
        })
}

/// The bytes of a contiguous tensor.
pub(crate) fn bytes_of(tensor: &FlexTensor) -> &[u8] {
    let (start, end) = tensor.layout().contiguous_offsets().expect("a contiguous tensor");
    let size = tensor.dtype().size();
    &tensor.bytes()[start * size..end * size]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[derive(Module, Debug)]
    struct Scale {
        by: Param<Tensor<1>>,
    }

    #[test]
    fn calls_stay_planned_when_the_memory_is_released() {
        let model = Scale { by: Param::from_tensor(Tensor::from_floats([2.0, 3.0], &Device::flex())) };
        let engine = Engine::new(Executor::Interpreter);
        let recorded = Cell::new(0);
        let call = |value: f32| -> Vec<f32> {
            let image = Tensor::<4>::from_floats([[[[value, 1.0]]]], &Device::flex());
            let call = Call {
                name: "scale",
                inputs: &[image.into()],
                conditions: &[],
                weights_pass: false,
                tf32: false,
            };
            let outputs = engine.call(&model, &call, |model, inputs| {
                recorded.set(recorded.get() + 1);
                let [image]: [Operand; 1] = inputs.try_into().expect("one input");
                let by = model.by.val().reshape([1, 1, 1, 2]);
                Ok::<_, std::convert::Infallible>(vec![(image.into_image() * by).into()])
            });
            let output = outputs.unwrap().unwrap().remove(0).into_image();
            output.into_data().try_into_vec().unwrap()
        };
        assert_eq!(call(1.0), [2.0, 3.0]);
        engine.release_memory();
        assert!(matches!(engine.state.lock().unwrap().plans.values().next(), Some(Prepared::Waiting(_))));
        assert_eq!(call(5.0), [10.0, 3.0]);
        assert_eq!(recorded.get(), 1);
    }

    #[derive(Module, Debug)]
    struct Layer {
        weight: Param<Tensor<2>>,
    }

    #[test]
    fn factors_are_rounded_to_tf32_only_if_that_is_allowed() {
        let device = Device::flex();
        // 1 + 2^-10 is a number of TF32, 1 + 2^-12 is not.
        let weight = Tensor::from_floats([[1.0 + 2f32.powi(-10)], [1.0 + 2f32.powi(-12)]], &device);
        let model = Layer { weight: Param::from_tensor(weight) };
        let engine = Engine::new(Executor::Interpreter);
        for (tf32, second) in [(false, 1.0 + 2f32.powi(-12)), (true, 1.0)] {
            let x = Tensor::<3>::ones([1, 1, 1], &device);
            let call =
                Call { name: "layer", inputs: &[x.into()], conditions: &[], weights_pass: false, tf32 };
            let outputs = engine.call(&model, &call, |model, inputs| {
                let [x]: [Operand; 1] = inputs.try_into().expect("one input");
                let y = oxidiff_kernels::linear(x.into_tokens(), model.weight.val(), None, None);
                Ok::<_, std::convert::Infallible>(vec![y.into()])
            });
            let y: Vec<f32> =
                outputs.unwrap().unwrap().remove(0).into_tokens().into_data().try_into_vec().unwrap();
            assert_eq!(y, [1.0 + 2f32.powi(-10), second], "TF32: {tf32}");
        }
    }
}
