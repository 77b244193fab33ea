//! Files of IP-Adapters, in the layout in which they are published: `image_proj.*` and `ip_adapter.N.*`, or two dictionaries of
//! these names in a pickled file.

use burn::tensor::{DType, Device};

use super::{ImageProjectionLayer, IpAdapter, IpProjections};
use crate::error::Result;
use crate::loading::WeightOptions;
use crate::loading::state_dict::StateDict;
use crate::loading::weights::Checkpoint;
use crate::models::layers::linear::Linear;
use crate::models::unets::CrossAttention;

/// An open file.
pub(crate) struct IpAdapterFile {
    tensors: StateDict,
}

impl IpAdapterFile {
    /// # Errors
    /// When the tensors are not those of an IP-Adapter.
    pub fn new(tensors: StateDict) -> Result<Self> {
        for part in ["image_proj.", "ip_adapter."] {
            if !tensors.keys().any(|key| key.starts_with(part)) {
                return Err(tensors.error(format!("not an IP-Adapter: it has no tensors `{part}*`")));
            }
        }
        Ok(Self { tensors })
    }

    pub fn origin(&self) -> &str {
        self.tensors.origin()
    }

    /// The layers, for a model with these attentions to a text.
    ///
    /// # Errors
    /// When the file is damaged, or the adapter was made for a model with other attentions; the error names both.
    pub fn load(&self, attentions: &[CrossAttention], dtype: DType, device: &Device) -> Result<IpAdapter> {
        let tensors = self.in_fields()?;
        let image_proj = ImageProjectionLayer::of_file(&tensors, device)?;
        self.check_fit(&tensors, &image_proj, attentions)?;
        let linear = |attention: &CrossAttention| {
            Linear::init(attention.context_dim, attention.inner_dim, false, device)
        };
        let projections =
            |attention| IpProjections { to_k_ip: linear(attention), to_v_ip: linear(attention) };
        let module = IpAdapter { image_proj, ip_adapter: attentions.iter().map(projections).collect() };
        let options = WeightOptions::new(dtype, device);
        Checkpoint::of(tensors).load_into(module, options, ("IP-Adapter", |_| None))
    }

    /// The LoRA that a FaceID adapter holds for all attentions, of which these are the paths; `None` without one.
    pub fn lora(&self, attentions: &[String]) -> Option<StateDict> {
        let lora = self.tensors.rename(|key| {
            let (number, rest) = key.strip_prefix("ip_adapter.")?.split_once('.')?;
            let attention = attentions.get(number.parse::<usize>().ok()?)?;
            rest.contains("_lora.").then(|| format!("unet.{attention}.processor.{rest}"))
        });
        (!lora.is_empty()).then_some(lora)
    }

    /// The tensors under the paths that the fields of [`IpAdapter`] have. Attentions to the text have odd numbers, since the
    /// self-attentions in between are numbered too.
    fn in_fields(&self) -> Result<StateDict> {
        let face = self.tensors.contains("image_proj.norm.weight")
            && self.tensors.contains("image_proj.proj.0.weight");
        let mut tensors = self.tensors.rename(|key| {
            if let Some(key) = key.strip_prefix("image_proj.") {
                return Some(format!("image_proj.{}", image_projection_field(key, face)));
            }
            let (number, rest) = key.strip_prefix("ip_adapter.")?.split_once('.')?;
            let number = number.parse::<usize>().ok().filter(|number| number % 2 == 1)?;
            rest.starts_with("to_").then_some(())?;
            (!rest.contains("_lora.")).then(|| format!("ip_adapter.{}.{rest}", number / 2))
        });
        let joined: Vec<String> =
            tensors.keys().filter(|key| key.ends_with("attn.to_kv.weight")).map(str::to_owned).collect();
        for key in joined {
            let tensor = tensors.get(&key).expect("one of its keys").clone();
            let rows = tensor.shape().first().copied().unwrap_or_default();
            for (name, range) in [("to_k", 0..rows / 2), ("to_v", rows / 2..rows)] {
                let half = tensor
                    .rows(range)
                    .ok_or_else(|| tensor.error(format!("tensor `{key}` has shape {:?}", tensor.shape())))?;
                tensors.insert(key.replace("to_kv", name), half);
            }
            tensors.remove(&key);
        }
        Ok(tensors)
    }

