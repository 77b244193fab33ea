//! Text encoders and their tokenizers.

mod added_tokens;
mod bert;
mod bert_tokenizer;
mod chat_template;
mod clip_text;
mod clip_text_with_projection;
mod clip_tokenizer;
mod clip_tokenizer_config;
mod clip_vocabulary;
mod fixed_length;
mod gemma2;
mod gemma_tokenizer;
mod hidden_tokens;
mod input_ids;
mod language_model;
mod llama_tokenizer;
mod mistral3;
mod pixtral_processor;
#[allow(non_camel_case_types, reason = "the classes have the names that transformers gives them")]
mod qwen2_5_vl;
mod qwen2_tokenizer;
mod qwen2_vl_processor;
mod qwen3;
mod sentencepiece;
mod strftime_now;
mod t5;
mod t5_tokenizer;
mod text_lengths;
mod tokenizer_config;
mod vocabulary_files;

pub use bert::{BertConfig, BertModel, BertOutput};
pub use bert_tokenizer::BertTokenizer;
pub use chat_template::{ChatContent, ChatMessage, ChatOptions, ChatPart};
pub use clip_text::{CLIPTextConfig, CLIPTextModel, CLIPTextOutput};
pub use clip_text_with_projection::{CLIPTextModelWithProjection, CLIPTextProjectionOutput};
pub use clip_tokenizer::{CLIPTokenizer, TokenizedText};
pub use gemma_tokenizer::GemmaTokenizer;
pub use gemma2::{Gemma2Config, Gemma2Model, Gemma2Output};
pub use language_model::{Generation, TextProgress, TextStep};
pub use llama_tokenizer::LlamaTokenizer;
pub use mistral3::{Mistral3Config, Mistral3ForConditionalGeneration, Mistral3Output, MistralConfig};
pub use pixtral_processor::PixtralProcessor;
pub use qwen2_5_vl::{
    Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLInputs, Qwen2_5_VLOutput,
    Qwen2_5_VLTextConfig, Qwen2_5_VLVisionConfig,
};
pub use qwen2_tokenizer::{Qwen2Tokenizer, UnpaddedText};
pub use qwen2_vl_processor::{Qwen2VLProcessed, Qwen2VLProcessor};
pub use qwen3::{Qwen3Config, Qwen3Model, Qwen3Output};
pub use t5::{T5Config, T5EncoderModel, T5EncoderOutput, UMT5Config, UMT5EncoderModel};
pub use t5_tokenizer::T5Tokenizer;
