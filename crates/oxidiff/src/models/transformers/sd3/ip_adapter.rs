//! The IP-Adapter of the transformer: loading one, and the picture of a call.

use burn::module::Module;
use burn::tensor::Tensor;

use super::SD3Transformer2DModel;
use super::pictures::PictureAttention;
use crate::error::{Error, Result};
use crate::loading::WeightOptions;
use crate::loading::state_dict::StateDict;
use crate::loading::weights::Checkpoint;
use crate::models::ip_adapters::{TimeImageProjection, TimedTokens};

/// The layers of a file.
#[derive(Module, Debug)]
struct Layers {
    image_proj: TimeImageProjection,
    ip_adapter: Vec<PictureAttention>,
}

impl SD3Transformer2DModel {
    /// Loads an IP-Adapter in place of the one that is loaded.
    ///
    /// # Errors
    /// When the tensors are not those of such an adapter, or it was made for another model.
    pub(crate) fn load_ip_adapter(&mut self, tensors: &StateDict) -> Result<()> {
        for part in ["image_proj.", "ip_adapter."] {
            if !tensors.keys().any(|key| key.starts_with(part)) {
                return Err(tensors.error(format!("not an IP-Adapter: it has no tensors `{part}*`")));
            }
        }
        let (device, dtype, sizes) = (self.device(), self.dtype(), self.config.sizes());
        let fields = tensors.rename(|key| Some(field(key)));
        if !fields.contains("image_proj.time_embedding.linear_1.weight") {
            let message = "its image projection does not see the time, as those for Stable Diffusion 3 do: it was made for \
                           another model";
            return Err(tensors.error(message));
        }
        let image_proj = TimeImageProjection::of_file(&fields, &device)?;
        self.check_fit(&fields, &image_proj)?;
        let layer = |_| PictureAttention::init(sizes.dim(), sizes.head_dim, image_proj.time_dim(), &device);
        let ip_adapter = (0..self.picture_attentions()).map(layer).collect();
        let options = WeightOptions::new(dtype, &device);
        let module = Layers { image_proj, ip_adapter };
        let loaded = Checkpoint::of(fields).load_into(module, options, ("IP-Adapter", |_| None))?;
        let attentions = self.transformer_blocks.iter_mut().flat_map(|block| block.attentions_mut());
        for (attention, own) in attentions.zip(loaded.ip_adapter) {
            *attention.picture_attention_mut() = Some(own);
        }
        self.image_proj = Some(loaded.image_proj);
        Ok(())
    }

    /// Removes the IP-Adapter.
    pub(crate) fn unload_ip_adapter(&mut self) {
        self.image_proj = None;
        let attentions = self.transformer_blocks.iter_mut().flat_map(|block| block.attentions_mut());
        attentions.for_each(|attention| *attention.picture_attention_mut() = None);
    }

    /// Whether there is an IP-Adapter.
    pub(crate) fn has_ip_adapter(&self) -> bool {
        self.image_proj.is_some()
    }

    /// Sets how strongly the picture counts.
    pub(crate) fn set_ip_adapter_scale(&mut self, scale: f64) {
        let attentions = self.transformer_blocks.iter_mut().flat_map(|block| block.attentions_mut());
        attentions.filter_map(|attention| attention.picture_attention_mut().as_mut()).for_each(|layers| {
            layers.set_scale(scale);
        });
    }

    /// The tokens that the IP-Adapter makes of embedded pictures `[batch, tokens, features]` at a time for all items or at one for each:
    /// `[batch, queries, dim]`, as Python's `image_proj` does.
    ///
    /// # Errors
    /// When there is no adapter, or the embeddings have another shape than it takes.
    pub fn image_tokens(&self, image_embeds: Tensor<3>, timestep: &[f32]) -> Result<Tensor<3>> {
        let batch = image_embeds.dims()[0];
        let projection = self.projection_for(&image_embeds, batch)?;
        let embeds = image_embeds.to_device(&self.device()).cast(self.dtype());
        Ok(projection.forward(embeds, timestep).tokens)
    }

    /// The image projection, if it takes these embedded pictures for `batch` items.
    pub(super) fn projection_for(&self, embeds: &Tensor<3>, batch: usize) -> Result<&TimeImageProjection> {
        let Some(projection) = &self.image_proj else {
            let message = "is given, but the transformer has no IP-Adapter";
            return Err(Error::argument("ip_adapter_image_embeds", message));
        };
        projection.check(embeds, batch)?;
        Ok(projection)
    }

    /// What the picture of a call becomes at its time; nothing if it does not count in any layer.
    pub(super) fn timed_tokens(&self, embeds: Tensor<3>, timestep: &[f32]) -> Option<TimedTokens> {
        let mut attentions = self.transformer_blocks.iter().flat_map(|block| block.attentions());
        let counts = |layers: &PictureAttention| layers.scale() != 0.0;
        attentions.any(|attention| attention.picture_attention().is_some_and(counts)).then_some(())?;
        let embeds = embeds.to_device(&self.device()).cast(self.dtype());
        Some(self.image_proj.as_ref()?.forward(embeds, timestep))
    }

    /// The number of attentions that an adapter has layers for.
    fn picture_attentions(&self) -> usize {
        self.config.num_layers + self.config.dual_attention_layers.len()
    }

    /// Checks that the adapter has as many attentions as the model, of the same widths.
    fn check_fit(&self, fields: &StateDict, image_proj: &TimeImageProjection) -> Result<()> {
        const KEY: &str = ".to_k_ip.weight";
        let own = fields.keys().filter(|key| key.ends_with(KEY)).count();
        let wanted = self.picture_attentions();
        if own != wanted {
            let message = format!(
                "the IP-Adapter has layers for {own} attentions, the transformer has {wanted}: it was made for another model"
            );
            return Err(fields.error(message));
        }
        let (dim, tokens) = (self.config.sizes().dim(), image_proj.output_dim());
        for (key, tensor) in fields.iter().filter(|(key, _)| key.ends_with(KEY)) {
            if tensor.shape() != [dim, dim] || tokens != dim {
                let message = format!(
                    "the IP-Adapter has tokens of size {tokens} and, in `{key}`, a projection {:?}, but the transformer expects \
                     {:?}: it was made for another model",
                    tensor.shape(),
                    [dim, dim]
                );
                return Err(fields.error(message));
            }
        }
        Ok(())
    }
}

/// The path of the field of [`Layers`] for a key of a file. Each layer of an image projection is a list of an attention, a feed-forward
/// and what the time changes.
fn field(key: &str) -> String {
    const FIELDS: [(&str, &str); 9] = [
        ("0.norm1.", "ln0."),
        ("0.norm2.", "ln1."),
        ("0.to_q.", "attn.to_q."),
        ("0.to_kv.", "attn.to_kv."),
        ("0.to_out.", "attn.to_out.0."),
        ("1.0.", "adaln_norm."),
        ("1.1.", "ff.net.0.proj."),
        ("1.3.", "ff.net.2."),
        ("2.1.", "adaln_proj."),
    ];
    let renamed = key.strip_prefix("image_proj.layers.").and_then(|rest| {
        let (layer, name) = rest.split_once('.')?;
        let (old, new) = FIELDS.iter().find(|(old, _)| name.starts_with(old))?;
        Some(format!("image_proj.layers.{layer}.{new}{}", &name[old.len()..]))
    });
    renamed.unwrap_or_else(|| key.to_owned())
}
