//! The arguments of each class, and what it returns.

mod autoencoders;
mod text_encoders;
mod transformers;
mod unets;
mod vision;
