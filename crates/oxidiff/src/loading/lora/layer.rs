//! The tensors that change one layer, in the forms that trainers store them in.
//!
//! - LoRA (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>): a product of two matrices, `B·A`.
//! - LoCon: the same for convolutions, with a core between the matrices if it is a Tucker decomposition.
//! - LoHa (Hyeon-Woo et al. 2021, <https://arxiv.org/abs/2108.06098>): the Hadamard product of two such products.
//! - LoKr (Yeh et al. 2023, <https://arxiv.org/abs/2309.14859>): a Kronecker product of two matrices, which may be products.
//! - DoRA (Liu et al. 2024, <https://arxiv.org/abs/2402.09353>): any of these, after which rows or columns of the weight get
//!   lengths of their own.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::loading::formats::state_dict::{StateDict, StoredTensor};

/// The change to one layer's weight.
#[derive(Clone, Debug)]
pub(crate) struct LoraLayer {
    pub change: StoredChange,
    /// The factor of the change.
    pub scaling: f64,
    pub magnitude: Option<StoredMagnitude>,
}

/// How the change to a weight `[out, in, ...]` is stored.
#[derive(Clone, Debug)]
pub(crate) enum StoredChange {
    /// LoRA and LoCon.
    Product(StoredProduct),
    /// LoHa.
    Hadamard(StoredProduct, StoredProduct),
    /// LoKr. The columns of the second factor hold the `kernel`, the number of positions of a convolution.
    Kronecker { first: StoredFactor, second: StoredFactor, kernel: usize },
}

/// `left · right`, or `left · core · right` at each position of a kernel.
#[derive(Clone, Debug)]
pub(crate) struct StoredProduct {
    /// `[rows, rank]`, or `[rank, rows]` if it is `transposed`.
    pub left: StoredTensor,
    pub transposed: bool,
    /// `[rank, rank, ...]`.
    pub core: Option<StoredTensor>,
    /// `[rank, columns, ...]`; the kernel is in the core if there is one.
    pub right: StoredTensor,
}

/// One of the two factors of a Kronecker product, `[rows, columns, ...]`.
#[derive(Clone, Debug)]
pub(crate) enum StoredFactor {
    Whole(StoredTensor),
    Product(StoredProduct),
}

/// The lengths that DoRA gives to parts of a weight.
#[derive(Clone, Debug)]
pub(crate) struct StoredMagnitude {
    pub lengths: StoredTensor,
    pub of: Lengthened,
    pub trainer: Trainer,
}

/// What has the lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lengthened {
    /// What belongs to one output.
    Outputs,
    /// What belongs to one input.
    Inputs,
}

/// Whose formulas are used for an adapter at another weight than 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trainer {
    /// The weight scales the product.
    Peft,
    /// The weight scales the change of lengths.
    Lycoris,
}

/// The tensors of a layer by their names, without the name of the layer.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub tensors: BTreeMap<&'a str, StoredTensor>,
    pub alpha: Option<f64>,
}

/// The names of the two matrices of a LoRA.
pub(super) const DOWN: &str = "lora_down.weight";
pub(super) const UP: &str = "lora_up.weight";
/// The lengths of DoRA, as PEFT names them.
pub(super) const PEFT_MAGNITUDE: &str = "lora_magnitude_vector";
/// The name that LyCORIS and kohya have for them.
const LYCORIS_MAGNITUDE: &str = "dora_scale";
const MIDDLE: &str = "lora_mid.weight";

/// All names of tensors that can change a layer in kohya's layout.
pub(super) const NAMES: [&str; 17] = [
    DOWN,
    UP,
    MIDDLE,
    LYCORIS_MAGNITUDE,
    "hada_w1_a",
    "hada_w1_b",
    "hada_w2_a",
    "hada_w2_b",
    "hada_t1",
    "hada_t2",
    "lokr_w1",
    "lokr_w1_a",
    "lokr_w1_b",
    "lokr_w2",
    "lokr_w2_a",
    "lokr_w2_b",
    "lokr_t2",
];

impl Parts<'_> {
    /// Whether the layer is changed by a plain LoRA, whose factor diffusers finds in its own way.
    pub fn is_plain(&self) -> bool {
        self.tensors.keys().all(|name| [DOWN, UP, PEFT_MAGNITUDE].contains(name))
    }

    /// The change, its rank and the lengths of DoRA for the layer `module` with a weight of this shape.
    ///
    /// # Errors
    /// When a tensor is missing, or one does not fit the weight.
    pub fn change(
        &self,
        file: &StateDict,
        module: &str,
        weight: &[usize],
    ) -> Result<(StoredChange, Option<usize>, Option<StoredMagnitude>)> {
        let layer = Reader { parts: self, file, module };
        let starts = |prefix: &str| self.tensors.keys().any(|name| name.starts_with(prefix));
        if ["lora_down", "hada_", "lokr_"].into_iter().filter(|kind| starts(kind)).count() > 1 {
            let names = Vec::from_iter(self.tensors.keys().copied()).join(", ");
            return Err(file.error(format!("layer `{module}` has tensors of several kinds: {names}")));
        }
        let [rows, columns] = [weight[0], weight[1..].iter().product()];
        let (change, rank, size) = if starts("hada_") {
            let first = layer.product(["hada_w1_a", "hada_t1", "hada_w1_b"])?;
            let second = layer.product(["hada_w2_a", "hada_t2", "hada_w2_b"])?;
            let (size, other) = (first.size(), second.size());
            if size != other {
                return Err(layer.misfit(weight));
            }
            let rank = first.right.shape()[0];
            (StoredChange::Hadamard(first, second), Some(rank), size)
        } else if starts("lokr_") {
            let first = layer.factor("lokr_w1", ["lokr_w1_a", "lokr_t1", "lokr_w1_b"])?;
            let second = layer.factor("lokr_w2", ["lokr_w2_a", "lokr_t2", "lokr_w2_b"])?;
            let [a, b] = first.size();
            let [c, d] = second.size();
            // Of two whole matrices, trainers ignore alpha.
            let rank = first.rank().or(second.rank());
            let kernel: usize = weight[2..].iter().product();
            if d % kernel != 0 {
                return Err(layer.misfit(weight));
            }
            (StoredChange::Kronecker { first, second, kernel }, rank, [a * c, b * d])
        } else {
            let product = layer.product([UP, MIDDLE, DOWN])?;
            let has_kernel = product.core.is_some() || product.right.shape()[1..] == weight[1..];
            if !has_kernel || product.left.shape().len() != weight.len() {
                return Err(layer.misfit(weight));
            }
            let (rank, size) = (product.right.shape()[0], product.size());
            (StoredChange::Product(product), Some(rank), size)
        };
        if size != [rows, columns] {
            return Err(layer.misfit(weight));
        }
        Ok((change, rank, layer.magnitude(weight)?))
    }
}

