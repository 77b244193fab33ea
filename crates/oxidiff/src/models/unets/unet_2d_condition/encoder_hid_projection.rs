//! What the text, or what stands in for it, goes through before the UNet attends to it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::{EncoderHidDimType, UNet2DConditionConfig};
use crate::error::{Error, Result};
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::unets::invalid;

/// Tokens that an image becomes before a text.
const TOKENS_BEFORE_TEXT: usize = 10;
/// Tokens that an image becomes instead of a text.
const TOKENS: usize = 32;

/// The projection that a configuration names as its `encoder_hid_dim_type`.
#[derive(Module, Debug)]
pub enum EncoderHidProjection {
    /// A linear layer.
    Text(Linear),
    /// A linear layer, with tokens of an image before the text.
    TextImage(TextImageProjection),
    /// Tokens of an image, instead of a text.
    Image(ImageProjection),
}

/// A linear layer for a text, and one for an image.
#[derive(Module, Debug)]
pub struct TextImageProjection {
    image_embeds: Linear,
    text_proj: Linear,
}

/// A linear layer for an image, and a norm for each token that it makes.
#[derive(Module, Debug)]
pub struct ImageProjection {
    image_embeds: Linear,
    norm: LayerNorm,
}

impl EncoderHidProjection {
    /// The module, if the configuration asks for one.
    pub(super) fn of(config: &UNet2DConditionConfig, device: &Device) -> Result<Option<Self>> {
        let cross_dim = config.cross_attention_dim.first().unwrap_or_default();
        let Some(dim) = config.encoder_hid_dim else {
            return match config.encoder_hid_dim_type {
                None => Ok(None),
                Some(_) => Err(invalid("encoder_hid_dim", "must be set for this `encoder_hid_dim_type`")),
            };
        };
        Ok(match config.encoder_hid_dim_type.unwrap_or(EncoderHidDimType::TextProj) {
            EncoderHidDimType::TextProj => Some(Self::Text(Linear::init(dim, cross_dim, true, device))),
            EncoderHidDimType::TextImageProj => Some(Self::TextImage(TextImageProjection {
                image_embeds: Linear::init(cross_dim, TOKENS_BEFORE_TEXT * cross_dim, true, device),
                text_proj: Linear::init(dim, cross_dim, true, device),
            })),
            EncoderHidDimType::ImageProj => Some(Self::Image(ImageProjection {
                image_embeds: Linear::init(dim, TOKENS * cross_dim, true, device),
                norm: LayerNorm::init(cross_dim, 1e-5, device),
            })),
            EncoderHidDimType::IpImageProj => None,
        })
    }

    /// Length of the text's tokens; `None` if the text is not looked at.
    pub(super) fn text_features(&self) -> Option<usize> {
        match self {
            Self::Text(linear) => Some(linear.in_features()),
            Self::TextImage(projection) => Some(projection.text_proj.in_features()),
            Self::Image(_) => None,
        }
    }

    /// What the UNet attends to, `[batch, tokens, cross_attention_dim]`, made of a text `[batch, tokens, features]` and an
    /// image `[batch, features]`.
    ///
    /// # Errors
    /// When an image is required and not given, or of another shape.
    pub(super) fn forward(&self, text: Tensor<3>, image: Option<Tensor<2>>) -> Result<Tensor<3>> {
        let batch = text.dims()[0];
        let tokens = |linear: &Linear, tokens: usize| {
            let image = image.ok_or_else(|| {
                let message = "the model's configuration requires it, but it was not given";
                Error::argument("image_embeds", message)
            })?;
            if image.dims() != [batch, linear.in_features()] {
                let message = format!(
                    "has shape {:?}, the model takes [{batch}, {}]",
                    image.dims(),
                    linear.in_features()
                );
                return Err(Error::argument("image_embeds", message));
            }
            let projected = linear.forward(image.cast(text.dtype()));
            let features = projected.dims()[1] / tokens;
            Ok(projected.reshape([batch, tokens, features]))
        };
        match self {
            Self::Text(linear) => Ok(linear.forward(text)),
            Self::TextImage(projection) => {
                let image = tokens(&projection.image_embeds, TOKENS_BEFORE_TEXT)?;
                Ok(Tensor::cat(vec![image, projection.text_proj.forward(text)], 1))
            }
            Self::Image(projection) => Ok(projection.norm.forward(tokens(&projection.image_embeds, TOKENS)?)),
        }
    }
}
