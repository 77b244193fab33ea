//! From the embedding of a picture to the tokens that a UNet attends to.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::resampler::{DIM_HEAD, Resampler, ResamplerConfig};
use crate::error::{Error, Result};
use crate::loading::state_dict::StateDict;
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

/// The epsilon of the norms.
const EPSILON: f64 = 1e-5;

/// The image projection of an IP-Adapter, one of those that have been published.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a few of these in a model")]
pub(crate) enum ImageProjectionLayer {
    /// A linear layer (IP-Adapter).
    Linear(LinearProjection),
    /// A feed-forward on each token of a picture (IP-Adapter Full Face).
    Full(FullProjection),
    /// A resampler (IP-Adapter Plus).
    Plus(PlusProjection),
    /// A feed-forward on the embedding of a face (IP-Adapter FaceID).
    FaceId(FaceIdProjection),
    /// The same, and a resampler of the picture of that face (IP-Adapter FaceID Plus).
    FaceIdPlus(FaceIdPlusProjection),
}

#[derive(Module, Debug)]
pub(crate) struct LinearProjection {
    image_embeds: Linear,
    norm: LayerNorm,
    tokens: usize,
}

#[derive(Module, Debug)]
pub(crate) struct FullProjection {
    ff: FeedForward,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
pub(crate) struct PlusProjection {
    /// The queries, `[1, queries, hidden_dim]`.
    latents: Param<Tensor<3>>,
    resampler: Resampler,
}

#[derive(Module, Debug)]
pub(crate) struct FaceIdProjection {
    proj: FeedForward,
    norm: LayerNorm,
    tokens: usize,
}

#[derive(Module, Debug)]
pub(crate) struct FaceIdPlusProjection {
    proj: FeedForward,
    norm: LayerNorm,
    resampler: Resampler,
    tokens: usize,
    #[module(skip)]
    pictures: Option<FacePictures>,
}

/// The pictures of the faces whose embeddings calls give to an IP-Adapter FaceID Plus.
#[derive(Clone, Debug)]
pub struct FacePictures {
    /// The hidden states of the pictures, `[batch, images, tokens, features]`, for each item of the UNet's batch: with guidance,
    /// those of no picture come first.
    pub clip_embeds: Tensor<4>,
    /// Whether what the pictures say is added to the embeddings of the faces, as version 2 of FaceID Plus wants it.
    pub shortcut: bool,
    /// How strongly; 1 as a rule.
    pub shortcut_scale: f64,
}

/// The shapes in a file, which describe its layers.
pub(super) struct Shapes<'a>(pub &'a StateDict);

impl Shapes<'_> {
    /// Length of an axis of a tensor.
    pub fn of(&self, key: &str, axis: usize) -> Result<usize> {
        let tensor = self.0.get(key).ok_or_else(|| {
            self.0.error(format!("not an IP-Adapter of a known kind: there is no tensor `{key}`"))
        })?;
        match tensor.shape().get(axis) {
            Some(0) | None => Err(tensor.error(format!("tensor `{key}` has shape {:?}", tensor.shape()))),
            Some(length) => Ok(*length),
        }
    }

    /// The lengths of the tokens before, inside and after a feed-forward.
    pub fn feed_forward(&self, path: &str) -> Result<[usize; 3]> {
        let proj = format!("{path}.net.0.proj.weight");
        Ok([self.of(&proj, 1)?, self.of(&proj, 0)?, self.of(&format!("{path}.net.2.weight"), 0)?])
    }

    /// How many tokens of `length` fit into a vector of `all`.
    fn tokens(&self, all: usize, length: usize) -> Result<usize> {
        if all.is_multiple_of(length) {
            return Ok(all / length);
        }
        Err(self.0.error(format!("its projection makes {all} numbers, which are no tokens of {length}")))
    }

    fn resampler(&self, path: &str) -> Result<ResamplerConfig> {
        let of = |name: &str, axis| self.of(&format!("{path}.{name}"), axis);
        let first = |name: &str| format!("{path}.layers.0.{name}");
        let inner = self.of(&first("attn.to_q.weight"), 0)?;
        if !inner.is_multiple_of(DIM_HEAD) {
            let message = format!("its queries of length {inner} do not divide into heads of {DIM_HEAD}");
            return Err(self.0.error(message));
        }
        let has_layer = |layer: &usize| {
            let start = format!("{path}.layers.{layer}.");
            self.0.keys().any(|key| key.starts_with(&start))
        };
        Ok(ResamplerConfig {
            embed_dim: of("proj_in.weight", 1)?,
            hidden_dim: of("proj_in.weight", 0)?,
            output_dim: of("proj_out.weight", 0)?,
            feed_forward_dim: self.of(&first("ff.1.net.0.proj.weight"), 0)?,
            heads: inner / DIM_HEAD,
            depth: (0..).take_while(has_layer).count(),
        })
    }
}

