//! Embedded texts as the tokens of a transformer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{Place, gelu_approximate};

use super::last_context::LastContext;
use super::linear::Linear;

/// Two linear layers with GELU between them: `PixArtAlphaTextProjection` in Python.
#[derive(Module, Debug)]
pub struct CaptionProjection {
    linear_1: Linear,
    linear_2: Linear,
    #[module(skip)]
    last: LastContext,
}

impl CaptionProjection {
    /// From texts of `from` features to tokens of `to`.
    pub fn init([from, to]: [usize; 2], device: &Device) -> Self {
        Self {
            linear_1: Linear::init(from, to, true, device),
            linear_2: Linear::init(to, to, true, device),
            last: LastContext::default(),
        }
    }

    /// `[batch, tokens, from]` to `[batch, tokens, to]`. For the text and the weights of the last call, the result is that of the last call.
    pub fn forward(&self, text: Tensor<3>) -> Tensor<3> {
        let (projected, _) = self.last.get_or(self.places(&text), || {
            let projected = self.linear_2.forward(gelu_approximate(self.linear_1.forward(text)));
            (projected.clone(), projected)
        });
        projected
    }

    /// Where everything that the result depends on is in memory, if on the CPU.
    fn places(&self, text: &Tensor<3>) -> Option<Vec<Place>> {
        Some([vec![Place::of(text)?], self.linear_1.places()?, self.linear_2.places()?].concat())
    }
}
