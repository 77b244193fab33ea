//! What is known after a step.

/// The measurements of one step of the optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The number of the step, from 1. Each is greater than the one before.
    pub step: u64,
    /// The epoch that it belongs to, from 0.
    pub epoch: u64,
    /// The loss, averaged over the step's batch. It may be NaN or infinite.
    pub loss: f32,
    /// The learning rate that the step used.
    pub learning_rate: f64,
    /// Anything else to log, such as `("ema_decay", 0.99)`.
    pub extra: &'a [(&'a str, f32)],
}

/// A step as it is logged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub step: u64,
    pub epoch: u64,
    pub loss: f32,
    pub learning_rate: f64,
    pub images_per_second: f64,
    /// The time that the training took so far, over all sessions.
    pub seconds: f64,
}
