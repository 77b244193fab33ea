//! Finds values and weights that are not finite (NaN or infinite).

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{DType, Int, Tensor};
use oxidiff_kernels::{QuantisedFormat, QuantisedMatrix};

use crate::loading::weights::{pop_field, push_field};
use crate::models::layers::quantised_weight::QuantisedWeight;
use crate::models::model::Model;

/// Whether all values are finite: one reduction on the device.
pub(crate) fn is_finite<const D: usize>(values: &Tensor<D>) -> bool {
    values.clone().is_finite().all().into_scalar::<bool>()
}

/// A model that can be searched for a weight that spoils a run.
pub trait Suspect {
    /// The name of the class.
    fn class_name(&self) -> &'static str;

    /// The element type of the weights.
    fn element_type(&self) -> DType;

    /// The key of the first weight that is not finite, and the key under which an old checkpoint may store it.
    fn broken_weight(&self) -> Option<(String, Option<String>)>;
}

impl<M: Model> Suspect for M {
    fn class_name(&self) -> &'static str {
        M::CLASS_NAME
    }

    fn element_type(&self) -> DType {
        let mut types = FirstType(None);
        self.visit(&mut types);
        types.0.unwrap_or(DType::F32)
    }

    fn broken_weight(&self) -> Option<(String, Option<String>)> {
        let mut search = Search::default();
        self.visit(&mut search);
        let key = search.found?;
        let old_key = (M::OLD_KEY)(&key);
        Some((key, old_key))
    }
}

struct FirstType(Option<DType>);

impl ModuleVisitor for FirstType {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.0.is_none() && param.is_initialized() {
            self.0 = Some(param.val().dtype());
        }
    }
}

#[derive(Default)]
struct Search {
    path: Vec<String>,
    /// That of the blocks which are visited.
    format: Option<QuantisedFormat>,
    found: Option<String>,
}

impl ModuleVisitor for Search {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
        let is_blocks = name == QuantisedWeight::BLOCKS;
        let mut formats = QuantisedFormat::ALL.into_iter().filter(|_| is_blocks);
        self.format = formats.find(|format| format.name() == container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let Some(format) = self.format.filter(|_| self.found.is_none()) else { return };
        let blocks = param.val().into_data().as_bytes().to_vec();
        let values = blocks.len() / format.block_bytes() * format.block_len();
        let matrix = QuantisedMatrix::new(format, blocks.into(), [1, values]).expect("whole blocks");
        if matrix.values().iter().any(|value| !value.is_finite()) {
            // The weight, without the names of what it carries.
            self.found = Some(self.path[..self.path.len() - 2].join("."));
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // A weight that was never used cannot have spoiled anything.
        if self.found.is_none() && param.is_initialized() && !is_finite(&param.val()) {
            self.found = Some(self.path.join("."));
        }
    }
}
