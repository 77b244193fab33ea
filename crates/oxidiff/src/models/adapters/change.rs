//! How an adapter changes the weight of one layer.

use burn::tensor::{DType, Device, Tensor};

use crate::error::Result;
use crate::loading::formats::state_dict::StoredTensor;
use crate::loading::lora::{
    Lengthened, LoraLayer, StoredChange, StoredFactor, StoredMagnitude, StoredProduct, Trainer,
};
use crate::models::finite::is_finite;
use crate::models::layers::quantised_weight::Half;

/// The change to a layer's weight, in single precision.
#[derive(Debug)]
pub(super) struct Layer {
    change: Change,
    scaling: f64,
    magnitude: Option<Magnitude>,
}

/// The change to a weight `[out, in, ...]` as a matrix `[out, in · kernel]`.
#[derive(Debug)]
enum Change {
    Product(Product),
    Hadamard(Product, Product),
    Kronecker(Factor, Factor),
}

#[derive(Debug)]
struct Product {
    /// `[rows, rank]`.
    left: Tensor<2>,
    /// `[rank, rank, kernel]`.
    core: Option<Tensor<3>>,
    /// `[rank, columns]`.
    right: Tensor<2>,
}

/// A factor of a Kronecker product, whose columns `[columns, kernel]` are flat in a matrix.
#[derive(Debug)]
struct Factor {
    matrix: FactorMatrix,
    kernel: usize,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "small beside the matrices")]
enum FactorMatrix {
    Whole(Tensor<2>),
    Product(Product),
}

/// The lengths that DoRA gives to the outputs or inputs of a weight.
#[derive(Debug)]
struct Magnitude {
    lengths: Tensor<1>,
    of: Lengthened,
    trainer: Trainer,
}

/// Reads the tensors for one weight.
struct Loader<'a> {
    key: &'a str,
    device: &'a Device,
}

impl Layer {
    /// Reads the tensors for the weight `key`.
    ///
    /// # Errors
    /// When the file does not hold what its header says, or a value is not finite.
    pub fn load(key: &str, stored: &LoraLayer, device: &Device) -> Result<Self> {
        let loader = Loader { key, device };
        let change = match &stored.change {
            StoredChange::Product(product) => Change::Product(loader.product(product)?),
            StoredChange::Hadamard(first, second) => {
                Change::Hadamard(loader.product(first)?, loader.product(second)?)
            }
            StoredChange::Kronecker { first, second, kernel } => {
                Change::Kronecker(loader.factor(first, 1)?, loader.factor(second, *kernel)?)
            }
        };
        let magnitude = |magnitude: &StoredMagnitude| {
            let lengths = loader.matrix(&magnitude.lengths)?;
            let count = lengths.shape().num_elements();
            Ok(Magnitude { lengths: lengths.reshape([count]), of: magnitude.of, trainer: magnitude.trainer })
        };
        let magnitude = stored.magnitude.as_ref().map(magnitude).transpose()?;
        Ok(Self { change, scaling: stored.scaling, magnitude })
    }

    /// Half of the product to add to the weight of a linear layer for the adapter at this `factor`; `None` where the change is no
    /// product of two matrices.
    pub fn half(&self, half: Half, factor: f64) -> Option<Tensor<2>> {
        let (Change::Product(Product { left, core: None, right }), None) = (&self.change, &self.magnitude)
        else {
            return None;
        };
        Some(match half {
            Half::Down => right.clone(),
            Half::Up => left.clone() * (self.scaling * factor),
        })
    }

    /// What to add to a flat `weight` of this shape for the adapter at this `factor`.
    pub fn difference(&self, weight: &Tensor<1>, shape: &[usize], factor: f64) -> Tensor<1> {
        let (size, device) = (weight.dims(), weight.device());
        let change = self.change.matrix(&device).reshape(size) * self.scaling;
        let Some(magnitude) = &self.magnitude else { return change * factor };
        // DoRA's W' = m · (W + ΔW)/‖W + ΔW‖, less W.
        let (sum, strength) = match magnitude.trainer {
            Trainer::Peft => (weight.clone() + change * factor, 1.0),
            Trainer::Lycoris => (weight.clone() + change, factor),
        };
        magnitude.apply(sum, shape, strength) - weight.clone()
    }
}

