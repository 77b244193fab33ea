//! T2I-Adapters: small models that turn an image into features, which a UNet adds to its own (Mou et al. 2023,
//! <https://arxiv.org/abs/2302.08453>).

mod block;
mod config;
mod fit;
mod multi_adapter;
mod one_or_several;
mod t2i_adapter;

pub use config::{T2IAdapterConfig, T2IAdapterType};
pub use multi_adapter::MultiAdapter;
pub use one_or_several::T2IAdapters;
pub use t2i_adapter::T2IAdapter;
