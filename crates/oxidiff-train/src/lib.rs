//! Training and finetuning of diffusion models: what the example scripts of Hugging Face Diffusers do, in Rust.

#![forbid(unsafe_code)]

pub mod data;
pub mod report;
