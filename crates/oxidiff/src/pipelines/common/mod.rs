//! The code that families share: the denoising loop, and everything before and after it.

pub(crate) mod arguments;
pub(crate) mod callback;
pub(crate) mod component_loader;
pub(crate) mod control;
pub(crate) mod decoding;
pub(crate) mod denoising;
pub(crate) mod finite;
pub(crate) mod flow_timesteps;
pub(crate) mod guidance;
pub(crate) mod ignored;
pub(crate) mod image_latents;
pub(crate) mod inpainting;
pub(crate) mod ip_adapter;
pub(crate) mod latents;
pub(crate) mod lora;
pub(crate) mod packed_flow;
pub(crate) mod patches;
pub(crate) mod perturbed_layers;
pub(crate) mod progress;
pub(crate) mod resolution_binning;
pub(crate) mod steering;
pub(crate) mod strength;
pub(crate) mod t2i;
pub(crate) mod text;
pub(crate) mod textual_inversion;
pub(crate) mod timesteps;
