//! From the pictures of a call to what a transformer is told that is called once with the prompt and once with the negative prompt.

use burn::tensor::Tensor;
use image::DynamicImage;

use super::encoders::pixels;
use super::prompts::no_adapter;
use super::{IpAdapterEmbeds, IpAdapterImages};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::models::transformers::TakesPictures;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection};
use crate::wording::counted;

const IMAGE: &str = "ip_adapter_image";
const EMBEDS: &str = "ip_adapter_image_embeds";
const NEGATIVE_IMAGE: &str = "negative_ip_adapter_image";
const NEGATIVE_EMBEDS: &str = "negative_ip_adapter_image_embeds";

/// The pictures of a call, or their embeddings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pictures<'a> {
    pub image: Option<&'a IpAdapterImages>,
    pub image_embeds: Option<&'a IpAdapterEmbeds>,
}

/// What to show, and what not to show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GuidedPictures<'a> {
    pub positive: Pictures<'a>,
    pub negative: Pictures<'a>,
}

/// The tokens of pictures for each adapter, with the prompt and with the negative prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct PictureTokens {
    pub positive: Vec<Tensor<4>>,
    pub negative: Vec<Tensor<4>>,
}

/// The parts of a pipeline whose transformer IP-Adapters can steer.
#[derive(Debug)]
pub(crate) struct TransformerParts<'a, M> {
    pub transformer: &'a M,
    pub image_encoder: Option<&'a CLIPVisionModelWithProjection>,
    pub feature_extractor: Option<&'a CLIPImageProcessor>,
}

impl Pictures<'_> {
    fn is_none(&self) -> bool {
        self.image.is_none_or(IpAdapterImages::is_empty) && self.image_embeds.is_none()
    }
}

impl<M: TakesPictures> TransformerParts<'_, M> {
    /// What the transformer is told in a run of `images` images; nothing without adapters. Where only one half of the pictures is given,
    /// the other half is black.
    ///
    /// # Errors
    /// When pictures are given and no adapter is loaded, or the other way around; when the numbers of pictures and adapters differ; when
    /// embeddings are for another number of images or of other lengths.
    pub fn prepare(&self, given: GuidedPictures<'_>, guided: bool, images: usize) -> Result<PictureTokens> {
        let adapters = self.transformer.ip_adapters().count();
        let names = [(given.positive, IMAGE, EMBEDS), (given.negative, NEGATIVE_IMAGE, NEGATIVE_EMBEDS)];
        if adapters == 0 {
            return match names.into_iter().find(|(pictures, ..)| !pictures.is_none()) {
                Some((Pictures { image_embeds: Some(_), .. }, _, embeds)) => Err(no_adapter(embeds)),
                Some((_, image, _)) => Err(no_adapter(image)),
                None => Ok(PictureTokens::default()),
            };
        }
        if given.positive.is_none() && given.negative.is_none() {
            let loaded = counted(adapters, "IP-Adapter");
            let message = format!("must be given, or `{EMBEDS}`: the pipeline has {loaded}");
            return Err(Error::argument(IMAGE, message));
        }
        let unused =
            "the call uses no guidance: that needs a negative prompt, and a `true_cfg_scale` above 1";
        warn_of_ignored(NEGATIVE_IMAGE, !given.negative.is_none() && !guided, unused);
        let tokens =
            |pictures, names| self.transformer.image_tokens(self.embeds(pictures, names, adapters, images)?);
        let negative = match guided {
            true => tokens(given.negative, [NEGATIVE_IMAGE, NEGATIVE_EMBEDS])?,
            false => Vec::new(),
        };
        let tokens = PictureTokens { positive: tokens(given.positive, [IMAGE, EMBEDS])?, negative };
        if let Some(encoder) = self.image_encoder {
            encoder.release_memory();
        }
        Ok(tokens)
    }

    /// The embeddings of the pictures of each adapter, `[images, pictures, 1, features]`.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn embeds(
        &self,
        pictures: Pictures<'_>,
        names: [&'static str; 2],
        adapters: usize,
        images: usize,
    ) -> Result<Vec<Tensor<4>>> {
        let [image, embeds] = names;
        let each = match (pictures.image.filter(|images| !images.is_empty()), pictures.image_embeds) {
            (Some(_), Some(_)) => {
                return Err(Error::argument(image, format!("cannot be combined with `{embeds}`")));
            }
            (Some(given), None) => {
                let given = given.for_each(image, adapters)?;
                given.iter().map(|pictures| self.embed(pictures, names)).collect::<Result<Vec<_>>>()?
            }
            (None, Some(given)) => {
                let given = given.tensors();
                if given.len() != adapters {
                    let (given, adapters) = (counted(given.len(), "tensor"), counted(adapters, "IP-Adapter"));
                    return Err(Error::argument(embeds, format!("has {given} for {adapters}")));
                }
                given.to_vec()
            }
            (None, None) => {
                let side = self.image_encoder.map_or(1, |encoder| encoder.config().image_size) as u32;
                let black = PipelineImageInput::from(DynamicImage::new_rgb8(side, side));
                vec![self.embed(&black, names)?; adapters]
            }
        };
        let for_each_image = |each: Tensor<4>| match each.dims()[0] {
            1 => Ok(each.repeat_dim(0, images)),
            given if given == images => Ok(each),
            _ => {
                let message =
                    format!("has shape {:?}, but the first axis must be 1 or {images}", each.dims());
                Err(Error::argument(embeds, message))
            }
        };
        each.into_iter().map(for_each_image).collect()
    }

    /// The embeddings of the pictures of one adapter, `[1, pictures, 1, features]`.
    fn embed(&self, pictures: &PipelineImageInput, names: [&'static str; 2]) -> Result<Tensor<4>> {
        let parts = (self.image_encoder, self.feature_extractor);
        let (encoder, pixels) = pixels(parts, names, pictures)?;
        let embeds = encoder.forward(pixels.cast(encoder.dtype()))?.image_embeds;
        Ok(embeds.unsqueeze_dim::<3>(1).unsqueeze_dim(0))
    }
}
