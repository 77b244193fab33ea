//! Hidden states of texts, where the model is placed.

use burn::tensor::Tensor;
use oxidiff_kernels::Pairs;

use super::layer::DecoderLayer;
use crate::error::Result;
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::model::Model;
use crate::models::placement::{CallTensors, Placement};

/// The layers of a language model, and the norm after them.
pub type Layers<'a> = (&'a [DecoderLayer], &'a RmsNorm);

/// The tokens that layers hide from each other.
#[derive(Default)]
pub struct Hidden<'a> {
    /// In most layers.
    pub usual: Option<HiddenTokens>,
    /// In layers with a window that is shorter than the texts.
    pub in_window: Option<HiddenTokens>,
    /// The layers with such a window, by their place; none if it is empty.
    pub has_window: &'a [bool],
}

impl Hidden<'_> {
    /// In the layer at `place`.
    fn of_layer(&self, place: usize) -> Option<&HiddenTokens> {
        match self.has_window.get(place) {
            Some(true) => self.in_window.as_ref(),
            _ => self.usual.as_ref(),
        }
    }
}

/// Those hidden states of texts with the `numbers`: 0 is the embedding `x`, `[batch, tokens, hidden_size]`, the others are the results of
/// the layers, the last of them after the norm. Layers after the last number are not computed.
///
/// # Errors
/// When a card fails or has too little memory.
pub fn hidden_states<M: Model>(
    (model, placement, layers): (&M, &Placement, fn(&M) -> Layers<'_>),
    x: Tensor<3>,
    rotary: &RotaryEmbedding,
    hidden: &Hidden<'_>,
    numbers: &[usize],
) -> Result<Vec<Tensor<3>>> {
    let averages = [&hidden.usual, &hidden.in_window].map(|it| it.as_ref().map(HiddenTokens::averages));
    let (keys, blind): (Vec<_>, Vec<_>) =
        [&hidden.usual, &hidden.in_window].into_iter().flatten().map(HiddenTokens::flags).unzip();
    let tensors = CallTensors {
        tokens: [x].into_iter().chain(blind).collect(),
        rows: rotary.tables().into(),
        images: keys,
        ..Default::default()
    };
    let name = format!("{numbers:?} {averages:?} {:?}", hidden.has_window);
    placement.lists_of_tokens(model, &name, tensors, |model, tensors| {
        let CallTensors { tokens, rows, images, .. } = tensors;
        let (mut tokens, mut keys) = (tokens.into_iter(), images.into_iter());
        let x = tokens.next().expect("the embedded texts were given");
        let mut of_flags = |averages: Option<bool>| {
            averages.and_then(|averages| Some(HiddenTokens::of_flags(keys.next()?, tokens.next()?, averages)))
        };
        let [usual, in_window] = averages.map(&mut of_flags);
        let tables = rows.try_into().expect("cosines and sines were given");
        let rotary = RotaryEmbedding::of_tables(tables, Pairs::Halves);
        let hidden = Hidden { usual, in_window, has_window: hidden.has_window };
        of_layers(layers(model), x, &rotary, &hidden, numbers)
    })
}

fn of_layers(
    (layers, norm): Layers<'_>,
    mut x: Tensor<3>,
    rotary: &RotaryEmbedding,
    hidden: &Hidden<'_>,
    numbers: &[usize],
) -> Vec<Tensor<3>> {
    let last = numbers[numbers.len() - 1];
    let mut found = Vec::new();
    for number in 0..=last {
        if number > 0 {
            x = layers[number - 1].forward(x, rotary, hidden.of_layer(number - 1));
        }
        if number == layers.len() {
            x = norm.forward(x);
        }
        found.extend(numbers.iter().filter(|wanted| **wanted == number).map(|_| x.clone()));
    }
    found
}
