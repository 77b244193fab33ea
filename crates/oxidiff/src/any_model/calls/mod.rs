//! The arguments of each class, and what it returns.

mod aura_flow;
mod autoencoders;
mod controlnets;
mod hunyuan_dit;
mod lumina2;
mod pixart;
mod qwen_image;
mod sana;
mod t2i_adapters;
mod text_encoders;
mod transformer_controlnets;
mod transformers;
mod unets;
mod vision;
mod z_image;
