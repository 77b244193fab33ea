//! Linear layers and embedding tables, with weights laid out as PyTorch stores them.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, module};
use oxidiff_kernels::{Place, geglu, linear, linear_geglu};

use super::low_rank::LowRank;
use super::parameter;
use super::quantised_weight::QuantisedWeight;
use crate::error::{Error, Result};

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Param<Tensor<2>>,
    /// `[out_features]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// What is trained beside the weight.
    #[module(skip)]
    pub low_rank: Option<Box<LowRank>>,
}

impl Linear {
    /// A layer from `in_features` to `out_features`, with PyTorch's initial distribution.
    pub fn init(in_features: usize, out_features: usize, bias: bool, device: &Device) -> Self {
        let bound = 1.0 / (in_features as f64).sqrt();
        Self {
            weight: parameter::uniform([out_features, in_features], bound, device),
            bias: bias.then(|| parameter::uniform([out_features], bound, device)),
            low_rank: None,
        }
    }

    /// The same with weights drawn from a normal distribution with this standard deviation, and with a bias of 0.
    pub fn with_normal_weights(mut self, std: f64) -> Self {
        let device = self.weight.lazy_device();
        self.weight = parameter::normal_scaled(self.weight.lazy_shape().dims(), std, &device);
        self.bias = self.bias.map(|bias| parameter::constant(bias.lazy_shape().dims(), 0.0, &device));
        self
    }

    /// Length of the input.
    pub fn in_features(&self) -> usize {
        self.weight.lazy_shape().dims::<2>()[1]
    }

    /// Where the parameters are in memory, if on the CPU, not in blocks, and without a low-rank addition: what is trained changes
    /// without changing its place.
    pub(crate) fn places(&self) -> Option<Vec<Place>> {
        if self.low_rank.is_some() || self.weight.reparameterization::<QuantisedWeight>().is_some() {
            return None;
        }
        let bias = self.bias.as_ref().map(|bias| Place::of(&bias.val()));
        [Some(Place::of(&self.weight.val())), bias].into_iter().flatten().collect()
    }

