//! Z-Image against Python diffusers: its transformer, its text encoder, and its pipelines.

#[path = "../fixture/mod.rs"]
mod fixture;
