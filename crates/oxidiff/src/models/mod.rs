//! The neural networks, and the layers that they share.

pub(crate) mod activations;
pub(crate) mod adapters;
pub(crate) mod attention;
pub(crate) mod call;
pub(crate) mod clip_encoder;
pub(crate) mod convolution;
pub(crate) mod embeddings;
pub(crate) mod finite;
pub(crate) mod hidden_activation;
pub(crate) mod least_memory;
pub(crate) mod linear;
pub(crate) mod model;
pub(crate) mod normalization;
pub(crate) mod parameter;
pub(crate) mod per_block;
pub(crate) mod resample;
pub(crate) mod resnet;

pub mod autoencoders;
pub mod transformers;
pub mod unets;

pub(crate) use crate::interpolation;
