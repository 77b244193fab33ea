//! Text encoders.

use burn::tensor::DType;

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::text_encoders::{
    BertModel, CLIPTextModel, CLIPTextModelWithProjection, Gemma2Model, Mistral3ForConditionalGeneration,
    Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLInputs, Qwen3Model, T5EncoderModel, UMT5EncoderModel,
};

call_arguments! {
    /// The arguments of a call of a [`CLIPTextModel`].
    pub struct TextEncoderArguments: "text encoder" {
        /// The tokens, `[batch, tokens]`.
        pub input_ids: Option<Vec<Vec<usize>>> = None,
        /// 1 for each token that counts and 0 for each that is masked, `[batch, tokens]`.
        pub attention_mask: Option<Vec<Vec<usize>>> = None,
    }
}

/// Tokens as the models take them. One that is too large for them is in no vocabulary.
pub(super) fn tokens(rows: Vec<Vec<usize>>) -> Vec<Vec<u32>> {
    let token = |token: usize| u32::try_from(token).unwrap_or(u32::MAX);
    rows.into_iter().map(|row| row.into_iter().map(token).collect()).collect()
}

impl CallableModel for BertModel {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![
            ("last_hidden_state", output.last_hidden_state.into()),
            ("pooler_output", output.pooler_output.into()),
        ])
    }
}

impl CallableModel for CLIPTextModel {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![
            ("last_hidden_state", output.last_hidden_state.into()),
            ("pooler_output", output.pooler_output.into()),
        ])
    }
}

impl CallableModel for CLIPTextModelWithProjection {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![
            ("text_embeds", output.text_embeds.into()),
            ("last_hidden_state", output.last_hidden_state.into()),
        ])
    }
}

impl CallableModel for Gemma2Model {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![("last_hidden_state", output.last_hidden_state.into())])
    }
}

impl CallableModel for Qwen2_5_VLForConditionalGeneration {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let attention_mask = arguments.attention_mask.map(tokens);
        let inputs = Qwen2_5_VLInputs {
            input_ids: &input_ids,
            attention_mask: attention_mask.as_deref(),
            ..Default::default()
        };
        Ok(vec![("last_hidden_state", self.last_hidden_state(&inputs)?.into())])
    }
}

impl CallableModel for Mistral3ForConditionalGeneration {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![("last_hidden_state", output.last_hidden_state.into())])
    }
}

impl CallableModel for Qwen3Model {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![("last_hidden_state", output.last_hidden_state.into())])
    }
}

impl CallableModel for T5EncoderModel {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![("last_hidden_state", output.last_hidden_state.into())])
    }
}

impl CallableModel for UMT5EncoderModel {
    type Arguments = TextEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: TextEncoderArguments) -> Result<ModelOutput> {
        let input_ids = tokens(required("input_ids", arguments.input_ids)?);
        let output = self.forward(&input_ids, arguments.attention_mask.map(tokens).as_deref())?;
        Ok(vec![("last_hidden_state", output.last_hidden_state.into())])
    }
}
