//! Whole generations, compared with those of Python, and what else pipelines do.

#[path = "../fixture/mod.rs"]
mod fixture;

mod aura_flow;
mod checkpoints;
mod chroma;
mod flux;
mod flux2;
mod freeu;
mod hunyuan_dit;
mod image_to_image;
mod lumina2;
mod new_family;
mod pipeline;
mod pixart;
mod quicktour;
mod qwen_image;
mod sana;
mod stable_diffusion;
mod stable_diffusion_3;
mod stable_diffusion_xl;
mod unconditional;
mod z_image;
