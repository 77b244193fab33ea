//! Prompts that images are part of: Z-Image-Omni. The tokens of each item are those of its text in several parts, of its images, and
//! of what a vision model saw in them. Those of the images that are given are at time 1, whatever the time of the one that is made.

use burn::tensor::Tensor;

use super::block::Block;
use super::embedded::padded;
use super::inputs::{PatchSize, patches, times};
use super::omni_places::{Places, cut_off, images, sights, text};
use super::patches::{Patches, padding};
use super::sequence::{Position, sequence};
use super::{ZImageInputs, ZImageTransformer2DModel};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::sequence::Sequence;
use crate::models::model::Model;

/// The time at which there is no noise.
const CLEAN: f32 = 1.0;

/// The inputs of a [`ZImageTransformer2DModel`] for prompts that images are part of.
#[derive(Clone, Copy, Debug)]
pub struct ZImageOmniInputs<'a> {
    /// The latents of the images of each item, `[in_channels, frames, height, width]`: those to look at, then the noisy ones.
    pub x: &'a [Vec<Tensor<4>>],
    /// The times from 0 (noise) to 1: one for all items, or one for each.
    pub t: &'a [f32],
    /// The hidden states of the parts of each text, `[tokens, cap_feat_dim]`: a part before each image, and any number after the last.
    pub cap_feats: &'a [Vec<Tensor<2>>],
    /// What a vision model saw in the images of each item, `[rows, columns, siglip_feat_dim]`, or nothing for one of them.
    pub siglip_feats: Option<&'a [Vec<Option<Tensor<3>>>]>,
    /// Whether each of the images of each item is noisy.
    pub image_noise_mask: &'a [Vec<bool>],
}

/// What follows from the inputs of an item.
struct Item {
    patches: Vec<Patches>,
    text: Places,
    images: Places,
    sights: Option<Places>,
}

impl Item {
    /// The places of all tokens: of the text, the images, and what was seen.
    fn parts(&self) -> impl Iterator<Item = &Places> {
        [&self.text, &self.images].into_iter().chain(&self.sights)
    }

    fn tokens(&self) -> usize {
        self.parts().map(Places::tokens).sum()
    }
}

impl ZImageTransformer2DModel {
    /// Predicts the velocity of the last image of each item, at the times from 0 (noise) to 1. The results have the shapes of these
    /// images.
    ///
    /// # Errors
    /// When the numbers of the inputs do not fit each other, a shape is not what the configuration says, or the model cannot look at
    /// images.
    pub fn forward_omni(&self, omni: &ZImageOmniInputs<'_>, inputs: &ZImageInputs) -> Result<Vec<Tensor<4>>> {
        let size = PatchSize { size: inputs.patch_size, frames: inputs.f_patch_size };
        let items = self.check_omni(omni, size)?;
        let times = times(omni.t, items.len())?;
        self.check_control(items.iter().map(Item::tokens).sum(), inputs)?;
        self.placement.refuse("a ZImageTransformer2DModel that looks at images")?;
        call(Self::CLASS_NAME, &self.device(), || Ok(self.predict_omni(omni, &items, times, size, inputs)))
    }

