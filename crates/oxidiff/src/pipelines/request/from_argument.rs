//! Converts the value of an argument to the type that a pipeline takes.

use std::str::FromStr;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use super::any_tensor::AnyTensor;
use super::argument::Argument;
use super::call_arguments::ArgumentKind;
use crate::image_processor::{OutputType, PipelineImageInput, load_image};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// A type that an argument can have.
pub trait FromArgument: Sized {
    /// Whether a flag without a value can set it on a command line.
    const IS_FLAG: bool = false;

    /// Whether it can be written on a command line.
    const CAN_BE_WRITTEN: bool = true;

    /// The kind of its values.
    const KIND: ArgumentKind = ArgumentKind::Any;

    /// The value as JSON, where that can express it; otherwise null.
    fn to_json(&self) -> Value {
        Value::Null
    }

    /// The value as this type.
    ///
    /// # Errors
    /// When the value is of another kind; the error says what is wrong.
    fn from_argument(argument: Argument) -> Result<Self, String>;
}

fn other_kind<T>(expected: &str, argument: &Argument) -> Result<T, String> {
    Err(format!("must be {expected}, not {}", argument.kind()))
}

/// An empty list is an argument that is not given.
fn list_to_json<T: FromArgument>(items: &[T]) -> Value {
    if items.is_empty() { Value::Null } else { Value::Array(items.iter().map(T::to_json).collect()) }
}

fn parse<T: FromStr>(expected: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("must be {expected}, not `{text}`"))
}

impl<T: FromArgument> FromArgument for Option<T> {
    const IS_FLAG: bool = T::IS_FLAG;
    const CAN_BE_WRITTEN: bool = T::CAN_BE_WRITTEN;
    const KIND: ArgumentKind = T::KIND;

    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::None => Ok(None),
            argument => T::from_argument(argument).map(Some),
        }
    }
}

impl FromArgument for bool {
    const IS_FLAG: bool = true;
    const KIND: ArgumentKind = ArgumentKind::Flag;

    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Flag(value) => Ok(value),
            Argument::Written(text) => parse("true or false", &text.to_lowercase()),
            other => other_kind("true or false", &other),
        }
    }
}

impl FromArgument for f64 {
    const KIND: ArgumentKind = ArgumentKind::Number;

    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Number(value) => Ok(value),
            Argument::Integer(value) => Ok(value as Self),
            Argument::Written(text) => parse("a number", &text),
            other => other_kind("a number", &other),
        }
    }
}

impl FromArgument for f32 {
    const KIND: ArgumentKind = ArgumentKind::Number;

    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        f64::from_argument(argument).map(|value| value as f32)
    }
}

impl FromArgument for usize {
    const KIND: ArgumentKind = ArgumentKind::Integer;

    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        const EXPECTED: &str = "a whole number from 0";
        // Above this, not every whole number is an f64.
        const MOST: f64 = 9_007_199_254_740_992.0;
        match argument {
            Argument::Integer(value) => Self::try_from(value).map_err(|_| format!("{value} is too large")),
            Argument::Number(value) if value.fract() == 0.0 && (0.0..=MOST).contains(&value) => {
                Ok(value as Self)
            }
            Argument::Number(value) => Err(format!("must be {EXPECTED}, not {value}")),
            Argument::Written(text) => parse(EXPECTED, &text),
            other => other_kind(EXPECTED, &other),
        }
    }
}

impl FromArgument for String {
    const KIND: ArgumentKind = ArgumentKind::Text;

    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Text(text) | Argument::Written(text) => Ok(text),
            other => other_kind("a string", &other),
        }
    }
}

/// One string stands for a list of one; commas are part of the string.
impl FromArgument for Vec<String> {
    const KIND: ArgumentKind = ArgumentKind::Texts;

    fn to_json(&self) -> Value {
        list_to_json(self)
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::List(items) => items.into_iter().map(String::from_argument).collect(),
            argument => Ok(vec![String::from_argument(argument)?]),
        }
    }
}

macro_rules! list_of_numbers {
    ($($number:ty),+) => {
        $(
            /// One number stands for a list of one.
            impl FromArgument for Vec<$number> {
                const KIND: ArgumentKind = match <$number>::KIND {
                    ArgumentKind::Integer => ArgumentKind::Integers,
                    _ => ArgumentKind::Numbers,
                };

                fn to_json(&self) -> Value {
                    list_to_json(self)
                }

                fn from_argument(argument: Argument) -> Result<Self, String> {
                    match argument {
                        Argument::List(items) => items.into_iter().map(<$number>::from_argument).collect(),
                        Argument::Written(text) => text
                            .split(',')
                            .map(|item| <$number>::from_argument(Argument::Written(item.to_owned())))
                            .collect(),
                        argument => Ok(vec![<$number>::from_argument(argument)?]),
                    }
                }
            }
        )+
    };
}

list_of_numbers!(usize, f32, f64);

