//! One ControlNetUnion or several, as a pipeline has them.

use super::ControlNetUnionModel;
use super::multi_controlnet_union::MultiControlNetUnionModel;
use crate::models::controlnets::one_or_several::{fit_of_each, one_or_several};
use crate::models::model::Model;

one_or_several! {
    /// The ControlNetUnions of a pipeline.
    ControlNetUnion of ControlNetUnionModel, MultiControlNetUnionModel, controlnet_union
}

fit_of_each!(ControlNetUnion);
