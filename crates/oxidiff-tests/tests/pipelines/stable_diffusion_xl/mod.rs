//! Stable Diffusion XL and its relatives against Python diffusers, call by call.

mod latent_consistency;
mod latent_upscale;
mod lora;
mod pipelines;
mod prompt_weighting;
mod single_file;