    fn predict_omni(
        &self,
        omni: &ZImageOmniInputs<'_>,
        items: &[Item],
        mut times: Vec<f32>,
        size: PatchSize,
        inputs: &ZImageInputs,
    ) -> Vec<Tensor<4>> {
        // The last row of the condition is for clean tokens.
        let clean = times.len();
        times.push(CLEAN);
        let condition = self.condition(self.waves(&times));
        let row = |item: usize, is_noisy: bool| match is_noisy {
            true => item.min(clean - 1),
            false => clean,
        };
        let sequence_of = |part: &dyn Fn(&Item) -> Vec<Places>| self.omni_sequence(items, part, &row);

        let image_sequence = sequence_of(&|item| vec![item.images.clone()]);
        let images = refined(&self.noise_refiner, self.embed_images(omni, items, size), |block, x| {
            block.forward(x, &image_sequence, Some(&condition))
        });
        let text_sequence = sequence_of(&|item| vec![item.text.clone()]);
        let texts = refined(&self.context_refiner, self.embed_texts(omni), |block, x| {
            block.forward(x, &text_sequence, None)
        });
        let mut parts = vec![text_sequence.split(&texts), image_sequence.split(&images)];
        if let Some(sights) = self.embed_sights(omni) {
            let sequence = sequence_of(&|item| item.sights.iter().cloned().collect());
            let blocks = self.siglip_refiner.as_deref().unwrap_or_default();
            let sights = refined(blocks, sights, |block, x| block.forward(x, &sequence, None));
            parts.push(sequence.split(&sights));
        }
        let of_item = |item: usize| parts.iter().map(move |part| part[item].clone());
        let unified = Tensor::cat((0..items.len()).flat_map(of_item).collect(), 1);
        let sequence = sequence_of(&|item| item.parts().cloned().collect());
        let control = inputs
            .controlnet_block_samples
            .iter()
            .map(|(layer, sample)| (*layer, sample.clone().to_device(&self.device()).cast(self.dtype())));
        let unified = self.predict_tokens(unified, &sequence, &condition, size, &control.collect());
        let results = sequence.split(&unified).into_iter().zip(items).map(|(tokens, item)| {
            let made = item.patches.last().expect("each item has an image");
            let end = item.text.tokens() + item.images.tokens();
            let start = end - made.count() - padding(made.count());
            made.join(tokens.squeeze_dim::<2>(0).narrow(0, start, made.count()))
        });
        results.collect()
    }

    /// The sequence of parts of each item; `row` is the row of the condition for noisy or clean tokens of an item.
    fn omni_sequence(
        &self,
        items: &[Item],
        parts: &dyn Fn(&Item) -> Vec<Places>,
        row: &dyn Fn(usize, bool) -> usize,
    ) -> Sequence {
        let places: Vec<Vec<Places>> = items.iter().map(parts).collect();
        let positions: Vec<Vec<Position>> = places
            .iter()
            .map(|parts| parts.iter().flat_map(|part| part.positions.iter().copied()).collect())
            .collect();
        let runs = places.iter().enumerate().flat_map(|(item, parts)| {
            let runs = parts.iter().flat_map(|part| &part.runs);
            runs.map(move |(tokens, is_noisy)| (*tokens, row(item, *is_noisy)))
        });
        sequence(&positions, &self.config, &self.device()).with_runs(runs)
    }

    fn embed_images(&self, omni: &ZImageOmniInputs<'_>, items: &[Item], size: PatchSize) -> Tensor<3> {
        let embedder = self.all_x_embedder.get(&size.key()).expect("checked with the images");
        let images = omni.x.iter().zip(items).flat_map(|(images, item)| images.iter().zip(&item.patches));
        let tokens = images.map(|(image, patches)| {
            let image = image.clone().to_device(&self.device()).cast(self.dtype());
            padded(embedder.forward(patches.cut(image)), &self.x_pad_token)
        });
        Tensor::cat(tokens.collect(), 1)
    }

    fn embed_texts(&self, omni: &ZImageOmniInputs<'_>) -> Tensor<3> {
        let (norm, linear) = &self.cap_embedder;
        let tokens = omni.cap_feats.iter().flatten().map(|part| {
            let part = part.clone().to_device(&self.device()).cast(self.dtype());
            padded(linear.forward(norm.forward(part)), &self.cap_pad_token)
        });
        Tensor::cat(tokens.collect(), 1)
    }

    fn embed_sights(&self, omni: &ZImageOmniInputs<'_>) -> Option<Tensor<3>> {
        let ((norm, linear), token) = self.siglip_embedder.as_ref().zip(self.siglip_pad_token.as_ref())?;
        let tokens = omni.siglip_feats?.iter().flatten().map(|sight| match sight {
            None => token.val().repeat_dim(0, padding(1) + 1).unsqueeze_dim(0),
            Some(sight) => {
                let sight = sight.clone().to_device(&self.device()).cast(self.dtype());
                let [rows, columns, features] = sight.dims();
                // All values of one feature come after each other, and are then cut into tokens: the model was trained like this.
                let tokens = sight.permute([2, 0, 1]).reshape([rows * columns, features]);
                padded(linear.forward(norm.forward(tokens)), token)
            }
        });
        Some(Tensor::cat(tokens.collect(), 1))
    }

