//! Editing: the language model and the transformer look at images, and a prompt says what to change.

mod inpaint;
mod plus;
mod reading;
mod whole;

pub use inpaint::{QwenImageEditInpaint, QwenImageEditInpaintPipeline};
pub use plus::{QwenImageEditPlus, QwenImageEditPlusPipeline};
pub use whole::{QwenImageEdit, QwenImageEditPipeline};
