//! Classifier-free guidance (Ho & Salimans 2022, <https://arxiv.org/abs/2207.12598>).

use burn::tensor::Tensor;

/// How strongly the text pulls on each step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guidance {
    /// How far to go from the unconditional prediction through the conditional one; 1 is the conditional one itself.
    pub scale: f64,
    /// How much of the conditional prediction's contrast to restore (Lin et al. 2023,
    /// <https://arxiv.org/abs/2305.08891>, section 3.4).
    pub rescale: f64,
}

impl Guidance {
    /// Combines the two halves of a batch: predictions without the text, then with it.
    pub fn combine(self, predictions: Tensor<4>) -> Tensor<4> {
        let [unconditional, conditional] = predictions.chunk(2, 0).try_into().expect("two halves");
        let guided = unconditional.clone() + (conditional.clone() - unconditional) * self.scale;
        if self.rescale <= 0.0 {
            return guided;
        }
        let ratio = standard_deviation(conditional) / standard_deviation(guided.clone());
        guided.clone() * ratio * self.rescale + guided * (1.0 - self.rescale)
    }
}

/// The standard deviation of each item of a batch, `[batch, 1, 1, 1]`.
fn standard_deviation(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels * height * width]).var(1).sqrt().reshape([batch, 1, 1, 1])
}
