//! FLUX.2 klein (Black Forest Labs 2026, <https://bfl.ai/blog/flux2-klein-towards-interactive-visual-intelligence>): a flow
//! transformer that reads prompts with a language model, and looks at reference images.

mod arguments;
mod components;
mod conditioning;
mod denoising;
mod klein;
mod klein_inpaint;
mod klein_kv;
mod latents;
mod pipeline_fields;
mod places;
mod reference_images;

pub use components::Flux2KleinComponents;
pub use klein::{Flux2KleinPipeline, Flux2KleinTextToImage};
pub use klein_inpaint::{Flux2KleinInpaint, Flux2KleinInpaintPipeline};
pub use klein_kv::{Flux2KleinKVPipeline, Flux2KleinKVTextToImage};
