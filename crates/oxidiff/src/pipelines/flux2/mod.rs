//! FLUX.2 (Black Forest Labs 2025, <https://bfl.ai/blog/flux-2>) and FLUX.2 klein (2026,
//! <https://bfl.ai/blog/flux2-klein-towards-interactive-visual-intelligence>): a flow transformer that reads prompts with a language model, and looks at reference images.

mod arguments;
mod components;
mod conditioning;
mod denoising;
mod dev;
mod klein;
mod klein_inpaint;
mod klein_kv;
mod latents;
mod pipeline_fields;
mod places;
mod prompt_encoder;
mod reference_images;
mod rewriting;

pub use components::{Flux2Components, Flux2DevComponents, Flux2KleinComponents};
pub use dev::{Flux2Pipeline, Flux2TextToImage};
pub use klein::{Flux2KleinPipeline, Flux2KleinTextToImage};
pub use klein_inpaint::{Flux2KleinInpaint, Flux2KleinInpaintPipeline};
pub use klein_kv::{Flux2KleinKVPipeline, Flux2KleinKVTextToImage};
