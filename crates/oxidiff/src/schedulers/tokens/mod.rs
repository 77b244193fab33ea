//! Schedulers that step tokens, integers that stand for parts of an image, instead of samples.
//!
//! They do not implement [`Scheduler`](super::Scheduler), whose samples are floating point tensors.

mod tensors;

pub(super) mod amused;
pub(super) mod vq_diffusion;

/// The classes of this folder.
pub(super) const CLASS_NAMES: [&str; 2] = ["AmusedScheduler", "VQDiffusionScheduler"];
