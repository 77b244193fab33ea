//! The transformer of Z-Image, whose images and captions have different sizes, so that lists of them are its arguments.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::transformers::{ZImageInputs, ZImageOmniInputs, ZImageTransformer2DModel};
use crate::pipelines::{Argument, FromArgument};

/// A tensor for each item, or several for each.
pub enum PerItem<const D: usize> {
    /// One for each.
    One(Vec<Tensor<D>>),
    /// Several for each.
    Several(Vec<Vec<Tensor<D>>>),
}

impl<const D: usize> FromArgument for PerItem<D> {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        let is_tensor = |item: Option<&Argument>| matches!(item, Some(Argument::Tensor(_)));
        let has_lists = |items: &[Argument]| match items.first() {
            Some(Argument::List(inner)) => inner.is_empty() || is_tensor(inner.first()),
            _ => false,
        };
        match &argument {
            Argument::List(items) if has_lists(items) => Vec::from_argument(argument).map(Self::Several),
            _ => Vec::from_argument(argument).map(Self::One),
        }
    }
}

/// What a vision model saw in the images of each item, if anything.
pub struct Sights(Vec<Option<Vec<Option<Tensor<3>>>>>);

impl FromArgument for Sights {
    const CAN_BE_WRITTEN: bool = false;

    fn from_argument(argument: Argument) -> Result<Self, String> {
        let list = |argument| match argument {
            Argument::List(items) => Ok(items),
            _ => Err("must be a list of lists of tensors, any of which can be None".to_owned()),
        };
        let of_item = |item| match item {
            Argument::None => Ok(None),
            item => list(item)?.into_iter().map(Option::from_argument).collect::<Result<_, _>>().map(Some),
        };
        Ok(Self(list(argument)?.into_iter().map(of_item).collect::<Result<_, _>>()?))
    }
}

impl Sights {
    /// Those of all items, or none.
    ///
    /// # Errors
    /// When only some items have them: the tokens of the others would have no place.
    fn of_all(self) -> Result<Option<Vec<Vec<Option<Tensor<3>>>>>> {
        let (items, given) = (self.0.len(), self.0.iter().flatten().count());
        match given {
            0 => Ok(None),
            _ if given == items => Ok(Some(self.0.into_iter().flatten().collect())),
            _ => Err(Error::argument("siglip_feats", "must be given for all items, or for none")),
        }
    }
}

call_arguments! {
    /// The arguments of a call of a [`ZImageTransformer2DModel`].
    pub struct ZImageTransformer2DArguments: "ZImageTransformer2DModel" {
        /// The noisy latents of each image, `[in_channels, frames, height, width]`; or lists of images for each item, the last noisy.
        pub x: Option<PerItem<4>> = None,
        /// The time from 0 (noise) to 1: one for all images, or one for each.
        pub t: Option<Vec<f32>> = None,
        /// The hidden states of each caption, `[tokens, cap_feat_dim]`; or lists of its parts, one before each image.
        pub cap_feats: Option<PerItem<2>> = None,
        /// With lists of images, what a vision model saw in each of them, `[rows, columns, siglip_feat_dim]`.
        pub siglip_feats: Option<Sights> = None,
        /// With lists of images, 1 for each that is noisy and 0 for each that is not.
        pub image_noise_mask: Option<Vec<Vec<usize>>> = None,
        /// The height and width of a patch.
        pub patch_size: usize = 2,
        /// The frames of a patch.
        pub f_patch_size: usize = 1,
    }
}

/// The results have no common shape, so each has a number: `sample_0`, `sample_1` and so on stand for Python's list `sample`.
const SAMPLES: [&str; MOST_SAMPLES] =
    ["sample_0", "sample_1", "sample_2", "sample_3", "sample_4", "sample_5", "sample_6", "sample_7"];
/// The most images of a call by name.
const MOST_SAMPLES: usize = 8;

impl CallableModel for ZImageTransformer2DModel {
    type Arguments = ZImageTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ZImageTransformer2DArguments) -> Result<ModelOutput> {
        let x = required("x", arguments.x)?;
        let t = required("t", arguments.t)?;
        let cap_feats = required("cap_feats", arguments.cap_feats)?;
        let (items, lists) = match &x {
            PerItem::One(x) => (x.len(), false),
            PerItem::Several(x) => (x.len(), true),
        };
        if items > MOST_SAMPLES {
            return Err(Error::argument("x", format!("{items} images; at most {MOST_SAMPLES} at once")));
        }
        let ZImageTransformer2DArguments { patch_size, f_patch_size, .. } = arguments;
        let inputs = ZImageInputs { patch_size, f_patch_size, ..Default::default() };
        for (argument, is_given) in [
            ("siglip_feats", arguments.siglip_feats.is_some()),
            ("image_noise_mask", arguments.image_noise_mask.is_some()),
        ] {
            if is_given && !lists {
                return Err(Error::argument(
                    argument,
                    "is for lists of images; `x` has one image for each item",
                ));
            }
        }
        let samples = match (x, cap_feats) {
            (PerItem::One(x), PerItem::One(cap_feats)) => self.forward_with(&x, &t, &cap_feats, &inputs)?,
            (PerItem::Several(x), PerItem::Several(cap_feats)) => {
                let mask = required("image_noise_mask", arguments.image_noise_mask)?;
                let noise = mask.iter().map(|row| row.iter().map(|value| *value == 1).collect());
                let sights = arguments.siglip_feats.map(Sights::of_all).transpose()?.flatten();
                let omni = ZImageOmniInputs {
                    x: &x,
                    t: &t,
                    cap_feats: &cap_feats,
                    siglip_feats: sights.as_deref(),
                    image_noise_mask: &noise.collect::<Vec<Vec<bool>>>(),
                };
                self.forward_omni(&omni, &inputs)?
            }
            _ => {
                let message =
                    "must be lists of parts if `x` has lists of images, and else one tensor for each item";
                return Err(Error::argument("cap_feats", message));
            }
        };
        Ok(SAMPLES.into_iter().zip(samples.into_iter().map(Into::into)).collect())
    }
}
