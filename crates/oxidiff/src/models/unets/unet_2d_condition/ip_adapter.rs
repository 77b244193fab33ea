//! The IP-Adapters of a UNet: their layers in its attentions, and the images of a call.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, Tensor};
use oxidiff_kernels::Place;

use super::UNet2DConditionModel;
use super::residuals::level_sizes;
use crate::error::{Error, Result};
use crate::models::ip_adapters::{ImageProjectionLayer, IpAdapter, masks_at};
use crate::models::layers::attention::Attention;
use crate::models::layers::attention_context::ImagePrompt;
use crate::models::layers::ip_attention::{IpAttention, IpScale};
use crate::models::model::cast_weights;
use crate::wording::counted;

/// The images of a call with IP-Adapters: `image_embeds` in `added_cond_kwargs`, and `ip_adapter_masks` in
/// `cross_attention_kwargs`, in Python.
#[derive(Clone, Debug, Default)]
pub struct IpAdapterInputs {
    /// The embeddings of the images of each adapter, `[batch, images, tokens, features]`. An embedding of a whole image is one
    /// token.
    pub image_embeds: Vec<Tensor<4>>,
    /// Where the images of each adapter count, `[1, images, height, width]`; without a mask, everywhere. Empty for no masks at
    /// all.
    pub masks: Vec<Option<Tensor<4>>>,
}

/// An attention of a UNet to its text.
#[derive(Clone, Debug)]
pub(crate) struct CrossAttention {
    pub path: String,
    /// Length of a token of the text.
    pub context_dim: usize,
    /// Length of a key.
    pub inner_dim: usize,
}

/// The image projections of a UNet's adapters.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageProjections {
    pub layers: Vec<ImageProjectionLayer>,
    last: LastPrompts,
}

impl ImageProjections {
    /// Gives the layers another element type.
    pub fn cast(&mut self, dtype: DType) {
        let layers = self.layers.iter().map(|layer| cast_weights(layer, dtype)).collect();
        *self = Self { layers, last: LastPrompts::default() };
    }
}

/// What the images of the last call became: they are the same in each step of a generation.
#[derive(Default)]
struct LastPrompts(Mutex<Option<Projected>>);

struct Projected {
    /// Where embeddings and masks are in memory.
    places: Vec<Place>,
    /// Height and width of the sample.
    size: [usize; 2],
    prompts: Vec<ImagePrompt>,
}

impl Clone for LastPrompts {
    /// A copy may get other weights, so it remembers nothing.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for LastPrompts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LastPrompts")
    }
}

impl UNet2DConditionModel {
    /// The attentions to the text: those of the down blocks, the up blocks and the middle block, in this order.
    ///
    /// # Errors
    /// When the model has K blocks, whose attentions no IP-Adapter has layers for.
    pub(crate) fn cross_attentions(&self) -> Result<Vec<CrossAttention>> {
        let mut copy = self.clone();
        let described = |(path, attention): (String, &mut Attention)| {
            let [context_dim, inner_dim] = attention.context_shape();
            CrossAttention { path, context_dim, inner_dim }
        };
        Ok(copy.cross_attentions_mut()?.into_iter().map(described).collect())
    }

    fn cross_attentions_mut(&mut self) -> Result<Vec<(String, &mut Attention)>> {
        let transformers = self.transformers_mut().ok_or_else(|| {
            Error::unsupported("an IP-Adapter for a UNet with K blocks", "none has layers for them")
        })?;
        let attentions = transformers.into_iter().flat_map(|(path, transformer)| {
            let attentions = transformer.cross_attentions_mut().enumerate();
            attentions.map(move |(number, attention)| {
                (format!("{path}.transformer_blocks.{number}.attn2"), attention)
            })
        });
        Ok(attentions.collect())
    }

