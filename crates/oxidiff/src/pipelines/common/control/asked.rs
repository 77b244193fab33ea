//! The ControlNets of a call, of any class, and how many images each of them follows.

use burn::tensor::Tensor;

use super::{ControlImages, ControlMode, FollowedImages};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::{
    ControlNet, ControlNetInputs, ControlNetModel, ControlNetOutput, ControlNetUnion, ControlNetUnionInputs,
    ControlNetUnionModel,
};
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::unets::AddedConditions;

/// The ControlNets of a call, and the images that they follow.
pub(crate) enum Nets<'a> {
    Plain(&'a ControlNet, ControlImages),
    Union(&'a ControlNetUnion, FollowedImages, ControlMode),
}

/// A ControlNet that is asked in each step.
pub(super) enum Net<'a> {
    Plain(&'a ControlNetModel),
    Union {
        net: &'a ControlNetUnionModel,
        /// The types of its images.
        types: Vec<usize>,
        /// Whether it is one of several.
        is_of_several: bool,
    },
}

/// The ControlNets of a call.
pub(super) struct Asked<'a> {
    pub nets: Vec<Net<'a>>,
    /// Of all ControlNets, those of one after those of another.
    pub images: Vec<PipelineImageInput>,
    /// Whether there is a scale and a part of the run for each image, not for each ControlNet.
    pub is_scaled_by_image: bool,
}

impl<'a> Nets<'a> {
    /// Finds the images of each ControlNet; errors about them are about `argument`.
    ///
    /// # Errors
    /// When their number does not fit, or a ControlNet has no such type.
    pub(super) fn asked(self, argument: &'static str) -> Result<Asked<'a>> {
        match self {
            Self::Plain(controlnet, given) => {
                let nets = controlnet.nets();
                Ok(Asked {
                    images: given.for_each(argument, nets.len(), "ControlNet")?,
                    nets: nets.iter().map(Net::Plain).collect(),
                    is_scaled_by_image: false,
                })
            }
            Self::Union(controlnet, given, mode) => {
                let types = mode.of_each(controlnet)?;
                let images = of_types(argument, given.rows(), &types)?;
                let is_of_several = matches!(controlnet, ControlNetUnion::Several(_));
                let each = controlnet.nets().iter().zip(types);
                let nets = each.map(|(net, types)| Net::Union { net, types, is_of_several }).collect();
                Ok(Asked { nets, images, is_scaled_by_image: !is_of_several })
            }
        }
    }
}

/// The images of all types of all ControlNets: a flat list, or a list for each ControlNet.
fn of_types(
    argument: &'static str,
    given: &ControlImages,
    types: &[Vec<usize>],
) -> Result<Vec<PipelineImageInput>> {
    let total = types.iter().map(Vec::len).sum();
    match given {
        ControlImages::Each(each) if each.len() == types.len() && total > types.len() => {
            let own = each.iter().zip(types).map(|(images, types)| {
                ControlImages::Together(images.clone()).for_each(argument, types.len(), "type")
            });
            Ok(own.collect::<Result<Vec<_>>>()?.concat())
        }
        given => given.for_each(argument, total, "type"),
    }
}

/// What all ControlNets are asked about in a step.
pub(super) struct Question<'a> {
    pub sample: Tensor<4>,
    pub timestep: f32,
    pub text: Tensor<3>,
    pub added: AddedConditions,
    pub guess_mode: bool,
    /// For each image, `[batch, channels, height, width]`.
    pub images: Vec<Tensor<4>>,
    /// For each image, or one for the ControlNet.
    pub scales: &'a [f64],
}

impl Net<'_> {
    /// The number of images that it follows.
    pub fn images(&self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Union { types, .. } => types.len(),
        }
    }

    /// The channels of the images, and the name of the class.
    pub fn conditioning_channels(&self) -> usize {
        match self {
            Self::Plain(net) => net.config().conditioning_channels,
            Self::Union { net, .. } => net.config().conditioning_channels,
        }
    }

    pub fn pools(&self) -> bool {
        match self {
            Self::Plain(net) => net.config().global_pool_conditions,
            Self::Union { net, .. } => net.config().global_pool_conditions,
        }
    }

    pub fn model(&self) -> &dyn Suspect {
        match self {
            Self::Plain(net) => *net,
            Self::Union { net, .. } => *net,
        }
    }

    /// Whether it has something to say with these scales. A model that weighs several types against each other always has.
    pub fn answers(&self, scales: &[f64]) -> bool {
        let weighs = matches!(self, Self::Union { types, is_of_several: false, .. } if types.len() > 1);
        weighs || scales.iter().any(|scale| *scale != 0.0)
    }

    /// What to add inside the UNet.
    ///
    /// # Errors
    /// When the model cannot work with its inputs.
    pub fn ask(&self, question: Question<'_>) -> Result<ControlNetOutput> {
        let Question { sample, timestep, text, added, guess_mode, mut images, scales } = question;
        match self {
            Self::Plain(net) => {
                let image = images.pop().ok_or_else(|| Error::argument("image", "there are no images"))?;
                let inputs =
                    ControlNetInputs { conditioning_scale: scales[0], guess_mode, class_labels: None, added };
                net.forward_with(sample, &[timestep], text, image, inputs)
            }
            Self::Union { net, types, is_of_several } => {
                let inputs = ControlNetUnionInputs {
                    control_type: None,
                    conditioning_scale: if *is_of_several {
                        vec![scales[0]; types.len()]
                    } else {
                        scales.to_vec()
                    },
                    from_multi: *is_of_several,
                    guess_mode,
                    class_labels: None,
                    added,
                };
                net.forward_with(sample, &[timestep], text, &images, types, inputs)
            }
        }
    }
}
