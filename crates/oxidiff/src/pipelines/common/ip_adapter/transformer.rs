//! Loading IP-Adapters into pipelines whose transformer has blocks with two streams.

use super::encoders::EncoderNames;
use super::guided::{Pictures, TransformerParts};
use super::loader::IpAdapterOptions;
use super::{IpAdapterEmbeds, IpAdapterImages, IpAdapterScale};
use crate::error::{Error, Result};
use crate::loading::state_dict::StateDict;
use crate::models::adapters::AdapterWeight;
use crate::models::ip_adapters::load_joint;
use crate::models::model::Model;
use crate::models::transformers::TakesPictures;
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection};
use crate::wording::counted;

const SCALE: &str = "ip_adapter_scale";

/// As [`TransformerParts`], mutable.
pub(crate) struct TransformerPartsMut<'a, M> {
    pub transformer: &'a mut M,
    pub image_encoder: &'a mut Option<CLIPVisionModelWithProjection>,
    pub feature_extractor: &'a mut Option<CLIPImageProcessor>,
}

impl<M: TakesPictures> TransformerPartsMut<'_, M> {
    /// Loads adapters in place of those that are loaded, and an image encoder if there is none.
    ///
    /// # Errors
    /// When a file is missing, or an adapter was made for another model.
    pub fn load(self, adapters: &[(&str, IpAdapterOptions)]) -> Result<()> {
        let Self { transformer, image_encoder, feature_extractor } = self;
        let (dtype, device) = transformer.place();
        let (mut loaded, mut encoder) = (Vec::new(), None);
        for (name, options) in adapters {
            let path = options.locate(name)?;
            loaded.push(load_joint(&StateDict::open(&path)?, transformer.pictured(), dtype, &device)?);
            if image_encoder.is_none() && encoder.is_none() {
                encoder = options.image_encoder(name, &path, EncoderNames::FoldersOrNames, dtype)?;
            }
        }
        transformer.set_ip_adapters(loaded);
        if encoder.is_some() {
            *image_encoder = encoder;
        }
        if feature_extractor.is_none() {
            let size = image_encoder.as_ref().map_or(224, |encoder| encoder.config().image_size);
            *feature_extractor = Some(CLIPImageProcessor::of_size(size)?);
        }
        Ok(())
    }

    /// Sets how strongly the pictures of each adapter count: one number, or one for each block. As in Python, one number is for all
    /// adapters, and a list of numbers, one for each block, can be for the only one.
    ///
    /// # Errors
    /// When there is another number of adapters or blocks, or a number is not finite.
    pub fn set_scale(self, scales: &[IpAdapterScale]) -> Result<()> {
        let adapters = self.transformer.ip_adapters().count();
        let numbers = scales.iter().map(|scale| match scale {
            IpAdapterScale::Pictures(AdapterWeight::All(number)) => Some(*number),
            _ => None,
        });
        let numbers: Option<Vec<f64>> = numbers.collect();
        let blocks = self.transformer.pictured().blocks;
        let scales = match numbers {
            Some(each) if adapters == 1 && each.len() == blocks => vec![IpAdapterScale::EachPicture(each)],
            Some(one) if one.len() == 1 && adapters > 0 => vec![one[0].into(); adapters],
            _ => scales.to_vec(),
        };
        if scales.len() != adapters {
            let (given, adapters) = (counted(scales.len(), "scale"), counted(adapters, "IP-Adapter"));
            return Err(Error::argument(SCALE, format!("has {given} for {adapters}")));
        }
        let each = scales.iter().map(|scale| of_blocks(scale, blocks)).collect::<Result<Vec<_>>>()?;
        self.transformer.set_ip_adapter_scales(&each);
        Ok(())
    }

    /// Removes the adapters and their image encoder.
    pub fn unload(self) {
        self.transformer.unload_ip_adapters();
        *self.image_encoder = None;
        *self.feature_extractor = None;
    }
}

/// The scale in each of so many blocks.
fn of_blocks(scale: &IpAdapterScale, blocks: usize) -> Result<Vec<f64>> {
    let each = match scale {
        IpAdapterScale::Pictures(AdapterWeight::All(scale)) => vec![*scale; blocks],
        IpAdapterScale::Pictures(AdapterWeight::Blocks(_)) => {
            let message =
                "must be a number, or a list of numbers for the blocks: a transformer has no `down` and `up`";
            return Err(Error::argument(SCALE, message));
        }
        IpAdapterScale::EachPicture(each) if each.len() == blocks => each.clone(),
        IpAdapterScale::EachPicture(each) => {
            let (given, blocks) = (counted(each.len(), "number"), counted(blocks, "block"));
            return Err(Error::argument(SCALE, format!("has {given} for {blocks} with two streams")));
        }
    };
    match each.iter().find(|scale| !scale.is_finite()) {
        Some(scale) => Err(Error::argument(SCALE, format!("cannot be {scale}"))),
        None => Ok(each),
    }
}

impl<M: TakesPictures> TransformerParts<'_, M> {
    /// Embeds pictures before a call.
    ///
    /// # Errors
    /// When there is another number of adapters, or no image encoder.
    pub fn embeds_before_a_call(
        &self,
        pictures: &IpAdapterImages,
        num_images_per_prompt: usize,
        do_classifier_free_guidance: bool,
    ) -> Result<IpAdapterEmbeds> {
        if do_classifier_free_guidance {
            let message = "cannot be true here: what not to show is given as `negative_ip_adapter_image`";
            return Err(Error::argument("do_classifier_free_guidance", message));
        }
        let pictures = Pictures { image: Some(pictures), image_embeds: None };
        let names = ["ip_adapter_image", "ip_adapter_image_embeds"];
        let adapters = self.transformer.ip_adapters().count();
        self.embeds(pictures, names, adapters, num_images_per_prompt).map(IpAdapterEmbeds::from)
    }
}

/// Implements [`IpAdapterLoader`](crate::IpAdapterLoader) for the parts of a pipeline with the fields `transformer`, `image_encoder` and
/// `feature_extractor`.
macro_rules! ip_adapters_of_transformer {
    ($components:ty) => {
        impl $crate::IpAdapterLoader for $components {
            fn load_ip_adapters(
                &mut self,
                adapters: &[(&str, $crate::IpAdapterOptions)],
            ) -> $crate::Result<()> {
                self.pictures_mut().load(adapters)
            }

            fn set_ip_adapter_scale(&mut self, scales: &[$crate::IpAdapterScale]) -> $crate::Result<()> {
                self.pictures_mut().set_scale(scales)
            }

            fn prepare_ip_adapter_image_embeds(
                &self,
                ip_adapter_image: $crate::IpAdapterImages,
                num_images_per_prompt: usize,
                do_classifier_free_guidance: bool,
            ) -> $crate::Result<$crate::IpAdapterEmbeds> {
                self.pictures().embeds_before_a_call(
                    &ip_adapter_image,
                    num_images_per_prompt,
                    do_classifier_free_guidance,
                )
            }

            fn unload_ip_adapter(&mut self) {
                self.pictures_mut().unload();
            }
        }
    };
}

pub(crate) use ip_adapters_of_transformer;
