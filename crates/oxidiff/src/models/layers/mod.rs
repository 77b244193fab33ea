//! Layers that several models share.

pub(crate) mod activations;
pub(crate) mod ada_group_norm;
pub(crate) mod attention;
pub(crate) mod attention_context;
pub(crate) mod causal_attention;
pub(crate) mod clip_encoder;
pub(crate) mod convolution;
pub(crate) mod embeddings;
pub(crate) mod feed_forward;
pub(crate) mod fixed_resample;
pub(crate) mod hidden_activation;
pub(crate) mod ip_attention;
pub(crate) mod k_attention;
pub(crate) mod keyed;
mod last_context;
pub(crate) mod linear;
pub(crate) mod low_rank;
pub(crate) mod normalization;
pub(crate) mod parameter;
pub(crate) mod patch_embed;
pub(crate) mod per_block;
pub(crate) mod recomputation;
pub(crate) mod resnet;
pub(crate) mod resnet_cond_norm;
pub(crate) mod rotary_embedding;
pub(crate) mod spatial_attention;
pub(crate) mod transformer_block;