impl FromArgument for Vec<Vec<usize>> {
    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::List(rows) => rows.into_iter().map(Vec::from_argument).collect(),
            other => other_kind("a list of lists of whole numbers", &other),
        }
    }
}

macro_rules! pair_of_numbers {
    ($($number:ty),+) => {
        $(
            impl FromArgument for [$number; 2] {
                const KIND: ArgumentKind = Vec::<$number>::KIND;

                fn to_json(&self) -> Value {
                    Value::Array(self.iter().map(FromArgument::to_json).collect())
                }

                fn from_argument(argument: Argument) -> Result<Self, String> {
                    let numbers = Vec::<$number>::from_argument(argument)?;
                    let count = numbers.len();
                    numbers.try_into().map_err(|_| format!("must be two numbers, not {count}"))
                }
            }
        )+
    };
}

pair_of_numbers!(usize, f64);

/// A string is the name of an image file.
impl FromArgument for PipelineImageInput {
    const KIND: ArgumentKind = ArgumentKind::Images;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        let load = |name: &str| load_image(name).map_err(|error| error.to_string());
        match argument {
            Argument::Images(images) => Ok(*images),
            Argument::Tensor(tensor) => Ok(Self::Tensor(Tensor::from_argument(Argument::Tensor(tensor))?)),
            Argument::Written(name) | Argument::Text(name) => Ok(load(&name)?.into()),
            Argument::List(names) => {
                let names = Vec::<String>::from_argument(Argument::List(names))?;
                Ok(names.iter().map(|name| load(name)).collect::<Result<Vec<_>, _>>()?.into())
            }
            other => other_kind("images", &other),
        }
    }
}

/// Lists of numbers stand for a tensor, too.
impl<const D: usize> FromArgument for Tensor<D> {
    const CAN_BE_WRITTEN: bool = false;
    const KIND: ArgumentKind = ArgumentKind::Tensor(D);

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Tensor(tensor) => tensor.try_rank(),
            list @ Argument::List(_) => {
                let (mut shape, mut values) = ([0; D], Vec::new());
                flatten(list, &mut shape, &mut values)?;
                Ok(Self::from_data(TensorData::new(values, shape), &Device::flex()))
            }
            other => other_kind("a tensor", &other),
        }
    }
}

/// A tensor of any rank.
impl FromArgument for AnyTensor {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Tensor(tensor) => Ok(*tensor),
            other => other_kind("a tensor", &other),
        }
    }
}

impl<const D: usize> FromArgument for Vec<Tensor<D>> {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::List(tensors) => tensors.into_iter().map(Tensor::from_argument).collect(),
            other => other_kind("a list of tensors", &other),
        }
    }
}

impl<const D: usize> FromArgument for Vec<Vec<Tensor<D>>> {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::List(lists) => lists.into_iter().map(Vec::from_argument).collect(),
            other => other_kind("a list of lists of tensors", &other),
        }
    }
}

/// The numbers of nested lists, in order, and the length of each level.
fn flatten(argument: Argument, shape: &mut [usize], values: &mut Vec<f32>) -> Result<(), String> {
    let Some((length, inner)) = shape.split_first_mut() else {
        values.push(f32::from_argument(argument)?);
        return Ok(());
    };
    let Argument::List(items) = argument else { return other_kind("a nested list of numbers", &argument) };
    *length = items.len();
    let mut lengths: Option<Vec<usize>> = None;
    for item in items {
        flatten(item, inner, values)?;
        if *lengths.get_or_insert_with(|| inner.to_vec()) != *inner {
            return Err("must be nested lists of equal lengths".to_owned());
        }
    }
    Ok(())
}

impl FromArgument for Generators {
    const CAN_BE_WRITTEN: bool = false;
    const KIND: ArgumentKind = ArgumentKind::Generator;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Generator(generators) => Ok(generators),
            other => other_kind("a generator", &other),
        }
    }
}

/// Python's names: `pil`, `np` and `latent`.
impl FromArgument for OutputType {
    const CAN_BE_WRITTEN: bool = false;
    const KIND: ArgumentKind = ArgumentKind::OutputType;

    fn to_json(&self) -> Value {
        let name = match self {
            Self::Image => "pil",
            Self::Array => "np",
            Self::Latent => "latent",
        };
        name.into()
    }

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::OutputType(output_type) => Ok(output_type),
            Argument::Text(name) | Argument::Written(name) => match &*name {
                "pil" => Ok(Self::Image),
                "np" => Ok(Self::Array),
                "latent" => Ok(Self::Latent),
                _ => Err(format!("must be pil, np or latent, not `{name}`")),
            },
            other => other_kind("an output type", &other),
        }
    }
}

impl FromArgument for StepCallback {
    const CAN_BE_WRITTEN: bool = false;
    const KIND: ArgumentKind = ArgumentKind::Function;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Callback(callback) => Ok(callback),
            other => other_kind("a function", &other),
        }
    }
}
