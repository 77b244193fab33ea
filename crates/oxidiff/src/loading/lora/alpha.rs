//! The numbers that the changes of layers are multiplied by.

use safetensors::tensor::Dtype;

use crate::error::{Error, Result};
use crate::loading::formats::state_dict::{Elements, StoredTensor};

/// The only element of the tensor `key`.
pub(super) fn scalar(key: &str, tensor: &StoredTensor) -> Result<f64> {
    let error = || Error::Weights {
        origin: tensor.origin().to_owned(),
        message: format!("`{key}` has the shape {:?} and is no number", tensor.shape()),
    };
    let Elements::Plain(dtype) = tensor.elements() else { return Err(error()) };
    if tensor.len() != 1 {
        return Err(error());
    }
    let bytes = tensor.read()?;
    let value = match (dtype, &bytes[..]) {
        (Dtype::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        (Dtype::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).into(),
        (Dtype::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).into(),
        (Dtype::BF16, &[a, b]) => half::bf16::from_le_bytes([a, b]).into(),
        (Dtype::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
        (Dtype::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
        _ => return Err(error()),
    };
    if value.is_finite() {
        Ok(value)
    } else {
        Err(tensor.error(format!("`{key}` is {value}, which is not finite")))
    }
}

/// The value that occurs most often; the first of several.
pub(super) fn most_common(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut counts: Vec<(f64, usize)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(other, _)| *other == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}
