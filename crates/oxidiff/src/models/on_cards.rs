//! Moving a model to a card and back.

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::loading::device::card_name;
use crate::models::layers::quantised_weight::quantised_weights;
use crate::models::model::Model;

/// Methods of [`Model`] for a class with a `placement`, which can be a card.
macro_rules! computes_on_cards {
    () => {
        fn place_on_card(&mut self, device: &burn::tensor::Device) -> $crate::Result<()> {
            self.placement = $crate::models::placement::Placement::on(device);
            Ok(())
        }

        fn card(&self) -> Option<&str> {
            self.placement.card()
        }

        fn leave_card(&self) {
            self.placement.leave_card();
        }
    };
}
pub(crate) use computes_on_cards;

/// A method of [`Model`] for a class that stays on the CPU when the rest of its pipeline is on a card: it is called once for a generation.
macro_rules! stays_on_the_cpu {
    () => {
        fn place_on_card(&mut self, _: &burn::tensor::Device) -> $crate::Result<()> {
            Ok(())
        }
    };
}
pub(crate) use stays_on_the_cpu;

/// Lets a model compute on `device`: a card, or the CPU, where its weights are.
///
/// # Errors
/// When the device is another one, or the model computes on the CPU only.
pub(crate) fn place<M: Model>(model: &mut M, device: &Device) -> Result<()> {
    let card = card_name(device);
    if card.is_none() && *device != Device::flex() {
        let what = format!("moving a {} to {device:?}", M::CLASS_NAME);
        return Err(Error::unsupported(what, "load it onto that device"));
    }
    if card.is_some() && !quantised_weights(model).is_empty() {
        return Err(quantised_on_a_card(M::CLASS_NAME));
    }
    // Calls that were planned for the card stay so.
    if card.as_deref() == model.card() {
        return Ok(());
    }
    model.place_on_card(device)
}

/// The error of a model that does not compute on cards.
pub(crate) fn not_on_cards(class_name: &str) -> Error {
    Error::unsupported(format!("{class_name} on a card"), "it computes on the CPU only, for now")
}

/// The error of a model whose weights have no kernels there.
pub(crate) fn quantised_on_a_card(class_name: &str) -> Error {
    let what = format!("a {class_name} with quantised weights on a card");
    Error::unsupported(what, "there are kernels for them on the CPU only")
}
