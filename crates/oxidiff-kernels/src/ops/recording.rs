//! Operations of this crate on a device that records instead of computing (`Device::capture()`).
//!
//! Without this, the plain expression of an operation would be recorded: thirty small operations for a group norm. An engine that
//! runs the record gets one operation with a name of this module instead, and chooses a kernel of its own for it.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape, Tensor};
use burn_capture::{CaptureBackend, CaptureChannel};
use burn_ir::{CustomOpIr, OperationIr, ScalarIr, TensorIr};
use burn_router::{RouterChannel, RouterClient, RouterTensor};

/// [`conv2d`](crate::conv2d): inputs `x`, `weight`, then those of `bias`, `item_bias` and `residual` that are there; scalars
/// stride, padding, and for each of the three whether it is there.
pub const CONV2D: &str = "oxidiff::conv2d";
/// [`linear`](crate::linear): inputs `x`, `weight`, then those of `bias` and `residual` that are there; scalars: whether they are.
pub const LINEAR: &str = "oxidiff::linear";
/// [`linear_geglu`](crate::linear_geglu): inputs `x`, `weight`, then `bias` if it is there; scalar: whether it is.
pub const LINEAR_GEGLU: &str = "oxidiff::linear_geglu";
/// [`geglu`](crate::geglu): input `x`.
pub const GEGLU: &str = "oxidiff::geglu";
/// [`attention`](crate::attention): inputs `query`, `key`, `value`; scalar: heads.
pub const ATTENTION: &str = "oxidiff::attention";
/// [`group_norm`](crate::group_norm): inputs `x`, `weight`, `bias`; scalars groups, epsilon, whether SiLU follows.
pub const GROUP_NORM: &str = "oxidiff::group_norm";
/// [`layer_norm`](crate::layer_norm): inputs `x`, `weight`, `bias`; scalar epsilon.
pub const LAYER_NORM: &str = "oxidiff::layer_norm";
/// [`rms_norm`](crate::rms_norm): inputs `x`, `weight`; scalar epsilon.
pub const RMS_NORM: &str = "oxidiff::rms_norm";
/// [`nearest`](crate::nearest): input `x`; scalars height and width.
pub const NEAREST: &str = "oxidiff::nearest";

type Client = <CaptureChannel as RouterChannel>::Client;

/// A tensor of the record, of any rank.
pub(super) struct Recorded(RouterTensor<Client>);

impl Recorded {
    /// The tensor, if it is on a recording device.
    pub(super) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        tensor.clone().try_into_primitive::<CaptureBackend>().ok().map(Self)
    }

    pub(super) fn dtype(&self) -> DType {
        self.0.dtype()
    }
}

/// Records the operation `name`, whose result has the shape `shape` and the element type of the first input.
pub(super) fn record<const D: usize>(
    name: &'static str,
    inputs: Vec<Recorded>,
    scalars: Vec<ScalarIr>,
    shape: [usize; D],
) -> Tensor<D> {
    let client = inputs[0].0.client.clone();
    let dtype = inputs[0].dtype();
    let inputs: Vec<TensorIr> = inputs.into_iter().map(|input| input.0.into_ir()).collect();
    let output = TensorIr::uninit(client.create_empty_handle(), Shape::from(shape), dtype);
    let operation = CustomOpIr::with_scalars(name, &inputs, &[output], scalars);
    let mut outputs = client.register(OperationIr::Custom(operation));
    Tensor::from_primitive::<CaptureBackend>(outputs.remove(0))
}

/// `value` as an integer of the record.
pub(super) fn integer(value: usize) -> ScalarIr {
    ScalarIr::UInt(value as u64)
}

/// Adds `input` to `inputs` if it is there; says so in `scalars`.
pub(super) fn optional<const D: usize>(
    input: Option<&Tensor<D>>,
    inputs: &mut Vec<Recorded>,
    scalars: &mut Vec<ScalarIr>,
) -> Option<()> {
    scalars.push(ScalarIr::Bool(input.is_some()));
    if let Some(input) = input {
        inputs.push(Recorded::of(input)?);
    }
    Some(())
}
