//! Neural networks, and the layers that they share.

pub(crate) mod adapters;
pub(crate) mod call;
pub(crate) mod finite;
pub(crate) mod ip_adapters;
pub(crate) mod least_memory;
pub(crate) mod model;
pub(crate) mod on_cards;
pub(crate) mod placement;

pub mod autoencoders;
pub mod controlnets;
pub(crate) mod layers;
pub mod t2i_adapters;
pub mod transformers;
pub mod unets;
