//! Models that are called with arguments by name.

use burn::tensor::DType;

use crate::error::{Error, Result};
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::pipelines::component::Component;
use crate::pipelines::{AnyTensor, CallArguments, Request};

/// What a model returns: its tensors, by the names of the fields of Python's output class, in their order.
pub type ModelOutput = Vec<(&'static str, AnyTensor)>;

/// A model that is called with the arguments of Python's `forward`, by name.
pub trait CallableModel: Model + Sync {
    /// The arguments of a call.
    type Arguments: CallArguments;

    /// Whether models of the class also encode and decode: see [`Self::as_autoencoder`].
    const IS_AUTOENCODER: bool = false;

    /// The element type of the weights, in which the model computes.
    fn dtype(&self) -> DType;

    /// Calls the model.
    ///
    /// # Errors
    /// When an argument is missing, or has a value that the model cannot work with.
    fn call(&self, arguments: Self::Arguments) -> Result<ModelOutput>;

    /// The model as a part of a pipeline; both share the weights.
    fn to_component(&self) -> Box<dyn Component>
    where
        Self: 'static,
    {
        Box::new(self.clone())
    }

    /// The model as an autoencoder, if it is one.
    fn as_autoencoder(&self) -> Option<&dyn Autoencoder> {
        None
    }

    /// The model as an autoencoder, if it is one, to change it.
    fn as_autoencoder_mut(&mut self) -> Option<&mut dyn Autoencoder> {
        None
    }
}

/// The typed arguments of a request, for errors that name the class.
///
/// # Errors
/// When the class does not take an argument.
pub(super) fn arguments<M: CallableModel>(request: Request) -> Result<M::Arguments> {
    let takes = |name: &str| M::Arguments::ALL.iter().any(|info| info.name == name);
    if let Some(unknown) = request.names().find(|name| !takes(name)) {
        return Err(Error::UnknownArgument { argument: unknown.to_owned(), taker: M::CLASS_NAME.to_owned() });
    }
    M::Arguments::from_request(request)
}

/// An argument that must be given.
pub(super) fn required<T>(name: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::argument(name, "must be given"))
}
