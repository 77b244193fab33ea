//! The methods of language models that embed texts.

/// Gives a model its methods, whose result is `$output`. The last norm and the configuration of the language model are in its fields
/// `norm` and `config`, unless other places are given. It must have the method `embed`, which gets inputs that are checked.
macro_rules! embedding_methods {
    ($model:ident, $output:ident) => {
        $crate::text_encoders::language_model::embedding_methods!($model, $output, [norm], [config]);
    };
    ($model:ident, $output:ident, [$($norm:ident).+], [$($config:ident).+]) => {
        impl $model {
            /// The device of the weights.
            pub fn device(&self) -> burn::tensor::Device {
                self.$($norm).+.weight.val().device()
            }

            /// The element type of the weights, in which the model computes.
            pub fn dtype(&self) -> burn::tensor::DType {
                self.$($norm).+.weight.val().dtype()
            }

            /// Embeds `input_ids` `[batch, tokens]`. With `attention_mask`, of the same shape, no token sees those whose value is 0.
            ///
            /// # Errors
            /// When there are more tokens than positions, a token is not in the vocabulary, or the mask has another shape.
            pub fn forward(
                &self,
                input_ids: &[Vec<u32>],
                attention_mask: Option<&[Vec<u32>]>,
            ) -> $crate::Result<$output> {
                let all: Vec<usize> = (0..=self.$($config).+.num_hidden_layers).collect();
                let hidden_states = self.hidden_states(input_ids, attention_mask, &all)?;
                let last_hidden_state = hidden_states.last().expect("at least the embedding").clone();
                Ok($output { last_hidden_state, hidden_states })
            }

            /// Those of the `hidden_states` of [`Self::forward`] with these numbers, in ascending order. Layers after the last of them
            /// are not computed.
            ///
            /// # Errors
            /// As for [`Self::forward`], and when there is no layer of a number or the numbers do not ascend.
            pub fn hidden_states(
                &self,
                input_ids: &[Vec<u32>],
                attention_mask: Option<&[Vec<u32>]>,
                numbers: &[usize],
            ) -> $crate::Result<Vec<burn::tensor::Tensor<3>>> {
                $crate::text_encoders::language_model::check_numbers(numbers, self.$($config).+.num_hidden_layers)?;
                let (most, vocab_size) = (self.$($config).+.max_position_embeddings, self.$($config).+.vocab_size);
                $crate::text_encoders::input_ids::check_input_ids(
                    input_ids,
                    attention_mask,
                    most,
                    vocab_size,
                )?;
                let device = self.device();
                let name = <Self as $crate::models::model::Model>::CLASS_NAME;
                let embed = || self.embed(input_ids, attention_mask, numbers, &device);
                $crate::models::call::call(name, &device, embed)
            }
        }
    };
}

pub(in crate::text_encoders) use embedding_methods;
