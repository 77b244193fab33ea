//! The language models that read the prompts of the family, each in its own way.

use crate::error::Result;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::text::chat::conversation;
use crate::pipelines::component::Component;
use crate::text_encoders::{
    ChatMessage, ChatOptions, Mistral3ForConditionalGeneration, PixtralProcessor, Qwen2Tokenizer, Qwen3Model,
    TokenizedText,
};

/// What FLUX.2-dev tells its language model before each prompt (<https://github.com/black-forest-labs/flux2>).
const SYSTEM_MESSAGE: &str = "You are an AI that reasons about image descriptions. You give structured responses focusing on object \
                              relationships, object\nattribution and actions without speculation.";
/// The token in the place of an image; a prompt cannot have any.
const IMAGE: &str = "[IMG]";

/// A prompt without the tokens that stand for images.
pub(super) fn without_images(prompt: &str) -> String {
    prompt.replace(IMAGE, "")
}

/// A language model whose hidden states embed prompts.
pub trait PromptEncoder: Model + Component + Suspect + Clone + 'static {
    /// Splits prompts into tokens.
    type Tokenizer: Component + Clone + 'static;

    /// The tokenizer of this name.
    ///
    /// # Errors
    /// When it is of another class, or a file is missing or damaged.
    fn load_tokenizer(loader: &ComponentLoader<'_>, name: &str) -> Result<Self::Tokenizer>;

    /// The number of layers, and that of the features of hidden states.
    fn layers_and_features(&self) -> [usize; 2];

    /// The tokens of a prompt with the words around it, cut off or padded to `max_length`.
    ///
    /// # Errors
    /// When the tokenizer refuses the prompt.
    fn tokens(tokenizer: &Self::Tokenizer, prompt: &str, max_length: usize) -> Result<TokenizedText>;

    /// The hidden states with these numbers, in ascending order, each `[1, tokens, features]`.
    ///
    /// # Errors
    /// When the model cannot embed the tokens.
    fn states(&self, tokens: &TokenizedText, numbers: &[usize]) -> Result<Vec<burn::tensor::Tensor<3>>>;
}

impl PromptEncoder for Qwen3Model {
    type Tokenizer = Qwen2Tokenizer;

    fn load_tokenizer(loader: &ComponentLoader<'_>, name: &str) -> Result<Qwen2Tokenizer> {
        loader.qwen2_tokenizer(name)
    }

    fn layers_and_features(&self) -> [usize; 2] {
        [self.config().num_hidden_layers, self.config().hidden_size]
    }

    fn tokens(tokenizer: &Qwen2Tokenizer, prompt: &str, max_length: usize) -> Result<TokenizedText> {
        tokenizer.tokenize(&[conversation(tokenizer, prompt, false)?], max_length)
    }

    fn states(&self, tokens: &TokenizedText, numbers: &[usize]) -> Result<Vec<burn::tensor::Tensor<3>>> {
        self.hidden_states(&tokens.input_ids, Some(&tokens.attention_mask), numbers)
    }
}

impl PromptEncoder for Mistral3ForConditionalGeneration {
    type Tokenizer = PixtralProcessor;

    fn load_tokenizer(loader: &ComponentLoader<'_>, name: &str) -> Result<PixtralProcessor> {
        loader.pixtral_processor(name)
    }

    fn layers_and_features(&self) -> [usize; 2] {
        let text = &self.config().text_config;
        [text.num_hidden_layers, text.hidden_size]
    }

    fn tokens(tokenizer: &PixtralProcessor, prompt: &str, max_length: usize) -> Result<TokenizedText> {
        let user = ChatMessage::of_parts("user", without_images(prompt));
        let messages = [ChatMessage::of_parts("system", SYSTEM_MESSAGE), user];
        tokenizer.tokenize(&[tokenizer.apply_chat_template(&messages, ChatOptions::default())?], max_length)
    }

    fn states(&self, tokens: &TokenizedText, numbers: &[usize]) -> Result<Vec<burn::tensor::Tensor<3>>> {
        self.hidden_states(&tokens.input_ids, Some(&tokens.attention_mask), numbers)
    }
}