    /// Replaces the IP-Adapters.
    ///
    /// # Errors
    /// When the model has no attentions that they could change.
    pub(crate) fn set_ip_adapters(&mut self, adapters: Vec<IpAdapter>) -> Result<()> {
        if self.encoder_hid_proj.is_some() {
            return Err(Error::unsupported(
                "an IP-Adapter for a UNet with an `encoder_hid_dim_type`",
                "its text goes through a layer of its own",
            ));
        }
        self.unload_ip_adapters();
        let (mut layers, mut projections) = (Vec::new(), Vec::new());
        for adapter in adapters {
            layers.push(adapter.image_proj);
            projections.push(adapter.ip_adapter);
        }
        for adapter in projections {
            for ((_, attention), own) in self.cross_attentions_mut()?.into_iter().zip(adapter) {
                let slot = attention.ip_adapters_mut().get_or_insert_with(IpAttention::default);
                slot.push(own.to_k_ip, own.to_v_ip);
            }
        }
        self.image_projections = ImageProjections { layers, last: LastPrompts::default() };
        Ok(())
    }

    /// Removes the IP-Adapters.
    pub(crate) fn unload_ip_adapters(&mut self) {
        self.image_projections = ImageProjections::default();
        // A model with K blocks never had any.
        for (_, attention) in self.cross_attentions_mut().into_iter().flatten() {
            *attention.ip_adapters_mut() = None;
        }
    }

    /// The tokens that the IP-Adapters make of embedded images, `[batch, images, tokens, cross_attention_dim]`: what
    /// `encoder_hid_proj` returns in Python.
    ///
    /// # Errors
    /// When there is another number of adapters, or embeddings have another shape than theirs.
    pub fn image_tokens(&self, image_embeds: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        let Some([batch, ..]) = image_embeds.first().map(Tensor::dims) else { return Ok(Vec::new()) };
        let inputs = IpAdapterInputs { image_embeds, masks: Vec::new() };
        let prompts = self.image_prompts(Some(inputs), batch, [1, 1])?;
        Ok(prompts.into_iter().map(|prompt| prompt.tokens).collect())
    }

    /// The image projection of each IP-Adapter.
    pub(crate) fn image_projections(&self) -> &[ImageProjectionLayer] {
        &self.image_projections.layers
    }

    /// As [`Self::image_projections`], mutable.
    pub(crate) fn image_projections_mut(&mut self) -> &mut [ImageProjectionLayer] {
        self.image_projections.last = LastPrompts::default();
        &mut self.image_projections.layers
    }

    /// Sets how strongly each IP-Adapter counts in each attention, of which the path is given.
    ///
    /// # Errors
    /// Those of `scales`.
    pub(crate) fn set_ip_adapter_scales(&mut self, scales: impl Fn(&str) -> Vec<IpScale>) -> Result<()> {
        for (path, attention) in self.cross_attentions_mut()? {
            if let Some(adapters) = attention.ip_adapters_mut() {
                adapters.scales_mut().clone_from_slice(&scales(&path));
            }
        }
        Ok(())
    }

    /// How strongly the IP-Adapters count, for the name of a plan that is made for them.
    #[cfg(feature = "cuda")]
    pub(super) fn ip_adapter_scales(&self) -> String {
        let mut copy = self.clone();
        let attentions = copy.cross_attentions_mut().unwrap_or_default();
        let scales = attentions.into_iter().filter_map(|(_, attention)| {
            attention.ip_adapters_mut().as_ref().map(|adapters| format!("{:?}", adapters.scales()))
        });
        scales.collect::<Vec<_>>().join(" ")
    }

