//! ControlNets in a call (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): the images that they follow, how strongly and
//! in which steps, and what they add inside the UNet in each step.

mod arguments;
mod asked;
mod control_mode;
mod followed_images;
mod images;
mod per_controlnet;
mod pixels;
mod run;

pub(crate) use arguments::{control_arguments, union_arguments};
pub(crate) use asked::Nets;
pub use control_mode::ControlMode;
pub use followed_images::FollowedImages;
pub use images::ControlImages;
pub(crate) use images::about;
pub use per_controlnet::PerControlNet;
pub(crate) use pixels::pixels_to_follow;
pub(crate) use run::{Control, ControlArguments, ControlCall, Size, check_window, works_in};
