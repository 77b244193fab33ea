//! Records a call of a model.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use burn_capture::{CaptureBackend, CapturedGraph, TensorId};
use burn_flex::FlexTensor;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::lowering::lower;
use crate::operand::Operand;
use burn::backend::Flex;

/// The weights of a model, in the order in which [`record`] counts them.
pub fn weights_of<M: Module>(model: &M) -> Vec<FlexTensor> {
    struct Collect(Vec<FlexTensor>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let weight = param.val().try_into_primitive::<Flex>();
            self.0.push(weight.expect("models that run on a card keep their weights on the CPU"));
        }
    }
    let mut collect = Collect(Vec::new());
    model.visit(&mut collect);
    collect.0
}

/// Puts tensors without values in the place of the weights.
struct StandIns<'a> {
    device: &'a Device,
    ids: Vec<TensorId>,
}

impl ModuleMapper for StandIns<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| {
            let stand_in = Tensor::<D>::empty(weight.dims(), (self.device, weight.dtype()));
            self.ids.push(id_of(&stand_in));
            stand_in
        })
    }
}

fn id_of<const D: usize>(tensor: &Tensor<D>) -> TensorId {
    let primitive = tensor.clone().try_into_primitive::<CaptureBackend>();
    primitive.expect("the tensor is on the recording device").id()
}

/// The graph of `call` on `model` with `inputs`. Values of the inputs do not matter, and everything that `call` computes from
/// anything but its inputs must be the same in each call.
///
/// # Errors
/// Those of `call`, and when an operation has no kernel.
pub fn record<M: Module, E>(
    model: &M,
    inputs: &[Operand],
    call: impl FnOnce(&M, Vec<Operand>) -> std::result::Result<Vec<Operand>, E>,
) -> std::result::Result<Result<Graph>, E> {
    let device = Device::capture();
    let mut failed = None;
    let mut weights = Vec::new();
    let captured = device.capture_scope(|scope| {
        let mut stand_ins = StandIns { device: &device, ids: Vec::new() };
        let model = model.clone().map(&mut stand_ins);
        weights = stand_ins.ids;
        let inputs: Vec<Operand> = inputs.iter().map(|input| input.to_device(&device)).collect();
        let input_ids: Vec<TensorId> = inputs.iter().map(Operand::id).collect();
        match call(&model, inputs.clone()) {
            Ok(outputs) => scope.complete(input_ids, outputs.iter().map(Operand::id)),
            Err(error) => {
                failed = Some(error);
                scope.complete([], [])
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(captured
        .map_err(|error| Error::Recording(error.to_string()))
        .and_then(|captured: CapturedGraph| lower(&captured, &weights)))
}