/// Takes the tensors of a layer.
struct Reader<'a> {
    parts: &'a Parts<'a>,
    file: &'a StateDict,
    module: &'a str,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.parts.tensors.get(name)
    }

    fn take(&self, name: &str) -> Result<StoredTensor> {
        let missing = match name {
            DOWN => "down (A) matrix".to_owned(),
            UP => "up (B) matrix".to_owned(),
            name => format!("tensor `{name}`"),
        };
        let error = || self.file.error(format!("layer `{}` has no {missing}", self.module));
        let tensor = self.get(name).ok_or_else(error)?;
        if tensor.shape().len() < 2 || tensor.len() == 0 {
            return Err(self.shape_error(name, tensor));
        }
        Ok(tensor.clone())
    }

    fn shape_error(&self, name: &str, tensor: &StoredTensor) -> crate::error::Error {
        let (module, shape) = (self.module, tensor.shape());
        self.file.error(format!("layer `{module}`: `{name}` has shape {shape:?}, which fits no weight"))
    }

    fn misfit(&self, weight: &[usize]) -> crate::error::Error {
        let shapes = self.parts.tensors.iter().map(|(name, tensor)| format!("{name} {:?}", tensor.shape()));
        self.file.error(format!(
            "layer `{}` has tensors of the shapes {}, which do not fit a weight of {weight:?}",
            self.module,
            Vec::from_iter(shapes).join(", ")
        ))
    }

    /// A product, given the names of its left matrix, its core and its right matrix.
    fn product(&self, [left, core, right]: [&str; 3]) -> Result<StoredProduct> {
        let product = StoredProduct {
            left: self.take(left)?,
            right: self.take(right)?,
            core: self.get(core).map(|_| self.take(core)).transpose()?,
            // With a core, LyCORIS has the rank first in both matrices; a LoCon keeps the shapes of convolutions.
            transposed: left != UP && self.get(core).is_some(),
        };
        let rank = product.left.shape()[usize::from(!product.transposed)];
        let fits = match &product.core {
            None => rank == product.right.shape()[0],
            Some(core) => core.shape()[..2] == [rank, product.right.shape()[0]],
        };
        let has_no_kernel = product.left.shape()[2..].iter().all(|size| *size == 1);
        match fits && has_no_kernel {
            true => Ok(product),
            false => Err(self.shape_error(left, &product.left)),
        }
    }

    fn factor(&self, whole: &str, product: [&str; 3]) -> Result<StoredFactor> {
        match self.get(whole) {
            Some(_) => Ok(StoredFactor::Whole(self.take(whole)?)),
            None => Ok(StoredFactor::Product(self.product(product)?)),
        }
    }

    fn magnitude(&self, weight: &[usize]) -> Result<Option<StoredMagnitude>> {
        if let Some(lengths) = self.get(PEFT_MAGNITUDE) {
            if lengths.len() != weight[0] {
                return Err(self.shape_error(PEFT_MAGNITUDE, lengths));
            }
            let (of, trainer) = (Lengthened::Outputs, Trainer::Peft);
            return Ok(Some(StoredMagnitude { lengths: lengths.clone(), of, trainer }));
        }
        let Some(lengths) = self.get(LYCORIS_MAGNITUDE) else { return Ok(None) };
        let is_one = |size: &usize| *size == 1;
        let of = match lengths.shape() {
            [rows, rest @ ..] if *rows == weight[0] && rest.iter().all(is_one) => Lengthened::Outputs,
            [1, columns, rest @ ..] if *columns == weight[1] && rest.iter().all(is_one) => Lengthened::Inputs,
            _ => return Err(self.shape_error(LYCORIS_MAGNITUDE, lengths)),
        };
        Ok(Some(StoredMagnitude { lengths: lengths.clone(), of, trainer: Trainer::Lycoris }))
    }
}

impl StoredProduct {
    /// The rows and columns of the product as a matrix, whose columns count the kernel.
    fn size(&self) -> [usize; 2] {
        let rows = self.left.shape()[usize::from(self.transposed)];
        let kernel: usize = self.core.iter().flat_map(|core| &core.shape()[2..]).product();
        [rows, self.right.shape()[1..].iter().product::<usize>() * kernel]
    }
}

impl StoredFactor {
    fn size(&self) -> [usize; 2] {
        match self {
            Self::Whole(matrix) => [matrix.shape()[0], matrix.shape()[1..].iter().product()],
            Self::Product(product) => product.size(),
        }
    }

    fn rank(&self) -> Option<usize> {
        match self {
            Self::Whole(_) => None,
            Self::Product(product) => Some(product.right.shape()[0]),
        }
    }
}
