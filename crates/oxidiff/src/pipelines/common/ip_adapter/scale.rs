//! How strongly the pictures of an IP-Adapter count.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::models::adapters::AdapterWeight;
use crate::models::layers::ip_attention::IpScale;

const ARGUMENT: &str = "ip_adapter_scale";

/// How strongly the pictures of an IP-Adapter count: 1 as much as the text, 0 not at all.
///
/// ```
/// use oxidiff::IpAdapterScale;
///
/// let all: IpAdapterScale = 0.6.into();
/// // Where the style of a picture is decided in Stable Diffusion XL, and nowhere else.
/// let style = IpAdapterScale::from_json(&serde_json::json!({"up": {"block_0": [0.0, 1.0, 0.0]}}))?;
/// // For two pictures that have a mask each.
/// let each: IpAdapterScale = vec![0.7, 0.4].into();
/// # let _ = (all, style, each);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum IpAdapterScale {
    /// For all pictures: one number, or several for the blocks of the UNet. Blocks that are not given do not look at the
    /// pictures.
    Pictures(AdapterWeight),
    /// For each picture, which needs a mask; with FLUX.1, for each block with two streams.
    EachPicture(Vec<f64>),
}

impl From<f64> for IpAdapterScale {
    fn from(scale: f64) -> Self {
        Self::Pictures(scale.into())
    }
}

impl From<AdapterWeight> for IpAdapterScale {
    fn from(scale: AdapterWeight) -> Self {
        Self::Pictures(scale)
    }
}

impl From<Vec<f64>> for IpAdapterScale {
    fn from(each: Vec<f64>) -> Self {
        Self::EachPicture(each)
    }
}

impl IpAdapterScale {
    /// The scale in the form that Python's `set_ip_adapter_scale` takes: a number, a list of numbers, or
    /// `{"down": {"block_2": [0.0, 1.0]}, "up": 0.5}`.
    ///
    /// # Errors
    /// When the value is of another form.
    pub fn from_json(value: &Value) -> Result<Self> {
        match value {
            Value::Array(each) => {
                let number = |value: &Value| {
                    value
                        .as_f64()
                        .ok_or_else(|| Error::argument(ARGUMENT, format!("must be a number, not {value}")))
                };
                Ok(Self::EachPicture(each.iter().map(number).collect::<Result<_>>()?))
            }
            value => AdapterWeight::from_json(value).map(Self::Pictures).map_err(renamed),
        }
    }

    /// The scale of each of the attentions at `paths`.
    ///
    /// # Errors
    /// When the UNet has no block that is named, or a number is not finite.
    pub(super) fn resolve(&self, paths: &[String]) -> Result<Vec<IpScale>> {
        let (numbers, scales) = match self {
            Self::EachPicture(each) => (each.clone(), vec![IpScale::Each(each.clone()); paths.len()]),
            Self::Pictures(weight) => {
                let factors = weight.resolve_with_rest(paths.iter(), 0.0).map_err(renamed)?;
                (weight.numbers(), paths.iter().map(|path| IpScale::Same(factors.of(path))).collect())
            }
        };
        match numbers.into_iter().find(|number| !number.is_finite()) {
            Some(number) => Err(Error::argument(ARGUMENT, format!("cannot be {number}"))),
            None => Ok(scales),
        }
    }
}

/// The error of a weight, under the name that it has here.
fn renamed(error: Error) -> Error {
    match error {
        Error::InvalidArgument { message, .. } => Error::argument(ARGUMENT, message),
        other => other,
    }
}
