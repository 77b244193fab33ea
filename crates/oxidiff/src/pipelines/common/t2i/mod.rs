//! T2I-Adapters in a call (Mou et al. 2023, <https://arxiv.org/abs/2302.08453>): their images, how strongly and in how many steps
//! they count, and the features that the UNet adds.

mod images;
mod run;

use super::control::PerControlNet;

pub(crate) use run::{Adapted, AdapterCall};

/// One number for all T2I-Adapters of a call, or one for each.
pub type PerAdapter = PerControlNet;
