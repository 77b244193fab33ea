//! The typed arguments of a pipeline's call.

use serde_json::Value;

use super::{FromArgument, Request};
use crate::error::Result;

/// The typed arguments of a pipeline's call.
pub trait CallArguments: Sized + 'static {
    /// The name of the task: `text to image`.
    const TASK: &'static str;

    /// The arguments, in the order of the struct's fields.
    const ALL: &'static [ArgumentInfo];

    /// The arguments of a request, with the defaults for the others.
    ///
    /// # Errors
    /// When the request has an argument that does not exist, or a value of the wrong kind.
    fn from_request(request: Request) -> Result<Self>;
}

/// The kind of values that an argument takes, for documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentKind {
    /// Any value.
    #[default]
    Any,
    /// True or false.
    Flag,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A string, or several.
    Texts,
    /// A whole number, or several.
    Integers,
    /// A number, or several.
    Numbers,
    /// Images.
    Images,
    /// A tensor of a number of dimensions.
    Tensor(usize),
    /// A generator of random numbers, or several.
    Generator,
    /// The name of a form of images: `pil`, `np` or `latent`.
    OutputType,
    /// A function.
    Function,
}

/// What a command line or a binding needs to know about an argument.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ArgumentInfo {
    /// The name in Python.
    pub name: &'static str,
    /// Its documentation.
    pub help: &'static str,
    /// Whether a flag without a value can set it.
    pub is_flag: bool,
    /// Whether it can be written on a command line; a tensor, a generator or a function cannot.
    pub can_be_written: bool,
    /// The kind of its values.
    pub kind: ArgumentKind,
    /// Its default; null for one that is not given, or that JSON cannot express.
    pub default: fn() -> Value,
}

impl ArgumentInfo {
    /// Describes an argument of type `T`.
    pub const fn of<T: FromArgument>(name: &'static str, help: &'static str, default: fn() -> Value) -> Self {
        let (is_flag, can_be_written, kind) = (T::IS_FLAG, T::CAN_BE_WRITTEN, T::KIND);
        Self { name, help, is_flag, can_be_written, kind, default }
    }

    /// The first sentence of the documentation.
    pub fn summary(&self) -> &'static str {
        let help = self.help.trim();
        help.split_once(". ").map_or(help.trim_end_matches('.'), |(first, _)| first)
    }
}

/// Declares the arguments of a pipeline's call with their defaults: a struct with its `Default`, [`CallArguments`] and
/// `TryFrom<Request>`.
///
/// ```
/// use oxidiff::{Request, call_arguments};
///
/// call_arguments! {
///     /// Arguments for stripes.
///     pub struct Stripes: "stripes" {
///         /// Number of stripes.
///         pub count: usize = 3,
///     }
/// }
///
/// assert_eq!(Stripes::default().count, 3);
/// let stripes: Stripes = Request::default().with("count", 5).try_into()?;
/// assert_eq!(stripes.count, 5);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[macro_export]
macro_rules! call_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $(#[doc = $about])*
        pub struct $arguments {
            $(
                $(#[doc = $doc])*
                pub $field: $type,
            )*
        }

        impl Default for $arguments {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::CallArguments for $arguments {
            const TASK: &'static str = $task;

            const ALL: &'static [$crate::ArgumentInfo] = &[
                $($crate::ArgumentInfo::of::<$type>(
                    stringify!($field),
                    concat!($($doc),*),
                    || {
                        let default: $type = $default;
                        $crate::FromArgument::to_json(&default)
                    },
                ),)*
            ];

            fn from_request(
                mut request: $crate::Request,
            ) -> $crate::Result<Self> {
                let arguments = Self {
                    $($field: request.take(stringify!($field))?.unwrap_or_else(|| $default),)*
                };
                request.finish(concat!("call for ", $task))?;
                Ok(arguments)
            }
        }

        impl TryFrom<$crate::Request> for $arguments {
            type Error = $crate::Error;

            fn try_from(
                request: $crate::Request,
            ) -> $crate::Result<Self> {
                $crate::CallArguments::from_request(request)
            }
        }
    };
}
