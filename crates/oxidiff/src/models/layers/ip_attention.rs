//! Decoupled cross-attention: what an IP-Adapter adds to the attention to a text (Ye et al. 2023,
//! <https://arxiv.org/abs/2308.06721>, equation 5).

use burn::module::Module;
use burn::tensor::Tensor;
use oxidiff_kernels::{Place, attention};

use super::attention_context::ImagePrompt;
use super::last_context::LastContext;
use super::linear::Linear;

/// How strongly the images of one IP-Adapter count in a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum IpScale {
    /// All alike.
    Same(f64),
    /// One for each image, which has a mask of its own.
    Each(Vec<f64>),
}

impl IpScale {
    /// The scale of one image.
    fn of(&self, image: usize) -> f64 {
        match self {
            Self::Same(scale) => *scale,
            Self::Each(scales) => scales.get(image).copied().unwrap_or_default(),
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Same(scale) => *scale == 0.0,
            Self::Each(scales) => scales.iter().all(|scale| *scale == 0.0),
        }
    }
}

/// The projections of keys and values of the images of each IP-Adapter.
#[derive(Module, Debug, Default)]
pub struct IpAttention {
    to_k_ip: Vec<Linear>,
    to_v_ip: Vec<Linear>,
    #[module(skip)]
    scales: Vec<IpScale>,
    #[module(skip)]
    last_contexts: Vec<LastContext>,
}

impl IpAttention {
    /// Adds an IP-Adapter with its projections from `cross_attention_dim` to the width of the layer.
    pub fn push(&mut self, to_k_ip: Linear, to_v_ip: Linear) {
        self.to_k_ip.push(to_k_ip);
        self.to_v_ip.push(to_v_ip);
        self.scales.push(IpScale::Same(1.0));
        self.last_contexts.push(LastContext::default());
    }

    /// How strongly each IP-Adapter counts.
    pub fn scales(&self) -> &[IpScale] {
        &self.scales
    }

    /// As [`Self::scales`], mutable.
    pub fn scales_mut(&mut self) -> &mut [IpScale] {
        &mut self.scales
    }

    /// `attended` plus what `query` `[batch, positions, inner_dim]` finds in the images, in the same shape.
    pub(super) fn add_to(
        &self,
        attended: Tensor<3>,
        query: &Tensor<3>,
        prompts: &[ImagePrompt],
        heads: usize,
    ) -> Tensor<3> {
        let active = prompts.iter().zip(&self.scales).enumerate().filter(|(_, (_, scale))| !scale.is_zero());
        active.fold(attended, |mut attended, (adapter, (prompt, scale))| {
            let [_, images, tokens, _] = prompt.tokens.dims();
            let (key, value) = self.project(adapter, prompt.tokens.clone());
            if prompt.masks.is_empty() {
                return attended + attention(query.clone(), key, value, heads) * scale.of(0);
            }
            let positions = query.dims()[1];
            let mask = prompt.masks.iter().find(|mask| mask.dims()[1] == positions);
            let mask = mask.expect("the UNet made a mask for each of its numbers of positions");
            for image in 0..images {
                let own = |all: &Tensor<3>| all.clone().narrow(1, image * tokens, tokens);
                let found = attention(query.clone(), own(&key), own(&value), heads);
                attended = attended + found * mask.clone().narrow(0, image, 1) * scale.of(image);
            }
            attended
        })
    }

    /// Keys and values of all images of an adapter, `[batch, images * tokens, inner_dim]`.
    fn project(&self, adapter: usize, tokens: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
        let [batch, images, count, dim] = tokens.dims();
        let tokens = tokens.reshape([batch, images * count, dim]);
        let (to_k, to_v) = (&self.to_k_ip[adapter], &self.to_v_ip[adapter]);
        let places = || Some([vec![Place::of(&tokens)?], to_k.places()?, to_v.places()?].concat());
        self.last_contexts[adapter]
            .get_or(places(), || (to_k.forward(tokens.clone()), to_v.forward(tokens.clone())))
    }
}
