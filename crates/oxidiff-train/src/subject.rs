//! A UNet and text encoders that one optimizer trains together.

use oxidiff::training::{LowRankLayers, ReadParameter, StateFile, Trained};

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

impl Subject<LowRankLayers, LowRankLayers> {
    /// The layers as a file of LoRA weights.
    pub fn weights(&self) -> StateFile {
        let mut file = StateFile::new();
        self.unet.export(UNET, &mut file);
        for (layers, name) in self.text_encoders.iter().zip(TEXT_ENCODERS) {
            layers.export(name, &mut file);
        }
        file
    }
}