impl ImageProjectionLayer {
    /// The layer that the tensors `image_proj.*` of a file describe, whose keys are the paths of its fields.
    ///
    /// # Errors
    /// When they describe none of these layers.
    pub fn of_file(tensors: &StateDict, device: &Device) -> Result<Self> {
        let shapes = Shapes(tensors);
        let has = |name: &str| tensors.contains(&format!("image_proj.{name}"));
        let gelu = |sizes| FeedForward::with_sizes(sizes, FeedForwardActivation::Gelu, true, device);
        let norm = |length| LayerNorm::init(length, EPSILON, device);
        if has("image_embeds.weight") {
            let key = "image_proj.image_embeds.weight";
            let (from, to) = (shapes.of(key, 1)?, shapes.of(key, 0)?);
            let length = shapes.of("image_proj.norm.weight", 0)?;
            let tokens = shapes.tokens(to, length)?;
            let image_embeds = Linear::init(from, to, true, device);
            return Ok(Self::Linear(LinearProjection { image_embeds, norm: norm(length), tokens }));
        }
        if has("ff.net.0.proj.weight") {
            let sizes = shapes.feed_forward("image_proj.ff")?;
            return Ok(Self::Full(FullProjection { ff: gelu(sizes), norm: norm(sizes[2]) }));
        }
        let is_face = has("proj.net.0.proj.weight");
        if is_face && !has("resampler.proj_in.weight") {
            let sizes = shapes.feed_forward("image_proj.proj")?;
            let length = shapes.of("image_proj.norm.weight", 0)?;
            let tokens = shapes.tokens(sizes[2], length)?;
            return Ok(Self::FaceId(FaceIdProjection { proj: gelu(sizes), norm: norm(length), tokens }));
        }
        let config = shapes.resampler("image_proj.resampler")?;
        if is_face {
            let sizes = shapes.feed_forward("image_proj.proj")?;
            return Ok(Self::FaceIdPlus(FaceIdPlusProjection {
                proj: gelu(sizes),
                norm: norm(config.hidden_dim),
                tokens: shapes.tokens(sizes[2], config.hidden_dim)?,
                resampler: config.init(device),
                pictures: None,
            }));
        }
        let queries = shapes.of("image_proj.latents", 1)?;
        let latents = parameter::normal([1, queries, config.hidden_dim], device);
        Ok(Self::Plus(PlusProjection { latents, resampler: config.init(device) }))
    }

    /// Whether it takes the embedding of a picture as a whole, not one of each of its tokens.
    pub fn takes_whole_image(&self) -> bool {
        matches!(self, Self::Linear(_))
    }

    /// Whether it takes embeddings of faces, which other software makes.
    pub fn takes_faces(&self) -> bool {
        matches!(self, Self::FaceId(_) | Self::FaceIdPlus(_))
    }

    /// Whether it takes nothing else.
    pub fn is_for_faces_alone(&self) -> bool {
        matches!(self, Self::FaceId(_))
    }

