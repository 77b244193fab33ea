//! Numbers of 8 bits with a point that floats (Micikevicius et al. 2022, <https://arxiv.org/abs/2209.05433>), and the scales that ComfyUI
//! stores beside them.

use float8::{F8E4M3, F8E5M2};
use safetensors::tensor::Dtype;
use serde::Deserialize;

use super::state_dict::{Elements, StateDict, StoredTensor};
use crate::error::Result;

/// What follows the name of a layer that has a scale: its weight is multiplied with it.
const SCALES: [&str; 2] = [".scale_weight", ".weight_scale"];
/// Scales of activations, for programs that multiply in 8 bits.
const SCALES_OF_INPUTS: [&str; 2] = [".scale_input", ".input_scale"];
/// An empty tensor of this name says that there are scales.
const MARK: &str = "scaled_fp8";
/// After the name of a layer, what its weight is: a JSON object as bytes.
const DESCRIPTION: &str = ".comfy_quant";

/// What [`DESCRIPTION`] holds.
#[derive(Deserialize)]
struct Description {
    format: String,
}

/// Whether elements have 8 bits and a point that floats.
pub(crate) fn is_float8(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8_E4M3 | Dtype::F8_E5M2)
}

/// The values of elements that have 8 bits; `None` for others.
pub(crate) fn values(tensor: &StoredTensor, elements: &[u8]) -> Option<Vec<f32>> {
    let value: fn(u8) -> f32 = match tensor.elements() {
        Elements::Plain(Dtype::F8_E4M3) => |bits| F8E4M3::from_bits(bits).to_f32(),
        Elements::Plain(Dtype::F8_E5M2) => |bits| F8E5M2::from_bits(bits).to_f32(),
        _ => return None,
    };
    let table: [f32; 256] = std::array::from_fn(|bits| tensor.scale() * value(bits as u8));
    Some(elements.iter().map(|bits| table[usize::from(*bits)]).collect())
}

/// Gives the weights of 8 bits their scales, which are tensors of their own in a file.
///
/// # Errors
/// When a scale is not a single number, belongs to no weight of 8 bits, or a weight is in another format.
pub(crate) fn with_scales(mut tensors: StateDict) -> Result<StateDict> {
    if !tensors
        .iter()
        .any(|(_, tensor)| matches!(tensor.elements(), Elements::Plain(dtype) if is_float8(dtype)))
    {
        return Ok(tensors);
    }
    let ends =
        |name: &str, ends: &[&str]| ends.iter().find_map(|end| Some(name.strip_suffix(end)?.to_owned()));
    let names: Vec<String> = tensors.keys().map(str::to_owned).collect();
    for name in names {
        let tensor = tensors.get(&name).expect("the name was listed");
        if name == MARK || name.ends_with(&format!(".{MARK}")) || ends(&name, &SCALES_OF_INPUTS).is_some() {
            tensors.remove(&name);
        } else if name.ends_with(DESCRIPTION) {
            check_description(tensor, &name)?;
            tensors.remove(&name);
        } else if let Some(layer) = ends(&name, &SCALES) {
            let scale = scale(tensor, &name)?;
            tensors.remove(&name);
            let weight = format!("{layer}.weight");
            match tensors.get(&weight).map(StoredTensor::elements) {
                Some(Elements::Plain(dtype)) if is_float8(dtype) => tensors.set_scale(&weight, scale),
                _ => {
                    let message =
                        format!("tensor `{name}` is a scale, but `{weight}` is not a weight of 8 bits");
                    return Err(tensors.error(message));
                }
            }
        }
    }
    Ok(tensors)
}

fn scale(tensor: &StoredTensor, name: &str) -> Result<f32> {
    if tensor.len() != 1 {
        let message = format!(
            "tensor `{name}` has shape {:?}; only scales that are one number for a whole weight are supported",
            tensor.shape()
        );
        return Err(tensor.error(message));
    }
    let scale: f32 = tensor.data(name)?.iter().next().expect("one number");
    if !scale.is_finite() {
        return Err(tensor.error(format!("tensor `{name}` is {scale}, not a finite number")));
    }
    Ok(scale)
}

fn check_description(tensor: &StoredTensor, name: &str) -> Result<()> {
    let description: Description = serde_json::from_slice(&tensor.read()?)
        .map_err(|error| tensor.error(format!("tensor `{name}` does not describe a weight: {error}")))?;
    if description.format.starts_with("float8_") {
        return Ok(());
    }
    let message = format!(
        "tensor `{name}` says that its weight is in the format `{}`; of these, `float8_e4m3fn` and `float8_e5m2` are supported",
        description.format
    );
    Err(tensor.error(message))
}