    fn check_omni(&self, omni: &ZImageOmniInputs<'_>, size: PatchSize) -> Result<Vec<Item>> {
        let ZImageOmniInputs { x, cap_feats, siglip_feats, image_noise_mask, .. } = omni;
        let count = x.len();
        if x.is_empty() || x.iter().any(Vec::is_empty) {
            return Err(Error::argument("x", "must hold at least one item, and each item an image"));
        }
        for (argument, given) in [
            ("cap_feats", cap_feats.len()),
            ("image_noise_mask", image_noise_mask.len()),
            ("siglip_feats", siglip_feats.map_or(count, |sights| sights.len())),
        ] {
            if given != count {
                return Err(Error::argument(argument, format!("is for {given} items, but `x` for {count}")));
            }
        }
        if siglip_feats.is_some() && self.siglip_embedder.is_none() {
            let message = "cannot be given: the model does not look at images, its `siglip_feat_dim` is null";
            return Err(Error::argument("siglip_feats", message));
        }
        self.check_patch_size(size)?;
        let items = (0..count).map(|item| {
            let sights = siglip_feats.map(|sights| sights[item].as_slice());
            self.check_item(&x[item], &cap_feats[item], sights, &image_noise_mask[item], size)
        });
        items.collect()
    }

    fn check_item(
        &self,
        x: &[Tensor<4>],
        cap_feats: &[Tensor<2>],
        siglip_feats: Option<&[Option<Tensor<3>>]>,
        noise: &[bool],
        size: PatchSize,
    ) -> Result<Item> {
        let patches = patches("x", x, self.config.in_channels, size)?;
        self.check_tokens(cap_feats)?;
        if cap_feats.len() < x.len() {
            let message =
                format!("has {} parts for {} images; there is one before each", cap_feats.len(), x.len());
            return Err(Error::argument("cap_feats", message));
        }
        if noise.len() < x.len() {
            let message = format!("has {} values for {} images", noise.len(), x.len());
            return Err(Error::argument("image_noise_mask", message));
        }
        let lengths: Vec<usize> = cap_feats.iter().map(|part| part.dims()[0]).collect();
        let (mut text, ends) = text(&lengths, |part| noise.get(part).copied().unwrap_or(true));
        // Python looks up the positions that are cut off, too.
        self.check_positions(text.last())?;
        cut_off(&mut text);
        let images = images(&patches, &ends, noise);
        let sights = siglip_feats
            .map(|given| Ok(sights(&self.sizes(given, x.len())?, &patches, &ends, noise)))
            .transpose()?;
        let item = Item { patches, text, images, sights };
        item.parts().try_for_each(|part| self.check_positions(part.last()))?;
        Ok(item)
    }

    /// The rows and columns of tokens of what was seen.
    fn sizes(&self, siglip_feats: &[Option<Tensor<3>>], images: usize) -> Result<Vec<Option<[usize; 2]>>> {
        const ARGUMENT: &str = "siglip_feats";
        let taken = self.config.siglip_feat_dim.unwrap_or_default();
        if siglip_feats.is_empty() || siglip_feats.len() > images {
            let message = format!("are of {} images for {images}", siglip_feats.len());
            return Err(Error::argument(ARGUMENT, message));
        }
        let sizes = siglip_feats.iter().map(|sight| {
            let Some(sight) = sight else { return Ok(None) };
            let [rows, columns, features] = sight.dims();
            if rows * columns == 0 || features != taken {
                let message = format!("have shape {:?}, the model takes tokens of {taken}", sight.dims());
                return Err(Error::argument(ARGUMENT, message));
            }
            Ok(Some([rows, columns]))
        });
        sizes.collect()
    }
}

/// Tokens after all the blocks.
fn refined(
    blocks: &[Block],
    tokens: Tensor<3>,
    forward: impl Fn(&Block, Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    blocks.iter().fold(tokens, |tokens, block| forward(block, tokens))
}
