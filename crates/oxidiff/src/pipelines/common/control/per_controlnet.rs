//! Numbers that are given once for all ControlNets, or once for each.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::pipelines::request::{Argument, ArgumentKind, FromArgument};
use crate::wording::counted;

/// One number for all ControlNets of a call, or one for each.
///
/// ```
/// use oxidiff::PerControlNet;
///
/// let (all, each) = (PerControlNet::from(0.5), PerControlNet::from(vec![0.5, 1.0]));
/// assert_ne!(all, each);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum PerControlNet {
    /// The same for all.
    Same(f64),
    /// One for each.
    Each(Vec<f64>),
}

impl From<f64> for PerControlNet {
    fn from(number: f64) -> Self {
        Self::Same(number)
    }
}

impl From<Vec<f64>> for PerControlNet {
    fn from(each: Vec<f64>) -> Self {
        Self::Each(each)
    }
}

impl FromArgument for PerControlNet {
    const KIND: ArgumentKind = ArgumentKind::Numbers;

    fn to_json(&self) -> Value {
        match self {
            Self::Same(number) => (*number).into(),
            Self::Each(each) => each.clone().into(),
        }
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        let is_list = matches!(&argument, Argument::List(_))
            || matches!(&argument, Argument::Written(text) if text.contains(','));
        let numbers = Vec::<f64>::from_argument(argument)?;
        match numbers.as_slice() {
            [number] if !is_list => Ok(Self::Same(*number)),
            _ => Ok(Self::Each(numbers)),
        }
    }
}

impl PerControlNet {
    /// The numbers of each of `nets` models of a `kind`.
    ///
    /// # Errors
    /// When there is another number of them, or one is not finite; the error is about `argument`.
    pub(crate) fn expand(&self, argument: &'static str, nets: usize, kind: &str) -> Result<Vec<f64>> {
        let each = match self {
            Self::Same(number) => vec![*number; nets],
            Self::Each(each) if each.len() == nets => each.clone(),
            Self::Each(each) => {
                let message = format!("has {} for {}", counted(each.len(), "number"), counted(nets, kind));
                return Err(Error::argument(argument, message));
            }
        };
        match each.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(Error::argument(argument, format!("cannot be {number}"))),
            None => Ok(each),
        }
    }
}
