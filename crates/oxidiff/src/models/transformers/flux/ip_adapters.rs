//! The IP-Adapters of a transformer whose first blocks have two streams: their layers in these blocks, and the pictures of a call.

use burn::tensor::{DType, Device, Tensor};

use super::DoubleBlock;
use crate::error::{Error, Result};
use crate::models::ip_adapters::{ImageProjectionLayer, IpAdapter};
use crate::models::layers::attention_context::ImagePrompt;
use crate::models::layers::ip_attention::{IpAttention, IpScale};
use crate::models::model::cast_weights;
use crate::wording::counted;

/// What an adapter has to fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pictured {
    /// The number of blocks with two streams.
    pub blocks: usize,
    /// Length of a token in the blocks.
    pub dim: usize,
    /// Length of a token of the text, which those of pictures have too.
    pub text_features: usize,
}

/// A transformer that IP-Adapters can steer.
pub(crate) trait TakesPictures {
    /// What an adapter has to fit.
    fn pictured(&self) -> Pictured;

    fn ip_adapters(&self) -> &IpAdapters;

    fn ip_adapters_mut(&mut self) -> (&mut IpAdapters, &mut [DoubleBlock]);

    /// The type and the device of the weights.
    fn place(&self) -> (DType, Device);

    /// The tokens that the adapters make of embedded pictures.
    ///
    /// # Errors
    /// When there is another number of adapters, or embeddings have another shape than theirs.
    fn image_tokens(&self, image_embeds: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        let (dtype, device) = self.place();
        self.ip_adapters().tokens(image_embeds, dtype, &device)
    }

    /// Replaces the IP-Adapters.
    fn set_ip_adapters(&mut self, adapters: Vec<IpAdapter>) {
        self.unload_ip_adapters();
        let (slot, blocks) = self.ip_adapters_mut();
        for IpAdapter { image_proj, ip_adapter } in adapters {
            slot.0.push(image_proj);
            for (block, own) in blocks.iter_mut().zip(ip_adapter) {
                let layers = block.ip_adapters_mut().get_or_insert_with(IpAttention::default);
                layers.push(own.to_k_ip, own.to_v_ip);
            }
        }
    }

    /// Removes the IP-Adapters.
    fn unload_ip_adapters(&mut self) {
        let (slot, blocks) = self.ip_adapters_mut();
        *slot = IpAdapters::default();
        blocks.iter_mut().for_each(|block| *block.ip_adapters_mut() = None);
    }

    /// Sets how strongly each adapter counts in each block.
    fn set_ip_adapter_scales(&mut self, scales: &[Vec<f64>]) {
        let (_, blocks) = self.ip_adapters_mut();
        for (number, block) in blocks.iter_mut().enumerate() {
            if let Some(layers) = block.ip_adapters_mut() {
                for (slot, of_blocks) in layers.scales_mut().iter_mut().zip(scales) {
                    *slot = IpScale::Same(of_blocks[number]);
                }
            }
        }
    }
}

/// The image projections of the adapters.
#[derive(Clone, Debug, Default)]
pub(crate) struct IpAdapters(Vec<ImageProjectionLayer>);

impl IpAdapters {
    /// Gives the layers another element type.
    pub fn cast(&mut self, dtype: DType) {
        self.0.iter_mut().for_each(|layer| *layer = cast_weights(layer, dtype));
    }

    /// How many adapters there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The tokens that the adapters make of embedded pictures.
    ///
    /// # Errors
    /// When there is another number of adapters, or embeddings have another shape than theirs.
    fn tokens(&self, image_embeds: Vec<Tensor<4>>, dtype: DType, device: &Device) -> Result<Vec<Tensor<4>>> {
        self.check_count("ip_adapter_image_embeds", image_embeds.len())?;
        let made = self.0.iter().zip(image_embeds);
        made.map(|(layer, embeds)| layer.forward(embeds.to_device(device).cast(dtype))).collect()
    }

    /// The pictures of a call on `batch` items, from their tokens.
    ///
    /// # Errors
    /// When there are some for another number of adapters, or for other items.
    pub(super) fn prompts(&self, tokens: &[Tensor<4>], batch: usize) -> Result<Vec<ImagePrompt>> {
        const TOKENS: &str = "ip_hidden_states";
        self.check_count(TOKENS, tokens.len())?;
        let prompt = |(layer, tokens): (&ImageProjectionLayer, &Tensor<4>)| {
            let [items, .., features] = tokens.dims();
            if items != batch || features != layer.output_dim() {
                let message = format!(
                    "have the shape {:?}; the model takes tokens of {} features for each of {}",
                    tokens.dims(),
                    layer.output_dim(),
                    counted(batch, "item")
                );
                return Err(Error::argument(TOKENS, message));
            }
            Ok(ImagePrompt { tokens: tokens.clone(), masks: Vec::new() })
        };
        self.0.iter().zip(tokens).map(prompt).collect()
    }

    fn check_count(&self, argument: &'static str, given: usize) -> Result<()> {
        if given == self.0.len() {
            return Ok(());
        }
        let loaded = self.0.len();
        let message =
            format!("are given for {}, but the transformer has {loaded}", counted(given, "IP-Adapter"));
        Err(Error::argument(argument, message))
    }
}
