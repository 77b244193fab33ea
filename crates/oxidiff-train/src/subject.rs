//! A UNet and text encoders that one optimizer trains together.

use oxidiff::Tensor;
use oxidiff::training::{Leaves, LowRankLayers, ParameterGradients, ReadParameter, StateFile, Trained};

use crate::error::Result;

/// A UNet, and the text encoders that are trained with it: the models, or low-rank layers for them.
#[derive(Clone, Debug)]
pub(crate) struct Subject<U, T> {
    pub unet: U,
    pub text_encoders: Vec<T>,
}

/// The names of the parts in checkpoints.
pub(crate) const UNET: &str = "unet";
pub(crate) const TEXT_ENCODERS: [&str; 2] = ["text_encoder", "text_encoder_2"];

impl<U: Trained, T: Trained> Trained for Subject<U, T> {
    fn changed(self, change: &mut dyn FnMut(&str, &mut Vec<f32>)) -> Self {
        let mut part =
            |part: &str, name: &str, values: &mut Vec<f32>| change(&format!("{part}.{name}"), values);
        let unet = self.unet.changed(&mut |name, values| part(UNET, name, values));
        let text_encoders = self.text_encoders.into_iter().zip(TEXT_ENCODERS);
        let text_encoders = text_encoders
            .map(|(encoder, name)| encoder.changed(&mut |path, values| part(name, path, values)))
            .collect();
        Self { unet, text_encoders }
    }

    fn read(&self, read: &mut ReadParameter<'_>) {
        self.unet.read(&mut |name, shape, values| read(&format!("{UNET}.{name}"), shape, values));
        for (encoder, part) in self.text_encoders.iter().zip(TEXT_ENCODERS) {
            encoder.read(&mut |name, shape, values| read(&format!("{part}.{name}"), shape, values));
        }
    }
}

/// The parameters of a subject that wait for their gradients.
pub(crate) struct SubjectLeaves {
    pub unet: Leaves,
    pub text_encoders: Vec<Leaves>,
}

impl SubjectLeaves {
    /// The loss of a batch, one of `parts` of a step, and the gradients of its share of the step's loss.
    pub fn learn(self, loss: Tensor<1>, parts: usize) -> (f32, ParameterGradients) {
        let value = loss.clone().into_scalar::<f32>();
        let mut all = (loss / parts as f64).backward();
        let mut gradients = self.unet.take(&mut all).within(UNET);
        for (leaves, name) in self.text_encoders.into_iter().zip(TEXT_ENCODERS) {
            gradients.accumulate(leaves.take(&mut all).within(name));
        }
        (value, gradients)
    }
}

impl Subject<LowRankLayers, LowRankLayers> {
    /// The layers as a file of LoRA weights.
    pub fn weights(&self) -> StateFile {
        let mut file = StateFile::new();
        for (layers, name) in self.parts() {
            layers.export(name, &mut file);
        }
        file
    }

    /// The layers as a file of LoRA weights in kohya's layout.
    ///
    /// # Errors
    /// When the layout has no name for a part.
    pub fn kohya_weights(&self) -> Result<StateFile> {
        let mut file = StateFile::new();
        for (layers, name) in self.parts() {
            layers.export_kohya(name, &mut file)?;
        }
        Ok(file)
    }

    /// The layers of all models, with the models' names.
    fn parts(&self) -> impl Iterator<Item = (&LowRankLayers, &'static str)> {
        std::iter::once((&self.unet, UNET)).chain(self.text_encoders.iter().zip(TEXT_ENCODERS))
    }
}
