//! Stops a run when values are not finite (NaN or infinite), before they become a picture, and says where they came
//! from.

use burn::tensor::{DType, Tensor};

use super::denoising::Stepped;
use crate::error::{Error, Result};
use crate::loading::weights::{StoredWeight, stored_weight};
use crate::models::autoencoders::Autoencoder;
use crate::models::finite::{Suspect, is_finite};
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;

/// The parts of a pipeline that a denoising loop uses, with their names in its index.
pub(crate) struct Watch<'a> {
    pub index: &'a ModelIndex,
    /// The model that predicts.
    pub denoiser: (&'static str, &'a dyn Suspect),
    /// Models that tell the denoiser something in each step.
    pub helpers: Vec<(&'static str, &'a dyn Suspect)>,
    /// What conditions the denoiser, if anything does.
    pub condition: Option<Condition<'a>>,
    /// The class of the scheduler.
    pub scheduler: String,
}

/// An encoded condition, and the models that encoded it.
pub(crate) struct Condition<'a> {
    pub encoders: Vec<(&'static str, &'a dyn Suspect)>,
    pub values: Tensor<3>,
}

impl Condition<'_> {
    /// The error of values that are not finite.
    fn explain(&self, index: &ModelIndex) -> Error {
        let when = "the embedded prompt is not finite";
        let broken = |(name, model): &(&'static str, &dyn Suspect)| broken_weight(index, name, *model, when);
        self.encoders.iter().find_map(broken).unwrap_or_else(|| {
            let advice = self
                .encoders
                .first()
                .map_or("check what was given", |(_, model)| overflow_advice(model.element_type()));
            let names: Vec<&str> = self.encoders.iter().map(|(name, _)| *name).collect();
            let place = if names.is_empty() { "prompt_embeds".to_owned() } else { names.join(", ") };
            Error::NonFinite { place, message: format!("{when}; {advice} and the loaded adapters") }
        })
    }
}

impl<'a> Watch<'a> {
    /// A run without a condition.
    pub fn of(
        index: &'a ModelIndex,
        denoiser: (&'static str, &'a dyn Suspect),
        scheduler: &dyn Scheduler,
    ) -> Self {
        let scheduler = scheduler.config().class_name().unwrap_or("scheduler").to_owned();
        Self { index, denoiser, helpers: Vec::new(), condition: None, scheduler }
    }

    /// Checks the sample that a run starts from.
    ///
    /// # Errors
    /// When a value is not finite.
    pub fn check_start<const D: usize>(&self, sample: &Tensor<D>) -> Result<()> {
        if is_finite(sample) {
            return Ok(());
        }
        let message = "the first step starts from values that are not finite; check the given latents and the \
                       scheduler's configuration";
        Err(Error::NonFinite { place: "latents".into(), message: message.into() })
    }

    /// Checks the result of a step.
    ///
    /// # Errors
    /// When a value is not finite; the error names the part, and the weights file if a weight is to blame.
    pub fn check_step<const D: usize>(
        &self,
        index: usize,
        timestep: f32,
        stepped: &Stepped<D>,
    ) -> Result<()> {
        // A scheduler that clips returns finite values even for an infinite prediction.
        let predicted = stepped.prediction.as_ref().is_none_or(is_finite);
        if predicted && is_finite(&stepped.sample) {
            return Ok(());
        }
        Err(self.explain(&format!("step {} (timestep {timestep})", index + 1), predicted))
    }

    fn explain(&self, at: &str, predicted: bool) -> Error {
        if predicted {
            let message = format!(
                "{at}: the {} computed values that are not finite from a finite prediction; its configuration does \
                 not suit this run: try another scheduler or another number of steps",
                self.scheduler
            );
            return Error::NonFinite { place: "scheduler".into(), message };
        }
        if let Some(condition) = self.condition.as_ref().filter(|condition| !is_finite(&condition.values)) {
            return condition.explain(self.index);
        }
        let (name, model) = self.denoiser;
        let when = format!("{at}: the {} predicted values that are not finite", model.class_name());
        let mut models = self.helpers.iter().copied().chain([(name, model)]);
        let broken = models.find_map(|(name, model)| broken_weight(self.index, name, model, &when));
        broken.unwrap_or_else(|| {
            let message = format!(
                "{when}, though its weights are finite; {}, and the guidance scale and the loaded adapters",
                overflow_advice(model.element_type())
            );
            Error::NonFinite { place: name.into(), message }
        })
    }
}

/// Checks the output of an autoencoder: `what` says whether it is an image or its latents.
///
/// # Errors
/// When a value is not finite.
pub(crate) fn check_autoencoder(
    vae: &dyn Autoencoder,
    made: &Tensor<4>,
    what: &str,
    index: &ModelIndex,
) -> Result<()> {
    if is_finite(made) {
        return Ok(());
    }
    let when = format!("{what} is not finite");
    Err(broken_weight(index, "vae", vae.suspect(), &when).unwrap_or_else(|| Error::NonFinite {
        place: "vae".into(),
        message: format!("{when}, though the weights are; the autoencoder does not suit this model"),
    }))
}

fn overflow_advice(element_type: DType) -> &'static str {
    match element_type {
        DType::F16 => "f16 ends at 65504: use bf16 or f32, and check the inputs",
        _ => "check the inputs",
    }
}

/// The error that names the weight that is not finite, if there is one.
fn broken_weight(index: &ModelIndex, name: &str, model: &dyn Suspect, when: &str) -> Option<Error> {
    let (key, old_key) = model.broken_weight()?;
    let keys = [Some(key.as_str()), old_key.as_deref()];
    let stored = index.folder().and_then(|folder| stored_weight(&folder.component(name), &keys));
    let (place, message) = match stored {
        Some(StoredWeight { file, is_finite: false }) => (
            file,
            format!(
                "tensor `{key}` has values that are not finite: the file is damaged; download or convert it again"
            ),
        ),
        Some(StoredWeight { file, is_finite: true }) if model.element_type() == DType::F16 => {
            (file, format!("tensor `{key}` has values beyond 65504, where f16 ends: use bf16 or f32"))
        }
        _ => (name.to_owned(), format!("the weight `{key}` has values that are not finite")),
    };
    Some(Error::NonFinite { place, message: format!("{message} ({when})") })
}
