//! The types of the images that a ControlNet for several types follows.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::models::controlnets::{ControlNetUnion, ControlNetUnionModel};
use crate::models::model::Model;
use crate::pipelines::request::{Argument, ArgumentKind, FromArgument};
use crate::wording::counted;

/// The types of the images that a ControlNet follows, by their numbers in the model, such as 0 for poses.
///
/// ```
/// use oxidiff::ControlMode;
///
/// let (one, several) = (ControlMode::from(3), ControlMode::from(vec![0, 3]));
/// assert_ne!(one, several);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlMode {
    /// That of the one image.
    One(usize),
    /// One for each image, or, with several ControlNets, one for each of them.
    Each(Vec<usize>),
    /// Several ControlNets: the types of the images of each.
    Nested(Vec<Vec<usize>>),
}

impl Default for ControlMode {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl From<usize> for ControlMode {
    fn from(mode: usize) -> Self {
        Self::One(mode)
    }
}

impl From<Vec<usize>> for ControlMode {
    fn from(each: Vec<usize>) -> Self {
        Self::Each(each)
    }
}

impl From<Vec<Vec<usize>>> for ControlMode {
    fn from(nested: Vec<Vec<usize>>) -> Self {
        Self::Nested(nested)
    }
}

impl FromArgument for ControlMode {
    const KIND: ArgumentKind = ArgumentKind::Integers;

    fn to_json(&self) -> Value {
        match self {
            Self::One(mode) => (*mode).into(),
            Self::Each(each) if each.is_empty() => Value::Null,
            Self::Each(each) => each.clone().into(),
            Self::Nested(nested) => nested.clone().into(),
        }
    }

    fn from_argument(argument: Argument) -> std::result::Result<Self, String> {
        match argument {
            Argument::List(items) if items.iter().any(|item| matches!(item, Argument::List(_))) => {
                Vec::<Vec<usize>>::from_argument(Argument::List(items)).map(Self::Nested)
            }
            argument @ (Argument::Integer(_) | Argument::Number(_)) => {
                usize::from_argument(argument).map(Self::One)
            }
            argument => Vec::<usize>::from_argument(argument).map(Self::Each),
        }
    }
}

impl ControlMode {
    /// The types of the images of each ControlNet.
    ///
    /// # Errors
    /// When they are not given, there are others than ControlNets, or one has no such type.
    pub(super) fn of_each(&self, controlnet: &ControlNetUnion) -> Result<Vec<Vec<usize>>> {
        const NAME: &str = "control_mode";
        let is_one = matches!(controlnet, ControlNetUnion::One(_));
        let of_each = match self {
            Self::One(mode) => vec![vec![*mode]],
            Self::Each(each) if each.is_empty() => {
                return Err(Error::argument(NAME, "must be given: it says of which types the images are"));
            }
            Self::Each(each) if is_one => vec![each.clone()],
            Self::Each(each) => each.iter().map(|mode| vec![*mode]).collect(),
            Self::Nested(nested) => nested.clone(),
        };
        let nets = controlnet.nets();
        if of_each.len() != nets.len() || of_each.iter().any(Vec::is_empty) {
            let message =
                format!("has {} for {}", counted(of_each.len(), "entry"), counted(nets.len(), "ControlNet"));
            return Err(Error::argument(NAME, message.replace("entrys", "entries")));
        }
        for (net, modes) in nets.iter().zip(&of_each) {
            let types = net.config().num_control_type;
            if let Some(mode) = modes.iter().find(|mode| **mode >= types) {
                let message = format!(
                    "has {mode}, but the {} has types 0 to {}",
                    ControlNetUnionModel::CLASS_NAME,
                    types - 1
                );
                return Err(Error::argument(NAME, message));
            }
        }
        Ok(of_each)
    }
}
