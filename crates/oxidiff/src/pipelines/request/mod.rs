//! `Request`: the keyword arguments of a call, by their names in Python.

mod any_tensor;
mod argument;
mod call_arguments;
mod from_argument;

use std::collections::BTreeMap;

pub use any_tensor::AnyTensor;
pub use argument::Argument;
pub use call_arguments::{ArgumentInfo, ArgumentKind, CallArguments};
pub use from_argument::FromArgument;

use crate::error::{Error, Result};

/// The keyword arguments of a call by their names in Python, all optional: for a command line, a server or a binding,
/// which does not know in advance which pipeline it calls. Each pipeline converts a request to its typed arguments, and
/// refuses arguments that it does not take.
///
/// ```
/// use oxidiff::{DiffusionPipeline, Generator, Request};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let mut pipeline = DiffusionPipeline::from_pretrained(folder)?;
/// let request = Request::new("flat red apple")
///     .with("num_inference_steps", 4)
///     .with("guidance_scale", 3.5)
///     .with("generator", Generator::manual_seed(0));
/// let images = pipeline.call(request)?.images.into_images();
/// assert_eq!(images.len(), 1);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Default)]
pub struct Request {
    arguments: BTreeMap<String, Argument>,
}

/// The prompts that are those of the first text encoder unless they are given.
const FURTHER_PROMPTS: [&str; 4] = ["prompt_2", "prompt_3", "negative_prompt_2", "negative_prompt_3"];

impl Request {
    /// A request with a prompt and nothing else.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self::default().with("prompt", prompt.into())
    }

    /// The request with this argument added or replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Argument>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets an argument. An empty string (not a list of them) for a second or third prompt means that of the first, as in Python.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Argument>) {
        let name = name.into();
        let value = match value.into() {
            Argument::Text(text) | Argument::Written(text)
                if text.is_empty() && FURTHER_PROMPTS.contains(&name.as_str()) =>
            {
                Argument::None
            }
            value => value,
        };
        self.arguments.insert(name, value);
    }

    /// Whether the argument is set.
    pub fn has(&self, name: &str) -> bool {
        self.arguments.contains_key(name)
    }

    /// The names of the arguments that are set, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arguments.keys().map(String::as_str)
    }

    /// Removes an argument and returns it as it was set.
    pub fn remove(&mut self, name: &str) -> Option<Argument> {
        self.arguments.remove(name)
    }

    /// Removes an argument and returns it as a `T`; `None` if it is not set.
    ///
    /// # Errors
    /// When its value is of another kind.
    pub fn take<T: FromArgument>(&mut self, name: &'static str) -> Result<Option<T>> {
        let Some(argument) = self.arguments.remove(name) else { return Ok(None) };
        if matches!(argument, Argument::None) {
            return Ok(None);
        }
        T::from_argument(argument).map(Some).map_err(|message| Error::argument(name, message))
    }

    /// Checks that every argument was taken.
    ///
    /// # Errors
    /// When an argument is left, which `taker` does not know.
    pub fn finish(&self, taker: &str) -> Result<()> {
        match self.names().next() {
            Some(name) => Err(Error::UnknownArgument { argument: name.to_owned(), taker: taker.to_owned() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_second_prompt_is_that_of_the_first() {
        let taken =
            |name, value: Argument| Request::default().with(name, value).take::<Vec<String>>(name).unwrap();
        assert_eq!(taken("prompt_2", String::new().into()), None);
        assert_eq!(taken("negative_prompt_3", Argument::Written(String::new())), None);
        assert_eq!(taken("prompt_2", vec![String::new()].into()), Some(vec![String::new()]));
        assert_eq!(taken("prompt", String::new().into()), Some(vec![String::new()]));
    }
}
