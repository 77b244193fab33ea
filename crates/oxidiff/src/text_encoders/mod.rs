//! Text encoders and their tokenizers.

mod chat_template;
mod clip_text;
mod clip_text_with_projection;
mod clip_tokenizer;
mod clip_tokenizer_config;
mod clip_vocabulary;
mod input_ids;
mod qwen2_tokenizer;
mod qwen3;
mod vocabulary_files;

pub use chat_template::{ChatMessage, ChatOptions};
pub use clip_text::{CLIPTextConfig, CLIPTextModel, CLIPTextOutput};
pub use clip_text_with_projection::{CLIPTextModelWithProjection, CLIPTextProjectionOutput};
pub use clip_tokenizer::{CLIPTokenizer, TokenizedText};
pub use qwen2_tokenizer::{Qwen2Tokenizer, UnpaddedText};
pub use qwen3::{Qwen3Config, Qwen3Model, Qwen3Output};
