//! The arguments of each class, and what it returns.

mod autoencoders;
mod controlnets;
mod hunyuan_dit;
mod qwen_image;
mod t2i_adapters;
mod text_encoders;
mod transformers;
mod unets;
mod vision;
