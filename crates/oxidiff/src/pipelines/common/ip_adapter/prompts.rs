//! From the pictures of a call to what the UNet is told.

use burn::tensor::Tensor;

use super::encoders::pixels;
use super::unet::IpAdapterParts;
use super::{IpAdapterArguments, IpAdapterEmbeds};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::unets::IpAdapterInputs;
use crate::pipelines::common::guidance::Guidance;
use crate::vision::CLIPVisionModelWithProjection;
use crate::wording::counted;

const IMAGE: &str = "ip_adapter_image";
const EMBEDS: &str = "ip_adapter_image_embeds";

/// An embedded picture, and no picture, for guidance: `[pictures, tokens, features]`.
struct Embedded {
    positive: Tensor<3>,
    negative: Tensor<3>,
}

impl IpAdapterParts<'_> {
    /// What the UNet is told in a run of `images` images; nothing without adapters.
    ///
    /// # Errors
    /// When pictures are given and no adapter is loaded, or the other way around; when the numbers of pictures and adapters
    /// differ; when embeddings have another shape than the guidance asks for.
    pub(crate) fn prepare(
        &self,
        pictures: IpAdapterArguments,
        guidance: Guidance,
        images: usize,
    ) -> Result<Option<IpAdapterInputs>> {
        let IpAdapterArguments { image, image_embeds, masks } = pictures;
        let adapters = self.unet.image_projections().len();
        let embeds = match (image.is_empty(), image_embeds) {
            (true, None) if adapters == 0 => return Ok(None),
            (true, None) => {
                let message = format!(
                    "must be given, or `{EMBEDS}`: {} loaded",
                    if adapters == 1 {
                        "an IP-Adapter is".to_owned()
                    } else {
                        format!("{adapters} IP-Adapters are")
                    }
                );
                return Err(Error::argument(IMAGE, message));
            }
            (false, Some(_)) => {
                return Err(Error::argument(IMAGE, format!("cannot be combined with `{EMBEDS}`")));
            }
            (false, None) if adapters == 0 => return Err(no_adapter(IMAGE)),
            (true, Some(_)) if adapters == 0 => return Err(no_adapter(EMBEDS)),
            (false, None) => {
                let each = image.for_each(IMAGE, adapters)?;
                let each = each.iter().enumerate().map(|(adapter, pictures)| self.embed(adapter, pictures));
                each.collect::<Result<Vec<_>>>()?
                    .into_iter()
                    .map(|Embedded { positive, negative }| {
                        in_order(guidance, [negative, positive].map(|it| it.unsqueeze_dim(0)), images)
                    })
                    .collect()
            }
            (true, Some(given)) => self.given(given, guidance, images)?,
        };
        Ok(Some(IpAdapterInputs { image_embeds: embeds, masks: masks.prepare(adapters)? }))
    }

    /// The embeddings of the pictures of each adapter, in the order in which Python's `prepare_ip_adapter_image_embeds` returns
    /// them.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub(crate) fn embeds(
        &self,
        pictures: IpAdapterArguments,
        guided: bool,
        images: usize,
    ) -> Result<IpAdapterEmbeds> {
        let guidance = if guided { Guidance::by_scale(f64::INFINITY) } else { Guidance::Off };
        let inputs = self.prepare(pictures, guidance, images)?.ok_or_else(|| no_adapter(IMAGE))?;
        Ok(inputs.image_embeds.into())
    }

    /// Embeds the pictures of an adapter.
    fn embed(&self, adapter: usize, pictures: &PipelineImageInput) -> Result<Embedded> {
        let layer = &self.unet.image_projections()[adapter];
        if layer.takes_faces() {
            let message = format!(
                "cannot be used with IP-Adapter {adapter}, a FaceID adapter: it takes the embeddings of faces that a face \
                 recognition model makes, as `{EMBEDS}`"
            );
            return Err(Error::argument(IMAGE, message));
        }
        if layer.takes_whole_image() {
            let (encoder, pixels) = self.pixels(pictures)?;
            let positive = encoder.forward(pixels)?.image_embeds.unsqueeze_dim(1);
            let negative = Tensor::zeros_like(&positive);
            return Ok(Embedded { positive, negative });
        }
        let [positive, negative] = self.hidden_states(pictures)?;
        Ok(Embedded { positive, negative })
    }

    /// The last but one of the image encoder's hidden states for pictures, and for none: `[pictures, tokens, features]`.
    pub(crate) fn hidden_states(&self, pictures: &PipelineImageInput) -> Result<[Tensor<3>; 2]> {
        let (encoder, pixels) = self.pixels(pictures)?;
        let states = |pixels| -> Result<Tensor<3>> {
            let states = encoder.forward(pixels)?.hidden_states;
            // An encoder without layers has one.
            Ok(states[states.len().saturating_sub(2)].clone())
        };
        let negative = states(Tensor::zeros_like(&pixels))?;
        Ok([states(pixels)?, negative])
    }

    /// The image encoder, and pictures as it takes them.
    fn pixels(&self, pictures: &PipelineImageInput) -> Result<(&CLIPVisionModelWithProjection, Tensor<4>)> {
        let parts = (self.image_encoder, self.feature_extractor);
        let (encoder, pixels) = pixels(parts, [IMAGE, EMBEDS], pictures)?;
        Ok((encoder, pixels.cast(encoder.dtype())))
    }

    /// Embeddings that were made before the call.
    fn given(&self, embeds: IpAdapterEmbeds, guidance: Guidance, images: usize) -> Result<Vec<Tensor<4>>> {
        let copies = guidance.copies();
        let device = self.unet.device();
        let in_order = |embeds: Tensor<4>| {
            let given = embeds.dims()[0];
            let each = given / copies;
            if !given.is_multiple_of(copies) || (each != 1 && each != images) {
                let message = format!(
                    "has shape {:?}, but the first axis must be {copies} for {}{}",
                    embeds.dims(),
                    if copies > 1 { "guidance" } else { "a call without guidance" },
                    if images > 1 { format!(", or {}", copies * images) } else { String::new() }
                );
                return Err(Error::argument(EMBEDS, message));
            }
            let parts = embeds.to_device(&device).split(each, 0);
            Ok(match guidance {
                Guidance::Off => in_order(guidance, [parts[0].clone(), parts[0].clone()], images),
                Guidance::ClassifierFree { .. } => {
                    in_order(guidance, [parts[0].clone(), parts[1].clone()], images)
                }
                Guidance::TextAndImage { .. } => {
                    in_order(guidance, [parts[1].clone(), parts[0].clone()], images)
                }
            })
        };
        let tensors = embeds.into_tensors();
        let adapters = self.unet.image_projections().len();
        if tensors.len() != adapters {
            let (given, adapters) = (counted(tensors.len(), "tensor"), counted(adapters, "IP-Adapter"));
            return Err(Error::argument(EMBEDS, format!("has {given} for {adapters}")));
        }
        tensors.into_iter().map(in_order).collect()
    }
}

/// The embeddings `[1 or images, pictures, tokens, features]` without and with the pictures for each item of the model's batch.
fn in_order(guidance: Guidance, embeds: [Tensor<4>; 2], images: usize) -> Tensor<4> {
    let [negative, positive] = embeds.map(|embeds| match embeds.dims()[0] {
        1 => embeds.repeat_dim(0, images),
        _ => embeds,
    });
    match guidance {
        Guidance::Off => positive,
        Guidance::ClassifierFree { .. } => Tensor::cat(vec![negative, positive], 0),
        Guidance::TextAndImage { .. } => Tensor::cat(vec![positive, negative.clone(), negative], 0),
    }
}

pub(crate) fn no_adapter(argument: &'static str) -> Error {
    Error::argument(argument, "is given, but no IP-Adapter is loaded: call `load_ip_adapter` first")
}
