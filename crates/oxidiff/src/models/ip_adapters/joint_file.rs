//! Files of IP-Adapters for transformers whose blocks have two streams: those of XLabs
//! (<https://huggingface.co/XLabs-AI/flux-ip-adapter>), `ip_adapter_proj_model.*` and `double_blocks.N.processor.*`, and those with the
//! names of diffusers, `image_proj.*` and `ip_adapter.N.*`.

use burn::tensor::{DType, Device};

use super::{ImageProjectionLayer, IpAdapter, IpProjections};
use crate::error::Result;
use crate::loading::WeightOptions;
use crate::loading::state_dict::StateDict;
use crate::loading::weights::Checkpoint;
use crate::models::layers::linear::Linear;
use crate::models::transformers::Pictured;

/// The layers of an adapter, for a model of this shape.
///
/// # Errors
/// When the tensors are not those of such an adapter, or it was made for a model of another shape; the error names both.
pub(crate) fn load_joint(
    tensors: &StateDict,
    fits: Pictured,
    dtype: DType,
    device: &Device,
) -> Result<IpAdapter> {
    let fields = tensors.rename(field);
    for (part, names) in [
        ("image_proj.", "`ip_adapter_proj_model.*` or `image_proj.*`"),
        ("ip_adapter.", "`double_blocks.*` or `ip_adapter.*`"),
    ] {
        if !fields.keys().any(|key| key.starts_with(part)) {
            let message = format!("not an IP-Adapter for such a transformer: it has no tensors {names}");
            return Err(tensors.error(message));
        }
    }
    if !fields.contains("image_proj.image_embeds.weight") {
        let message =
            "its image projection is not the linear layer that adapters for such a transformer have";
        return Err(tensors.error(message));
    }
    let image_proj = ImageProjectionLayer::of_file(&fields, device)?;
    check_fit(&fields, &image_proj, fits)?;
    let linear = || Linear::init(fits.text_features, fits.dim, true, device);
    let projections = |_| IpProjections { to_k_ip: linear(), to_v_ip: linear() };
    let module = IpAdapter { image_proj, ip_adapter: (0..fits.blocks).map(projections).collect() };
    let options = WeightOptions::new(dtype, device);
    Checkpoint::of(fields).load_into(module, options, ("IP-Adapter", |_| None))
}

/// The path of the field of [`IpAdapter`] for a key of a file.
fn field(key: &str) -> Option<String> {
    let (first, rest) = key.split_once('.')?;
    match first {
        "ip_adapter_proj_model" | "image_proj" => {
            let renamed = rest.strip_prefix("proj.").map(|rest| format!("image_embeds.{rest}"));
            Some(format!("image_proj.{}", renamed.unwrap_or_else(|| rest.to_owned())))
        }
        "double_blocks" | "ip_adapter" => {
            let rest = rest
                .replace("ip_adapter_double_stream_k_proj", "to_k_ip")
                .replace("ip_adapter_double_stream_v_proj", "to_v_ip")
                .replace("processor.", "");
            Some(format!("ip_adapter.{rest}"))
        }
        _ => None,
    }
}

/// Checks that the adapter has as many blocks as the model, of the same widths.
fn check_fit(fields: &StateDict, image_proj: &ImageProjectionLayer, fits: Pictured) -> Result<()> {
    const KEY: &str = ".to_k_ip.weight";
    let Pictured { blocks, dim, text_features } = fits;
    let own = fields.keys().filter(|key| key.ends_with(KEY)).count();
    if own != blocks {
        let message = format!(
            "the IP-Adapter has layers for {own} blocks, the transformer has {blocks}: it was made for another model"
        );
        return Err(fields.error(message));
    }
    let tokens = image_proj.output_dim();
    for (key, tensor) in fields.iter().filter(|(key, _)| key.ends_with(KEY)) {
        if tensor.shape() != [dim, text_features] || tokens != text_features {
            let message = format!(
                "the IP-Adapter has tokens of size {tokens} and, in `{key}`, a projection {:?}, but the transformer expects \
                 {:?}: it was made for another model",
                tensor.shape(),
                [dim, text_features]
            );
            return Err(fields.error(message));
        }
    }
    Ok(())
}
