//! Enlarging finished pictures: ESRGAN (Wang et al. 2018, <https://arxiv.org/abs/1809.00219>) and Real-ESRGAN (Wang et al. 2021,
//! <https://arxiv.org/abs/2107.10833>).

mod file;
mod image_upscaler;
mod rrdb_net;
mod srvgg_net_compact;
mod tiles;

pub use image_upscaler::{ImageUpscaler, UpscaleOptions};
