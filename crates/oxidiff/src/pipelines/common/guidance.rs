//! Classifier-free guidance (Ho & Salimans 2022, <https://arxiv.org/abs/2207.12598>).

use burn::tensor::Tensor;

/// How to combine the predictions of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guidance {
    /// The prediction with the text, unchanged.
    Off,
    /// From the prediction without the text towards the prediction with it.
    ClassifierFree {
        /// How far to go from the unconditional prediction towards the conditional one and beyond; 1 is the conditional
        /// one itself.
        scale: f64,
        /// How much of the conditional prediction's contrast to restore (Lin et al. 2023,
        /// <https://arxiv.org/abs/2305.08891>, section 3.4).
        rescale: f64,
    },
    /// From the prediction with neither text nor image towards the one with the image, and from there towards the one
    /// with both (Brooks et al. 2022, <https://arxiv.org/abs/2211.09800>, equation 3).
    TextAndImage {
        /// How far to go towards the text.
        scale: f64,
        /// How far to go towards the image.
        image_scale: f64,
        /// As in [`Self::ClassifierFree`].
        rescale: f64,
    },
}

impl Guidance {
    /// Guidance by a scale above 1; with a scale up to 1, the prediction with the text alone.
    pub fn by_scale(scale: f64) -> Self {
        if scale > 1.0 { Self::ClassifierFree { scale, rescale: 0.0 } } else { Self::Off }
    }

    /// How many times each image is in the model's batch.
    pub fn copies(self) -> usize {
        match self {
            Self::Off => 1,
            Self::ClassifierFree { .. } => 2,
            Self::TextAndImage { .. } => 3,
        }
    }

    /// Combines the parts of the batch. The part without the text comes first; or, with an image, the order is text and
    /// image, image alone, neither.
    pub fn combine<const D: usize>(self, predictions: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Off => predictions,
            Self::ClassifierFree { scale, rescale } => {
                let [unconditional, conditional] = predictions.chunk(2, 0).try_into().expect("two halves");
                let guided = unconditional.clone() + (conditional.clone() - unconditional) * scale;
                rescaled(guided, conditional, rescale)
            }
            Self::TextAndImage { scale, image_scale, rescale } => {
                let [both, image, neither] = predictions.chunk(3, 0).try_into().expect("three parts");
                let guided = neither.clone()
                    + (both.clone() - image.clone()) * scale
                    + (image - neither) * image_scale;
                rescaled(guided, both, rescale)
            }
        }
    }
}

/// Gives a guided prediction part of the contrast of the conditional one.
pub(crate) fn rescaled<const D: usize>(guided: Tensor<D>, conditional: Tensor<D>, part: f64) -> Tensor<D> {
    if part <= 0.0 {
        return guided;
    }
    let ratio = standard_deviation(conditional) / standard_deviation(guided.clone());
    guided.clone() * ratio * part + guided * (1.0 - part)
}

/// The standard deviation of each item of a batch, `[batch, 1, ...]`.
fn standard_deviation<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let [batch, size] = [x.dims()[0], x.dims()[1..].iter().product()];
    let mut shape = [1; D];
    shape[0] = batch;
    x.reshape([batch, size]).var(1).sqrt().reshape(shape)
}