    /// What the images of a call become, for a sample of this height and width.
    ///
    /// # Errors
    /// When there are no IP-Adapters, when the call has images for another number of them, or when embeddings and masks do not
    /// have the shapes that they take.
    pub(super) fn image_prompts(
        &self,
        inputs: Option<IpAdapterInputs>,
        batch: usize,
        size: [usize; 2],
    ) -> Result<Vec<ImagePrompt>> {
        const EMBEDS: &str = "image_embeds";
        let adapters = self.image_projections.layers.len();
        let inputs = match inputs {
            None if adapters == 0 => return Ok(Vec::new()),
            None => {
                let message = "must be given: the UNet has IP-Adapters, which need the embeddings of images";
                return Err(Error::argument(EMBEDS, message));
            }
            Some(inputs) => inputs,
        };
        if inputs.image_embeds.len() != adapters {
            let message = format!(
                "are given for {}, but the UNet has {adapters}",
                counted(inputs.image_embeds.len(), "IP-Adapter")
            );
            return Err(Error::argument(EMBEDS, message));
        }
        if let Some(wrong) = inputs.image_embeds.iter().find(|embeds| embeds.dims()[0] != batch) {
            let message = format!("has a batch of {}, but the sample has one of {batch}", wrong.dims()[0]);
            return Err(Error::argument(EMBEDS, message));
        }
        self.check_masks(&inputs)?;
        let embeds = inputs.image_embeds.iter().map(Place::of);
        let masks = inputs.masks.iter().flatten().map(Place::of);
        let places = embeds.chain(masks).collect::<Option<Vec<Place>>>();
        let mut last = self.image_projections.last.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(last), Some(places)) = (&*last, &places)
            && (&last.places, last.size) == (places, size)
        {
            return Ok(last.prompts.clone());
        }
        let dtype = self.dtype();
        let positions = self.positions(size);
        let prompts = self.image_projections.layers.iter().zip(inputs.image_embeds).enumerate();
        let prompts = prompts.map(|(adapter, (layer, embeds))| {
            let mask = inputs.masks.get(adapter).and_then(Option::as_ref);
            let masks = mask.map(|mask| masks_at(mask, &positions)).unwrap_or_default();
            Ok(ImagePrompt {
                tokens: layer.forward(embeds.cast(dtype))?,
                masks: masks.into_iter().map(|mask| mask.cast(dtype)).collect(),
            })
        });
        let prompts = prompts.collect::<Result<Vec<_>>>()?;
        *last = places.map(|places| Projected { places, size, prompts: prompts.clone() });
        Ok(prompts)
    }

    /// Checks that there is a mask for each image, and that images with scales of their own have masks.
    fn check_masks(&self, inputs: &IpAdapterInputs) -> Result<()> {
        const MASKS: &str = "ip_adapter_masks";
        let adapters = inputs.image_embeds.len();
        if !inputs.masks.is_empty() && inputs.masks.len() != adapters {
            let message = format!(
                "has masks for {}, but there are {adapters}",
                counted(inputs.masks.len(), "IP-Adapter")
            );
            return Err(Error::argument(MASKS, message));
        }
        let mut copy = self.clone();
        let attentions = copy.cross_attentions_mut()?;
        for (adapter, embeds) in inputs.image_embeds.iter().enumerate() {
            let images = embeds.dims()[1];
            let mask = inputs.masks.get(adapter).and_then(Option::as_ref);
            if let Some(mask) = mask {
                let [_, masks, height, width] = mask.dims();
                if masks != images || mask.dims()[0] != 1 || height == 0 || width == 0 {
                    let message = format!(
                        "has shape {:?} for IP-Adapter {adapter}, which has {}: expected [1, {images}, height, width]",
                        mask.dims(),
                        counted(images, "image")
                    );
                    return Err(Error::argument(MASKS, message));
                }
            }
            let each = |attention: &Attention| match attention.ip_adapters()?.scales().get(adapter)? {
                IpScale::Each(scales) => Some(scales.len()),
                IpScale::Same(_) => None,
            };
            match attentions.iter().find_map(|(_, attention)| each(attention)) {
                Some(_) if mask.is_none() => {
                    let message = format!("is required: IP-Adapter {adapter} has a scale for each image");
                    return Err(Error::argument(MASKS, message));
                }
                Some(scales) if scales != images => {
                    let message = format!("has {scales} for the {images} images of IP-Adapter {adapter}");
                    return Err(Error::argument("ip_adapter_scale", message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The numbers of positions that the attentions to the text have, for a sample of this size.
    fn positions(&self, size: [usize; 2]) -> Vec<usize> {
        let mut positions: Vec<usize> =
            level_sizes(&self.config, size).into_iter().map(|[height, width]| height * width).collect();
        positions.dedup();
        positions
    }
}