impl Magnitude {
    /// Gives the parts of a flat weight their lengths; a `strength` other than 1 changes them only in part.
    fn apply(&self, weight: Tensor<1>, shape: &[usize], strength: f64) -> Tensor<1> {
        let [rows, columns] = [shape[0], shape[1]];
        let kernel: usize = shape[2..].iter().product();
        let weight = weight.reshape([rows, columns, kernel]);
        let squares = weight.clone().square();
        let (squares, lengths) = match self.of {
            Lengthened::Outputs => {
                (squares.sum_dim(1).sum_dim(2), self.lengths.clone().reshape([rows, 1, 1]))
            }
            Lengthened::Inputs => {
                (squares.sum_dim(0).sum_dim(2), self.lengths.clone().reshape([1, columns, 1]))
            }
        };
        let norms = match self.trainer {
            Trainer::Peft => squares.sqrt(),
            Trainer::Lycoris => squares.sqrt() + f64::from(f32::EPSILON),
        };
        let ratio = lengths.to_device(&weight.device()) / norms;
        let ratio = if strength == 1.0 { ratio } else { (ratio - 1.0) * strength + 1.0 };
        let size = rows * columns * kernel;
        (weight * ratio).reshape([size])
    }
}

impl Change {
    fn matrix(&self, device: &Device) -> Tensor<2> {
        match self {
            Self::Product(product) => product.matrix(device),
            Self::Hadamard(first, second) => first.matrix(device) * second.matrix(device),
            Self::Kronecker(first, second) => {
                let (first, second) = (first.blocks(device), second.blocks(device));
                let ([a, b, _], [c, d, kernel]) = (first.dims(), second.dims());
                let product = first.reshape([a, 1, b, 1, 1]) * second.reshape([1, c, 1, d, kernel]);
                product.reshape([a * c, b * d * kernel])
            }
        }
    }
}

impl Product {
    fn matrix(&self, device: &Device) -> Tensor<2> {
        let (left, right) = (self.left.clone().to_device(device), self.right.clone().to_device(device));
        let Some(core) = &self.core else { return left.matmul(right) };
        // Σⱼ core[i, j, k] · right[j, q], in the order of i, q and k.
        let core = core.clone().to_device(device);
        let ([rank, inner, kernel], [_, columns]) = (core.dims(), right.dims());
        let core = core.permute([0, 2, 1]).reshape([rank * kernel, inner]);
        let inputs = core.matmul(right).reshape([rank, kernel, columns]).permute([0, 2, 1]);
        left.matmul(inputs.reshape([rank, columns * kernel]))
    }
}

impl Factor {
    /// The factor as `[rows, columns, kernel]`.
    fn blocks(&self, device: &Device) -> Tensor<3> {
        let matrix = match &self.matrix {
            FactorMatrix::Whole(matrix) => matrix.clone().to_device(device),
            FactorMatrix::Product(product) => product.matrix(device),
        };
        let [rows, columns] = matrix.dims();
        matrix.reshape([rows, columns / self.kernel, self.kernel])
    }
}

impl Loader<'_> {
    fn product(&self, stored: &StoredProduct) -> Result<Product> {
        let left = self.matrix(&stored.left)?;
        let core = |core: &StoredTensor| {
            let [rank, inner] = [core.shape()[0], core.shape()[1]];
            let kernel = core.len() / (rank * inner);
            Ok(self.matrix(core)?.reshape([rank, inner, kernel]))
        };
        Ok(Product {
            left: if stored.transposed { left.transpose() } else { left },
            core: stored.core.as_ref().map(core).transpose()?,
            right: self.matrix(&stored.right)?,
        })
    }

    fn factor(&self, stored: &StoredFactor, kernel: usize) -> Result<Factor> {
        let matrix = match stored {
            StoredFactor::Whole(matrix) => FactorMatrix::Whole(self.matrix(matrix)?),
            StoredFactor::Product(product) => FactorMatrix::Product(self.product(product)?),
        };
        Ok(Factor { matrix, kernel })
    }

    /// A tensor as a matrix with the rows of its first dimension.
    fn matrix(&self, stored: &StoredTensor) -> Result<Tensor<2>> {
        let rows = stored.shape().first().copied().unwrap_or(1);
        let flat = stored.reshaped(&[rows, stored.len() / rows.max(1)]).expect("rows divide the size");
        let matrix = flat.tensor(self.key, DType::F32, self.device)?;
        if is_finite(&matrix) {
            return Ok(matrix);
        }
        let key = self.key;
        Err(stored.error(format!("the values for the weight `{key}` are not finite: the file is damaged")))
    }
}