    /// Checks that the adapter has as many attentions as the model, of the same widths.
    fn check_fit(
        &self,
        tensors: &StateDict,
        image_proj: &ImageProjectionLayer,
        attentions: &[CrossAttention],
    ) -> Result<()> {
        let own = tensors.keys().filter(|key| key.ends_with(".to_k_ip.weight")).count();
        if own != attentions.len() {
            let message = format!(
                "the IP-Adapter has {own} cross-attention layers, the UNet has {}: it was made for another model",
                attentions.len()
            );
            return Err(self.tensors.error(message));
        }
        let tokens = image_proj.output_dim();
        for (number, CrossAttention { path, context_dim, inner_dim }) in attentions.iter().enumerate() {
            let key = format!("ip_adapter.{number}.to_k_ip.weight");
            let Some(tensor) = tensors.get(&key) else { continue };
            if tensor.shape() != [*inner_dim, *context_dim] || tokens != *context_dim {
                let message = format!(
                    "the IP-Adapter has tokens of size {tokens} and projections {:?}, but `{path}` of the UNet expects \
                     {:?}: it was made for another model",
                    tensor.shape(),
                    [*inner_dim, *context_dim]
                );
                return Err(self.tensors.error(message));
            }
        }
        Ok(())
    }
}

/// The path of the field of an image projection for a key without `image_proj.`; some `face` adapters use the names of others
/// for other layers.
fn image_projection_field(key: &str, face: bool) -> String {
    let key = key
        .strip_prefix("perceiver_resampler.")
        .map_or_else(|| key.to_owned(), |key| format!("resampler.{key}"));
    let (first, rest) = key.split_once('.').unwrap_or((&key, ""));
    match (first, rest) {
        ("proj", "weight" | "bias") => format!("image_embeds.{rest}"),
        ("proj", _) => {
            let (layer, name) = rest.split_once('.').unwrap_or((rest, ""));
            let feed_forward = if face { "proj" } else { "ff" };
            match layer {
                "0" => format!("{feed_forward}.net.0.proj.{name}"),
                "2" => format!("{feed_forward}.net.2.{name}"),
                _ => format!("norm.{name}"),
            }
        }
        ("proj_in" | "proj_out" | "norm_out", _) => format!("resampler.{key}"),
        ("layers", _) => format!("resampler.layers.{}", resampler_field(rest)),
        ("resampler", _) => match rest.strip_prefix("layers.") {
            Some(layer) => format!("resampler.layers.{}", resampler_field(layer)),
            None => key,
        },
        _ => key,
    }
}

/// The path of the field of a resampler's block, for `number.key`. Each block is a list of an attention and a feed-forward.
fn resampler_field(key: &str) -> String {
    const FIELDS: [(&str, &str); 8] = [
        ("0.norm1.", "ln0."),
        ("0.norm2.", "ln1."),
        ("0.to_out.", "attn.to_out.0."),
        ("0.", "attn."),
        ("1.0.", "ff.0."),
        ("1.1.", "ff.1.net.0.proj."),
        ("1.3.", "ff.1.net.2."),
        ("attn.to_out.weight", "attn.to_out.0.weight"),
    ];
    let (number, key) = key.split_once('.').unwrap_or((key, ""));
    let field = FIELDS.iter().find_map(|(old, new)| Some(format!("{new}{}", key.strip_prefix(old)?)));
    format!("{number}.{}", field.unwrap_or_else(|| key.to_owned()))
}
