//! Where a model computes: where its weights are, or on a card, through an engine that records each call once.
//!
//! A model on a card keeps its weights on the CPU as well, mapped from the file. It takes tensors on the CPU and returns such, so
//! pipelines and schedulers need not know.

#[cfg(feature = "cuda")]
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

#[cfg(feature = "cuda")]
use crate::error::Error;
use crate::error::Result;
use crate::models::model::Model;

#[cfg(feature = "cuda")]
pub(crate) use oxidiff_cuda::operand::Operand;

/// Where a model computes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placement {
    #[cfg(feature = "cuda")]
    card: Option<Card>,
}

/// A card, and what runs the model on it.
#[cfg(feature = "cuda")]
#[derive(Clone, Debug)]
struct Card {
    name: Arc<str>,
    engine: Arc<oxidiff_cuda::engine::Engine>,
}

/// What a transformer computes with. On a card, these are the inputs of a recorded call; everything else that the call depends on must
/// be in its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallTensors {
    /// Tokens that are mostly the same as in the call before.
    pub texts: Vec<Tensor<3>>,
    /// Other tokens.
    pub tokens: Vec<Tensor<3>>,
    /// Embedded times, tables of angles and the like.
    pub rows: Vec<Tensor<2>>,
    /// Latents.
    pub images: Vec<Tensor<4>>,
}

impl Placement {
    /// On `device`, which may be a card.
    #[cfg(feature = "cuda")]
    pub(crate) fn on(device: &Device) -> Self {
        let card = crate::cards::opened_as(device).map(|(name, executor)| Card {
            name: name.into(),
            engine: Arc::new(oxidiff_cuda::engine::Engine::new(executor)),
        });
        Self { card }
    }

    /// On `device`.
    #[cfg(not(feature = "cuda"))]
    pub(crate) fn on(_: &Device) -> Self {
        Self {}
    }

    /// Whether the model computes on a card.
    #[cfg(feature = "cuda")]
    pub(crate) fn is_card(&self) -> bool {
        self.card.is_some()
    }

    /// The name of the card that the model computes on, if it does.
    pub(crate) fn card(&self) -> Option<&str> {
        #[cfg(feature = "cuda")]
        return self.card.as_ref().map(|card| &*card.name);
        #[cfg(not(feature = "cuda"))]
        None
    }

    /// # Errors
    /// On a card, where there is no `what`.
    pub(crate) fn refuse(&self, what: &str) -> Result<()> {
        #[cfg(feature = "cuda")]
        if self.is_card() {
            return Err(Error::unsupported(
                format!("{what} on a card"),
                "it computes on the CPU only, for now",
            ));
        }
        let _ = what;
        Ok(())
    }

    /// Releases the card's memory, if models are to leave it.
    pub(crate) fn leave_card(&self) {
        #[cfg(feature = "cuda")]
        if let Some(card) = self.card.as_ref().filter(|_| crate::memory::offloads_models()) {
            card.engine.release_memory();
        }
    }

    /// Computes `forward` of an image.
    ///
    /// # Errors
    /// When the card fails or has too little memory.
    pub(crate) fn image<M: Model>(
        &self,
        model: &M,
        name: &str,
        image: Tensor<4>,
        forward: impl FnOnce(&M, Tensor<4>) -> Tensor<4>,
    ) -> Result<Tensor<4>> {
        #[cfg(feature = "cuda")]
        if self.is_card() {
            return self.call_for_image(model, name, &[image.into()], &[], |model, inputs| {
                let [image]: [Operand; 1] = inputs.try_into().expect("one input");
                forward(model, image.into_image())
            });
        }
        let _ = name;
        Ok(forward(model, image))
    }

    /// Computes `forward` of a transformer.
    ///
    /// # Errors
    /// When the card fails or has too little memory.
    pub(crate) fn tokens<M: Model>(
        &self,
        model: &M,
        name: &str,
        tensors: CallTensors,
        forward: impl FnOnce(&M, CallTensors) -> Tensor<3>,
    ) -> Result<Tensor<3>> {
        let forward = |model: &M, tensors| vec![forward(model, tensors)];
        Ok(self.lists_of_tokens(model, name, tensors, forward)?.remove(0))
    }

