//! Weights that stay as their file stores them: as small whole numbers in blocks.
//!
//! Burn lets a parameter carry more than its tensor (a *reparameterization*). Here that is the matrix in blocks. A layer that
//! multiplies with it never asks for the tensor, which is widened only for those who do.

use std::ops::Range;

use burn::module::{
    Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
    Reparameterization, Reparameterizer,
};
use burn::tensor::{AllocationProperty, Bytes, DType, Device, Int, Tensor, TensorData};
use oxidiff_kernels::{QuantisedMatrix, linear, quantised_linear};

/// The fields of the low-rank addition.
const DOWN: &str = "down";
const UP: &str = "up";

/// A matrix in blocks, and a low-rank addition beside it.
#[derive(Clone, Debug)]
pub struct QuantisedWeight {
    matrix: QuantisedMatrix,
    /// `[rank, in_features]`; of rank 0 where nothing is added.
    down: Param<Tensor<2>>,
    /// `[out_features, rank]`.
    up: Param<Tensor<2>>,
}

impl QuantisedWeight {
    /// Where a parameter's path goes on to its fields.
    pub const FIELD: &'static str = "quantised";
    /// The field with the blocks.
    pub const BLOCKS: &'static str = "blocks";

    /// The `weight` that has the values of `matrix`, and keeps it.
    pub fn attach<const D: usize>(
        weight: Param<Tensor<D>>,
        matrix: QuantisedMatrix,
        dtype: DType,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let [rows, columns] = matrix.dims();
        let nothing = |shape| Param::initialized(ParamId::new(), Tensor::zeros(shape, (device, dtype)));
        let weighted = Self { matrix, down: nothing([0, columns]), up: nothing([rows, 0]) };
        weight.apply_reparameterization(Attach(Some(weighted)))
    }

    /// The matrix.
    pub fn matrix(&self) -> &QuantisedMatrix {
        &self.matrix
    }

    /// The element type in which the layer computes where no tensor says.
    pub fn dtype(&self) -> DType {
        self.down.val().dtype()
    }

    /// `x Wᵀ + bias + residual`.
    pub fn product<const D: usize>(
        &self,
        x: Tensor<D>,
        bias: Option<Tensor<1>>,
        residual: Option<Tensor<D>>,
    ) -> Tensor<D> {
        let y = quantised_linear(x.clone(), &self.matrix, bias, residual);
        self.with_addition(y, x, |up| up)
    }

    /// The part of [`Self::product`] that these rows make.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn product_of_rows<const D: usize>(
        &self,
        x: Tensor<D>,
        rows: Range<usize>,
        bias: Option<Tensor<1>>,
    ) -> Tensor<D> {
        let matrix = self.matrix.rows(rows.clone()).expect("rows of the matrix");
        let y = quantised_linear(x.clone(), &matrix, bias, None);
        self.with_addition(y, x, |up| up.narrow(0, rows.start, rows.len()))
    }

    /// Adds the low-rank addition for `x` to `y`; `part` takes the rows of its second half that `y` has.
    fn with_addition<const D: usize>(
        &self,
        y: Tensor<D>,
        x: Tensor<D>,
        part: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<D> {
        if !self.has_addition() {
            return y;
        }
        let reduced = linear(x, self.down.val(), None, None);
        linear(reduced, part(self.up.val()), None, Some(y))
    }

    fn has_addition(&self) -> bool {
        self.down.lazy_shape()[0] > 0
    }

    /// What a path names, if that is half of a low-rank addition: the key of its weight, and whether it is the half that makes
    /// vectors shorter.
    pub fn addition(path: &[String]) -> Option<(String, Half)> {
        let [weight @ .., field, half] = path else { return None };
        let half = match half.as_str() {
            DOWN => Half::Down,
            UP => Half::Up,
            _ => return None,
        };
        (field == Self::FIELD).then(|| (weight.join("."), half))
    }
}

/// The halves of a low-rank addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// `[rank, in_features]`.
    Down,
    /// `[out_features, rank]`.
    Up,
}

impl Reparameterization for QuantisedWeight {
    const NAME: &'static str = Self::FIELD;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let base = base.cast(self.dtype());
        if !self.has_addition() {
            return base;
        }
        let change = self.up.val().matmul(self.down.val()).to_device(&base.device());
        base.clone() + change.reshape(base.dims())
    }
}

struct Attach(Option<QuantisedWeight>);

impl Reparameterizer for Attach {
    type Reparam = QuantisedWeight;

    fn reparameterize<const D: usize>(
        &mut self,
        _: &str,
        weight: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<QuantisedWeight>) {
        (weight, self.0.take())
    }
}

const CONTAINER: &str = "QuantisedWeight";

impl Module for QuantisedWeight {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.up.collect_devices(self.down.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        Self { down: self.down.fork(device), up: self.up.fork(device), ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        Self { down: self.down.to_device(device), up: self.up.to_device(device), ..self }
    }

    fn train(self) -> Self {
        Self { down: self.down.train(), up: self.up.train(), ..self }
    }

    fn valid(&self) -> Self {
        Self { down: self.down.valid(), up: self.up.valid(), ..self.clone() }
    }

    fn materialize(self) -> Self {
        self
    }

    /// The blocks are visited as integers, in a container that is called as their format.
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        let bytes = Bytes::from_shared(self.matrix.shared_blocks(), AllocationProperty::File);
        let data = TensorData::from_bytes(bytes, [self.matrix.blocks().len()], DType::U8);
        let blocks = Tensor::<1, Int>::from_data(data, (&Device::flex(), DType::U8));
        let format = self.matrix.format().name();
        visitor.enter_module(Self::BLOCKS, format);
        visitor.visit_int(&Param::initialized(ParamId::new(), blocks));
        visitor.exit_module(Self::BLOCKS, format);
        for (name, half) in [(DOWN, &self.down), (UP, &self.up)] {
            visitor.enter_module(name, CONTAINER);
            half.visit(visitor);
            visitor.exit_module(name, CONTAINER);
        }
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let mut map = |name: &str, half: Param<Tensor<2>>| {
            mapper.enter_module(name, CONTAINER);
            let half = Module::map(half, mapper);
            mapper.exit_module(name, CONTAINER);
            half
        };
        Self { down: map(DOWN, self.down), up: map(UP, self.up), matrix: self.matrix }
    }
}

impl ModuleDisplayDefault for QuantisedWeight {
    fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
        content.add_formatted(&format!("{:?}", self.matrix)).optional()
    }
}

impl ModuleDisplay for QuantisedWeight {}

/// The parameters of a module that are in blocks.
pub fn quantised_weights(module: &impl Module) -> Vec<ParamId> {
    let mut finder = Finder::default();
    module.visit(&mut finder);
    finder.found
}

#[derive(Default)]
struct Finder {
    last: Option<ParamId>,
    found: Vec<ParamId>,
}

impl ModuleVisitor for Finder {
    fn enter_module(&mut self, name: &str, _: &str) {
        // Burn visits what a parameter carries right after it.
        if name == QuantisedWeight::FIELD {
            self.found.extend(self.last.take());
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.last = Some(param.id);
    }
}
