//! Pipelines that follow images besides the prompt, and the models for it, compared with those of Python.

#[path = "../fixture/mod.rs"]
mod fixture;

mod controlnet;
mod controlnet_union;
mod ip_adapter;
mod t2i_adapter;
