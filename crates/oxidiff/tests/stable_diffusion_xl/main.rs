//! Stable Diffusion XL and its relatives against Python diffusers, call by call. One crate, because linking a test takes longer
//! than running it.

#[path = "../fixture/mod.rs"]
mod fixture;

mod latent_consistency;
mod latent_upscale;
mod lora;
mod pipelines;
mod prompt_weighting;
mod single_file;
