//! Converts the value of an argument to the type that a pipeline takes.

use std::str::FromStr;

use burn::tensor::Tensor;

use super::argument::Argument;
use crate::image_processor::{OutputType, PipelineImageInput, load_image};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// A type that an argument can have.
pub trait FromArgument: Sized {
    /// Whether a flag without a value can set it on a command line.
    const IS_FLAG: bool = false;

    /// Whether it can be written on a command line.
    const CAN_BE_WRITTEN: bool = true;

    /// The value as this type.
    ///
    /// # Errors
    /// When the value is of another kind; the error says what is wrong.
    fn from_argument(argument: Argument) -> Result<Self, String>;
}

fn other_kind<T>(expected: &str, argument: &Argument) -> Result<T, String> {
    Err(format!("must be {expected}, not {}", argument.kind()))
}

fn parse<T: FromStr>(expected: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("must be {expected}, not `{text}`"))
}

impl<T: FromArgument> FromArgument for Option<T> {
    const IS_FLAG: bool = T::IS_FLAG;
    const CAN_BE_WRITTEN: bool = T::CAN_BE_WRITTEN;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::None => Ok(None),
            argument => T::from_argument(argument).map(Some),
        }
    }
}

impl FromArgument for bool {
    const IS_FLAG: bool = true;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Flag(value) => Ok(value),
            Argument::Written(text) => parse("true or false", &text.to_lowercase()),
            other => other_kind("true or false", &other),
        }
    }
}

impl FromArgument for f64 {
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
    fn from_argument(argument: Argument) -> Result<Self, String> {
        f64::from_argument(argument).map(|value| value as f32)
    }
}

impl FromArgument for usize {
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
    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Text(text) | Argument::Written(text) => Ok(text),
            other => other_kind("a string", &other),
        }
    }
}

/// One string stands for a list of one; commas are part of the string.
impl FromArgument for Vec<String> {
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

macro_rules! pair_of_numbers {
    ($($number:ty),+) => {
        $(
            impl FromArgument for [$number; 2] {
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

impl<const D: usize> FromArgument for Tensor<D> {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Tensor(tensor) => {
                let rank = tensor.rank;
                let values = tensor
                    .values
                    .downcast()
                    .map_err(|_| format!("must be a tensor of {D} dimensions, not {rank}"))?;
                Ok(*values)
            }
            other => other_kind("a tensor", &other),
        }
    }
}

impl FromArgument for Generators {
    const CAN_BE_WRITTEN: bool = false;

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

    fn from_argument(argument: Argument) -> Result<Self, String> {
        match argument {
            Argument::Callback(callback) => Ok(callback),
            other => other_kind("a function", &other),
        }
    }
}