    /// As [`Self::tokens`], for a `forward` with several results.
    ///
    /// # Errors
    /// When the card fails or has too little memory.
    pub(crate) fn lists_of_tokens<M: Model>(
        &self,
        model: &M,
        name: &str,
        tensors: CallTensors,
        forward: impl FnOnce(&M, CallTensors) -> Vec<Tensor<3>>,
    ) -> Result<Vec<Tensor<3>>> {
        #[cfg(feature = "cuda")]
        if self.is_card() {
            let CallTensors { texts, tokens, rows, images } = tensors;
            let counts = [texts.len(), tokens.len()];
            let conditions: Vec<usize> = (0..texts.len()).collect();
            let of_tokens = texts.into_iter().chain(tokens).map(Operand::from);
            let inputs = of_tokens.chain(rows.into_iter().map(Operand::from));
            let inputs: Vec<Operand> = inputs.chain(images.into_iter().map(Operand::from)).collect();
            let name = format!("{name} {counts:?}");
            let outputs = self.call(model, &name, &inputs, &conditions, |model, inputs| {
                let mut inputs = inputs.into_iter();
                let mut take =
                    |count: usize| inputs.by_ref().take(count).map(Operand::into_tokens).collect::<Vec<_>>();
                let (texts, tokens) = (take(counts[0]), take(counts[1]));
                let (rows, images): (Vec<_>, Vec<_>) =
                    inputs.partition(|input| matches!(input, Operand::Matrix(_)));
                let rows = rows.into_iter().map(Operand::into_matrix).collect();
                let images = images.into_iter().map(Operand::into_image).collect();
                let results = forward(model, CallTensors { texts, tokens, rows, images });
                Ok(results.into_iter().map(Operand::from).collect())
            })?;
            return Ok(outputs.into_iter().map(Operand::into_tokens).collect());
        }
        let _ = name;
        Ok(forward(model, tensors))
    }

    /// As [`Self::call`], for a `forward` whose only result is an image.
    ///
    /// # Errors
    /// When the card fails or has too little memory.
    #[cfg(feature = "cuda")]
    pub(crate) fn call_for_image<M: Model>(
        &self,
        model: &M,
        name: &str,
        inputs: &[Operand],
        conditions: &[usize],
        forward: impl FnOnce(&M, Vec<Operand>) -> Tensor<4>,
    ) -> Result<Tensor<4>> {
        let outputs = self
            .call(model, name, inputs, conditions, |model, inputs| Ok(vec![forward(model, inputs).into()]))?;
        Ok(outputs.into_iter().next().expect("one result").into_image())
    }

    /// Computes `forward` on the card. `conditions` are the inputs that are mostly the same as in the call before, by position.
    ///
    /// # Errors
    /// Those of `forward`, and when the card fails or has too little memory.
    #[cfg(feature = "cuda")]
    pub(crate) fn call<M: Model>(
        &self,
        model: &M,
        name: &str,
        inputs: &[Operand],
        conditions: &[usize],
        forward: impl FnOnce(&M, Vec<Operand>) -> Result<Vec<Operand>>,
    ) -> Result<Vec<Operand>> {
        let engine = &self.card.as_ref().expect("the model is on a card").engine;
        let weights_pass = crate::memory::offloads_weights();
        let tf32 = crate::precision::tf32_is_allowed();
        let call = oxidiff_cuda::engine::Call { name, inputs, conditions, weights_pass, tf32 };
        engine.call(model, &call, forward)?.map_err(|error| of_engine(error, M::CLASS_NAME))
    }
}

/// What an error of the engine means for a call of the model `class_name`.
#[cfg(feature = "cuda")]
pub(crate) fn of_engine(error: oxidiff_cuda::Error, class_name: &str) -> Error {
    use oxidiff_cuda::Error as Of;
    match error {
        Of::Unsupported { .. } | Of::Recording(_) => {
            Error::unsupported(format!("this {class_name} on a card"), error.to_string())
        }
        Of::NoCard(_) | Of::Unfit { .. } => Error::argument("device", error.to_string()),
        Of::OutOfMemory { .. } => {
            Error::OutOfMemory { work: format!("calling the {class_name}"), message: error.to_string() }
        }
        Of::Driver { .. } => Error::Card { message: error.to_string() },
    }
}
