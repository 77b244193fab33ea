//! The IP-Adapter of the family: loading one, and the picture of a call.

use burn::tensor::Tensor;

use super::components::StableDiffusion3Components;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::loading::LoadOptions;
use crate::loading::state_dict::StateDict;
use crate::models::adapters::AdapterWeight;
use crate::models::model::Model;
use crate::pipelines::common::ip_adapter::{
    EncoderNames, IpAdapterEmbeds, IpAdapterImages, IpAdapterLoader, IpAdapterOptions, IpAdapterScale,
    no_adapter, pixels,
};
use crate::vision::{ImageProcessor, SiglipImageProcessor, SiglipVisionModel};
use crate::wording::counted;

const IMAGE: &str = "ip_adapter_image";
const EMBEDS: &str = "ip_adapter_image_embeds";
const SCALE: &str = "ip_adapter_scale";

/// The picture of a call, or its embedding.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub image: IpAdapterImages,
    pub image_embeds: Option<IpAdapterEmbeds>,
}

impl StableDiffusion3Components {
    /// The embedded picture of a run of `images` images, `[images, tokens, features]`; with guidance, the embedding of no picture comes
    /// first. Nothing without a picture.
    ///
    /// # Errors
    /// When a picture is given and no adapter is loaded, there is no image encoder, or embeddings are for another number of images.
    pub(super) fn embed_picture(
        &self,
        picture: Picture,
        is_guided: bool,
        images: usize,
    ) -> Result<Option<Tensor<3>>> {
        let Picture { image, image_embeds } = picture;
        let [negative, positive] = match (image.is_empty(), image_embeds) {
            (true, None) => return Ok(None),
            (false, Some(_)) => {
                return Err(Error::argument(IMAGE, format!("cannot be combined with `{EMBEDS}`")));
            }
            (false, None) if !self.transformer.has_ip_adapter() => return Err(no_adapter(IMAGE)),
            (true, Some(_)) if !self.transformer.has_ip_adapter() => return Err(no_adapter(EMBEDS)),
            (false, None) => {
                let embeds = self.hidden_states(&image)?;
                [embeds.zeros_like(), embeds]
            }
            (true, Some(given)) => given_embeds(given, is_guided, images)?,
        };
        let each = |embeds: Tensor<3>| match embeds.dims()[0] {
            1 => embeds.repeat_dim(0, images),
            _ => embeds,
        };
        Ok(Some(match is_guided {
            true => Tensor::cat(vec![each(negative), each(positive)], 0),
            false => each(positive),
        }))
    }

    /// The last but one of the image encoder's hidden states for the one picture, `[1, tokens, features]`.
    fn hidden_states(&self, picture: &IpAdapterImages) -> Result<Tensor<3>> {
        let picture = picture.for_each(IMAGE, 1)?.remove(0);
        let parts = (self.image_encoder.as_ref(), self.feature_extractor.as_ref());
        let (encoder, pixels) = pixels(parts, [IMAGE, EMBEDS], &picture)?;
        if pixels.dims()[0] != 1 {
            let message = format!("must be one picture, but there are {}", pixels.dims()[0]);
            return Err(Error::argument(IMAGE, message));
        }
        let states = encoder.forward(pixels)?.hidden_states;
        encoder.release_memory();
        // An encoder without layers has one.
        Ok(states[states.len().saturating_sub(2)].clone())
    }
}

/// Embeddings that were made before the call: those of no picture, and of the picture, each for one image or for all.
fn given_embeds(embeds: IpAdapterEmbeds, is_guided: bool, images: usize) -> Result<[Tensor<3>; 2]> {
    let [embeds] = embeds.tensors() else {
        let message = format!("has {} for 1 IP-Adapter", counted(embeds.tensors().len(), "tensor"));
        return Err(Error::argument(EMBEDS, message));
    };
    let [given, pictures, tokens, features] = embeds.dims();
    let copies = if is_guided { 2 } else { 1 };
    let each = given / copies;
    if !given.is_multiple_of(copies) || (each != 1 && each != images) {
        let message = format!(
            "has shape {:?}, but the first axis must be {copies} or {} for {}",
            embeds.dims(),
            copies * images,
            if is_guided { "guidance" } else { "a call without guidance" },
        );
        return Err(Error::argument(EMBEDS, message));
    }
    let parts = embeds.clone().reshape([given, pictures * tokens, features]).split(each, 0);
    Ok([parts[0].clone(), parts[copies - 1].clone()])
}

impl IpAdapterLoader for StableDiffusion3Components {
    fn load_ip_adapters(&mut self, adapters: &[(&str, IpAdapterOptions)]) -> Result<()> {
        let [(name, options)] = adapters else {
            let message = format!("are {}, but Stable Diffusion 3 takes one IP-Adapter", adapters.len());
            return Err(Error::argument("adapters", message));
        };
        let path = options.locate(name)?;
        let place = match self.image_encoder {
            Some(_) => None,
            None => options.image_encoder_place(name, &path, EncoderNames::FoldersOrNames),
        };
        let dtype = self.transformer.dtype();
        let encoder = place.map(|(name, subfolder)| {
            let options =
                LoadOptions { dtype, subfolder, hub: options.hub.clone(), ..LoadOptions::default() };
            let extractor = SiglipImageProcessor::from_pretrained_with(&name, &options)?;
            Ok::<_, Error>((SiglipVisionModel::from_pretrained_with(&name, &options)?, extractor))
        });
        let encoder = encoder.transpose()?;
        self.transformer.load_ip_adapter(&StateDict::open(&path)?)?;
        if let Some((encoder, extractor)) = encoder {
            (self.image_encoder, self.feature_extractor) = (Some(encoder), Some(extractor));
        }
        Ok(())
    }

    fn set_ip_adapter_scale(&mut self, scales: &[IpAdapterScale]) -> Result<()> {
        if !self.transformer.has_ip_adapter() {
            return Err(no_adapter(SCALE));
        }
        let [IpAdapterScale::Pictures(AdapterWeight::All(scale))] = scales else {
            return Err(Error::argument(
                SCALE,
                "must be one number: this family has the same for all blocks",
            ));
        };
        if !scale.is_finite() {
            return Err(Error::argument(SCALE, format!("cannot be {scale}")));
        }
        self.transformer.set_ip_adapter_scale(*scale);
        Ok(())
    }

    /// The hidden states of a picture, and zeros, which stand for no picture.
    fn encode_image(&self, pictures: &PipelineImageInput) -> Result<[Tensor<3>; 2]> {
        let embeds = self.hidden_states(&pictures.clone().into())?;
        Ok([embeds.clone(), embeds.zeros_like()])
    }

    fn prepare_ip_adapter_image_embeds(
        &self,
        ip_adapter_image: IpAdapterImages,
        num_images_per_prompt: usize,
        do_classifier_free_guidance: bool,
    ) -> Result<IpAdapterEmbeds> {
        let picture = Picture { image: ip_adapter_image, image_embeds: None };
        let embeds = self.embed_picture(picture, do_classifier_free_guidance, num_images_per_prompt)?;
        let embeds = embeds.ok_or_else(|| Error::argument(IMAGE, "has no picture"))?;
        Ok(vec![embeds.unsqueeze_dim::<4>(1)].into())
    }

    fn unload_ip_adapter(&mut self) {
        self.transformer.unload_ip_adapter();
        (self.image_encoder, self.feature_extractor) = (None, None);
    }
}