    /// `[..., in_features]` to `[..., out_features]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.product(x, None)
    }

    /// Like [`Self::forward`], plus `residual` `[..., out_features]`.
    pub fn forward_added<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        self.product(x, Some(residual))
    }

    /// Like [`Self::forward`], in `f32` whatever the type of `x` and of the weights.
    pub fn forward_in_f32<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let x = x.cast(DType::F32);
        if self.low_rank.is_some() || quantised(&self.weight, &x.device()).is_some() {
            return self.forward(x);
        }
        let bias = self.bias.as_ref().map(|bias| bias.val().cast(DType::F32));
        linear(x, self.weight.val().cast(DType::F32), bias, None)
    }

    /// The part of the result of [`Self::forward`] that these rows of the weight make: `[..., in_features]` to `[..., rows]`.
    pub fn forward_rows<const D: usize>(&self, x: Tensor<D>, rows: Range<usize>) -> Tensor<D> {
        if self.low_rank.is_some() {
            return self.forward(x).narrow(D - 1, rows.start, rows.len());
        }
        let bias = self.bias.as_ref().map(|bias| bias.val().narrow(0, rows.start, rows.len()));
        match quantised(&self.weight, &x.device()) {
            Some(weight) => weight.product_of_rows(x, rows, bias),
            None => linear(x, self.weight.val().narrow(0, rows.start, rows.len()), bias, None),
        }
    }

    fn product<const D: usize>(&self, x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
        let bias = self.bias.as_ref().map(Param::val);
        let product = |x: Tensor<D>| match quantised(&self.weight, &x.device()) {
            Some(weight) => weight.product(x, bias, residual),
            None => linear(x, self.weight.val(), bias, residual),
        };
        match &self.low_rank {
            None => product(x),
            Some(low_rank) => low_rank.add_to(product(x.clone()), x),
        }
    }

    /// The first half of the result of [`Self::forward`], times GELU of the second half: `[batch, tokens, in_features]` to
    /// `[batch, tokens, out_features / 2]`.
    pub fn forward_geglu(&self, x: Tensor<3>) -> Tensor<3> {
        if self.low_rank.is_some() || quantised(&self.weight, &x.device()).is_some() {
            return geglu(self.forward(x));
        }
        linear_geglu(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// The weight in blocks, if it has them and there are kernels for them on `device`.
fn quantised<'a>(weight: &'a Param<Tensor<2>>, device: &Device) -> Option<&'a QuantisedWeight> {
    weight.reparameterization::<QuantisedWeight>().filter(|_| *device == Device::flex())
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, features]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table of `entries` vectors of length `features`.
    pub fn init(entries: usize, features: usize, device: &Device) -> Self {
        Self { weight: parameter::normal([entries, features], device) }
    }

    /// A table whose values are drawn from a normal distribution with this standard deviation.
    pub fn init_scaled(entries: usize, features: usize, std: f64, device: &Device) -> Self {
        Self { weight: parameter::normal_scaled([entries, features], std, device) }
    }

    /// `[batch, tokens]` indices to `[batch, tokens, features]`.
    pub fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        let device = indices.device();
        let Some(weight) = quantised(&self.weight, &device) else {
            return module::embedding(self.weight.val(), indices);
        };
        let ([batch, tokens], features) = (indices.dims(), weight.matrix().dims()[1]);
        let numbers: Vec<usize> = indices
            .into_data()
            .iter::<i64>()
            .map(|index| usize::try_from(index).expect("an entry"))
            .collect();
        weight.matrix().selected(&numbers, weight.dtype(), &device).reshape([batch, tokens, features])
    }

    /// The vectors of the tokens of texts of the same length, `[batch, tokens, features]`.
    pub fn of_texts(&self, input_ids: &[Vec<u32>], device: &Device) -> Tensor<3> {
        let (batch, tokens) = (input_ids.len(), input_ids[0].len());
        let ids: Vec<i64> = input_ids.iter().flatten().map(|&id| i64::from(id)).collect();
        self.forward(Tensor::from_data(TensorData::new(ids, [batch, tokens]), device))
    }

    /// The vectors at `indices`, `[indices, features]`.
    ///
    /// # Errors
    /// When there is no entry at an index; the error names `argument`.
    pub fn rows(&self, indices: &[usize], argument: &'static str, device: &Device) -> Result<Tensor<2>> {
        self.check(indices, argument)?;
        let features = self.weight.lazy_shape().dims::<2>()[1];
        let data: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
        let data = Tensor::<2, Int>::from_data(TensorData::new(data, [1, indices.len()]), device);
        Ok(self.forward(data).reshape([indices.len(), features]))
    }

    /// # Errors
    /// When there is no entry at an index; the error names `argument`.
    pub fn check(&self, indices: &[usize], argument: &'static str) -> Result<()> {
        let entries = self.weight.lazy_shape().dims::<2>()[0];
        match indices.iter().find(|index| **index >= entries) {
            Some(index) => Err(not_an_entry(index, entries, argument)),
            None => Ok(()),
        }
    }

    /// Like [`Self::rows`], for numbers that should be indices.
    ///
    /// # Errors
    /// When there is no entry at a number; the error names `argument`.
    pub fn lookup(&self, numbers: &[f32], argument: &'static str, device: &Device) -> Result<Tensor<2>> {
        let entries = self.weight.lazy_shape().dims::<2>()[0];
        let indices: Result<Vec<usize>> = numbers
            .iter()
            .map(|&number| {
                let index = number as usize;
                if index as f32 == number { Ok(index) } else { Err(not_an_entry(number, entries, argument)) }
            })
            .collect();
        self.rows(&indices?, argument, device)
    }
}

fn not_an_entry(index: impl std::fmt::Display, entries: usize, argument: &'static str) -> Error {
    Error::argument(argument, format!("{index} is not one of the {entries} that the model knows"))
}
