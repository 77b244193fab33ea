//! IP-Adapters: pictures as prompts (Ye et al. 2023, <https://arxiv.org/abs/2308.06721>).
//!
//! An adapter turns the embedding of a picture into a few tokens (its image projection), and gives each attention to the text a
//! second attention, to those tokens.

mod file;
mod image_projection;
mod joint_file;
mod masks;
mod resampler;
mod time_image_projection;

use burn::module::Module;

pub(crate) use self::file::IpAdapterFile;
pub use self::image_projection::FacePictures;
pub(crate) use self::image_projection::ImageProjectionLayer;
pub(crate) use self::joint_file::load_joint;
pub(crate) use self::masks::masks_at;
pub(crate) use self::time_image_projection::{TimeImageProjection, TimedTokens};
use super::layers::linear::Linear;

/// The layers of an IP-Adapter.
#[derive(Module, Debug)]
pub(crate) struct IpAdapter {
    pub image_proj: ImageProjectionLayer,
    /// For each attention to the text: in a UNet those of the down blocks, the up blocks and the middle block, in this order, in a
    /// transformer those of its blocks with two streams.
    pub ip_adapter: Vec<IpProjections>,
}

/// Projections of the tokens of pictures.
#[derive(Module, Debug)]
pub(crate) struct IpProjections {
    pub to_k_ip: Linear,
    pub to_v_ip: Linear,
}
