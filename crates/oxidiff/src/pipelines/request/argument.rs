//! The value of an argument whose type is not known yet.

use std::path::PathBuf;

use burn::tensor::Tensor;
use image::DynamicImage;

use super::any_tensor::AnyTensor;
use crate::image_processor::{OutputType, PipelineImageInput};
use crate::pipelines::common::callback::StepCallback;
use crate::random::{Generator, Generators};

/// The value of one argument of a [`Request`](super::Request).
#[non_exhaustive]
pub enum Argument {
    /// Python's `None`: the argument keeps its default.
    None,
    /// `True` or `False`.
    Flag(bool),
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// Several values.
    List(Vec<Argument>),
    /// Text from a command line, which can mean any of the above, or the name of an image file. Commas separate the
    /// values of a list.
    Written(String),
    /// Images.
    Images(Box<PipelineImageInput>),
    /// A tensor of any rank.
    Tensor(Box<AnyTensor>),
    /// Generators of random numbers.
    Generator(Generators),
    /// The type of the returned images.
    OutputType(OutputType),
    /// A function to call after each step.
    Callback(StepCallback),
}

impl Argument {
    /// The kind of the value, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Flag(_) => "true or false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) | Self::Written(_) => "a string",
            Self::List(_) => "a list",
            Self::Images(_) => "images",
            Self::Tensor(_) => "a tensor",
            Self::Generator(_) => "a generator",
            Self::OutputType(_) => "an output type",
            Self::Callback(_) => "a function",
        }
    }
}

macro_rules! from {
    ($($type:ty: $value:ident => $argument:expr,)+) => {
        $(
            impl From<$type> for Argument {
                fn from($value: $type) -> Self {
                    $argument
                }
            }
        )+
    };
}

from! {
    bool: value => Self::Flag(value),
    i32: value => u64::try_from(value).map_or(Self::Number(value.into()), Self::Integer),
    usize: value => Self::Integer(value as u64),
    f32: value => Self::Number(value.into()),
    f64: value => Self::Number(value),
    &str: value => Self::Text(value.to_owned()),
    String: value => Self::Text(value),
    PipelineImageInput: value => Self::Images(Box::new(value)),
    DynamicImage: value => Self::Images(Box::new(value.into())),
    Vec<DynamicImage>: value => Self::Images(Box::new(value.into())),
    Generator: value => Self::Generator(value.into()),
    Generators: value => Self::Generator(value),
    OutputType: value => Self::OutputType(value),
    StepCallback: value => Self::Callback(value),
    PathBuf: value => Self::Written(value.to_string_lossy().into_owned()),
}

impl<const D: usize> From<Tensor<D>> for Argument {
    fn from(tensor: Tensor<D>) -> Self {
        AnyTensor::from(tensor).into()
    }
}

impl From<AnyTensor> for Argument {
    fn from(tensor: AnyTensor) -> Self {
        Self::Tensor(Box::new(tensor))
    }
}

macro_rules! from_list {
    ($($item:ty),+) => {
        $(
            impl From<Vec<$item>> for Argument {
                fn from(items: Vec<$item>) -> Self {
                    Self::List(items.into_iter().map(Self::from).collect())
                }
            }

            impl<const N: usize> From<[$item; N]> for Argument {
                fn from(items: [$item; N]) -> Self {
                    Self::List(items.into_iter().map(Self::from).collect())
                }
            }
        )+
    };
}

from_list!(
    &str,
    String,
    usize,
    i32,
    f32,
    f64,
    PipelineImageInput,
    Tensor<2>,
    Tensor<4>,
    Vec<usize>,
    Vec<Tensor<2>>,
    Vec<Tensor<4>>
);

impl<T: Into<Self>> From<Option<T>> for Argument {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}