    /// Length of the tokens that it makes.
    pub fn output_dim(&self) -> usize {
        let length = |norm: &LayerNorm| norm.weight.lazy_shape().dims::<1>()[0];
        match self {
            Self::Linear(LinearProjection { norm, .. })
            | Self::Full(FullProjection { norm, .. })
            | Self::FaceId(FaceIdProjection { norm, .. }) => length(norm),
            Self::Plus(PlusProjection { resampler, .. })
            | Self::FaceIdPlus(FaceIdPlusProjection { resampler, .. }) => resampler.output_dim(),
        }
    }

    /// The pictures of the faces, for a FaceID Plus adapter.
    pub fn face_pictures_mut(&mut self) -> Option<&mut Option<FacePictures>> {
        match self {
            Self::FaceIdPlus(projection) => Some(&mut projection.pictures),
            _ => None,
        }
    }

    /// Embeddings `[batch, images, tokens, features]` to the tokens of each image, `[batch, images, tokens, output_dim]`.
    ///
    /// # Errors
    /// When they have another shape than the layer takes, or the pictures of the faces are missing.
    pub fn forward(&self, embeds: Tensor<4>) -> Result<Tensor<4>> {
        let [batch, images, tokens, features] = embeds.dims();
        let check = |taken: usize, as_a_whole: bool| {
            if features == taken && (tokens == 1 || !as_a_whole) {
                return Ok(());
            }
            let many = if as_a_whole { "1" } else { "tokens" };
            let message = format!(
                "has shape {:?}, the IP-Adapter takes [{batch}, {images}, {many}, {taken}]",
                embeds.dims()
            );
            Err(Error::argument("image_embeds", message))
        };
        let flat = || embeds.clone().reshape([batch * images, tokens, features]);
        let made = match self {
            Self::Linear(LinearProjection { image_embeds, norm, tokens }) => {
                check(image_embeds.in_features(), true)?;
                norm.forward(in_tokens(image_embeds.forward(flat()), *tokens))
            }
            Self::Full(FullProjection { ff, norm }) => {
                check(ff.in_features(), false)?;
                norm.forward(ff.forward(flat()))
            }
            Self::Plus(PlusProjection { latents, resampler }) => {
                check(resampler.embed_dim(), false)?;
                resampler.forward(latents.val().repeat_dim(0, batch * images), flat())
            }
            Self::FaceId(FaceIdProjection { proj, norm, tokens }) => {
                check(proj.in_features(), true)?;
                norm.forward(in_tokens(proj.forward(flat()), *tokens))
            }
            Self::FaceIdPlus(projection) => {
                check(projection.proj.in_features(), true)?;
                projection.forward(flat())?
            }
        };
        let [_, tokens, length] = made.dims();
        Ok(made.reshape([batch, images, tokens, length]))
    }
}

impl FaceIdPlusProjection {
    /// Embeddings `[faces, 1, features]` to the tokens of each face.
    fn forward(&self, embeds: Tensor<3>) -> Result<Tensor<3>> {
        let faces = embeds.dims()[0];
        let dtype = embeds.dtype();
        let queries = self.norm.forward(in_tokens(self.proj.forward(embeds), self.tokens));
        let Some(FacePictures { clip_embeds, shortcut, shortcut_scale }) = &self.pictures else {
            let message =
                "must be set for an IP-Adapter FaceID Plus: the hidden states of the pictures of the faces";
            return Err(Error::argument("clip_embeds", message));
        };
        let [batch, images, tokens, features] = clip_embeds.dims();
        let taken = self.resampler.embed_dim();
        if batch * images != faces || features != taken {
            let message = format!(
                "has shape {:?}, the call takes [batch, images, tokens, {taken}] for {faces} faces in all",
                clip_embeds.dims()
            );
            return Err(Error::argument("clip_embeds", message));
        }
        let pictures = clip_embeds.clone().cast(dtype).reshape([faces, tokens, features]);
        let found = self.resampler.forward(queries.clone(), pictures);
        Ok(if *shortcut { queries + found * *shortcut_scale } else { found })
    }
}

/// `[images, 1, tokens * length]` to `[images, tokens, length]`.
fn in_tokens(x: Tensor<3>, tokens: usize) -> Tensor<3> {
    let [images, _, all] = x.dims();
    x.reshape([images, tokens, all / tokens])
}
