//! Text encoders and their tokenizers.

mod clip_text;
mod clip_text_with_projection;
mod clip_tokenizer;
mod clip_tokenizer_config;
mod clip_vocabulary;

pub use clip_text::{CLIPTextConfig, CLIPTextModel, CLIPTextOutput};
pub use clip_text_with_projection::{CLIPTextModelWithProjection, CLIPTextProjectionOutput};
pub use clip_tokenizer::{CLIPTokenizer, TokenizedText};
