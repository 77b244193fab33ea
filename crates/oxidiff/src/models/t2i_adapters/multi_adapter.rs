//! Several T2I-Adapters whose features are added.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;

use super::t2i_adapter::T2IAdapter;
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::models::controlnets::suffix;
use crate::models::model::Model;
use crate::wording::counted;

/// Several T2I-Adapters, each with its own image and its own weight; their features are added.
///
/// ```
/// use oxidiff::{Device, Model, MultiAdapter, T2IAdapter, T2IAdapterConfig};
///
/// let config = T2IAdapterConfig { channels: vec![8, 16], ..Default::default() };
/// let sketch = T2IAdapter::init(&config, &Device::flex())?;
/// let both = MultiAdapter::new(vec![sketch.clone(), sketch])?;
/// assert_eq!(both.adapters().len(), 2);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiAdapter {
    adapters: Vec<T2IAdapter>,
}

impl MultiAdapter {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "MultiAdapter";

    /// The given adapters.
    ///
    /// # Errors
    /// When there are fewer than two, or their features differ in size; the error names what differs.
    pub fn new(adapters: Vec<T2IAdapter>) -> Result<Self> {
        match adapters.as_slice() {
            [] => return Err(Error::argument("adapter", "is an empty list")),
            [_] => {
                let message = format!("a {} needs at least two; use the one as it is", Self::CLASS_NAME);
                return Err(Error::argument("adapter", message));
            }
            _ => {}
        }
        let factors = |adapter: &T2IAdapter| {
            [
                ("downscale_factor", adapter.downscale_factor()),
                ("total_downscale_factor", adapter.total_downscale_factor()),
            ]
        };
        for (index, other) in adapters.iter().enumerate().skip(1) {
            for ((name, first), (_, other)) in factors(&adapters[0]).into_iter().zip(factors(other)) {
                if first != other {
                    let message = format!(
                        "the {name} of number 0 is {first}, that of number {index} is {other}: they must be the same"
                    );
                    return Err(Error::argument("adapter", message));
                }
            }
        }
        Ok(Self { adapters })
    }

    /// The adapters, in their order.
    pub fn adapters(&self) -> &[T2IAdapter] {
        &self.adapters
    }

    /// The features of an image for each adapter (see [`T2IAdapter::forward`]), multiplied by the `adapter_weights` and
    /// added. Without weights, it is their mean.
    ///
    /// # Errors
    /// When there is not one image and one weight for each adapter, when the features of two adapters differ in shape, or as
    /// [`T2IAdapter::forward`].
    pub fn forward(&self, xs: &[Tensor<4>], adapter_weights: Option<&[f64]>) -> Result<Vec<Tensor<4>>> {
        let count = self.adapters.len();
        let alike = vec![f64::from(1.0 / count as f32); count];
        let weights = adapter_weights.unwrap_or(&alike);
        for (argument, given) in [("xs", xs.len()), ("adapter_weights", weights.len())] {
            if given != count {
                let message = format!("has {given} for {}", counted(count, "adapter"));
                return Err(Error::argument(argument, message));
            }
        }
        let mut sum: Vec<Tensor<4>> = Vec::new();
        for ((adapter, x), weight) in self.adapters.iter().zip(xs).zip(weights) {
            let weighted = adapter.forward(x.clone())?.into_iter().map(|feature| feature * *weight);
            if sum.is_empty() {
                sum = weighted.collect();
                continue;
            }
            let weighted: Vec<_> = weighted.collect();
            let shapes = |features: &[Tensor<4>]| features.iter().map(Tensor::dims).collect::<Vec<_>>();
            if shapes(&sum) != shapes(&weighted) {
                let message = format!("give features of {:?} and of {:?}", shapes(&sum), shapes(&weighted));
                return Err(Error::argument("xs", message));
            }
            sum = sum.into_iter().zip(weighted).map(|(one, other)| one + other).collect();
        }
        Ok(sum)
    }

    /// Loads the adapters from the folders `path`, `path_1`, `path_2` and so on, in `f32` on the CPU.
    ///
    /// # Errors
    /// When there are fewer than two such folders, a file is missing or damaged, or weights and configuration do not match.
    pub fn from_pretrained(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_pretrained_with(path, &LoadOptions::default())
    }

    /// Loads the adapters with another element type, device or variant.
    ///
    /// # Errors
    /// As for [`Self::from_pretrained`].
    pub fn from_pretrained_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        let folders = (0..).map(|number| numbered(path.as_ref(), number));
        let adapters = folders
            .take_while(|folder| folder.is_dir())
            .map(|folder| T2IAdapter::from_pretrained_with(&folder.to_string_lossy(), options))
            .collect::<Result<Vec<_>>>()?;
        if adapters.is_empty() {
            let message = format!("no such folder; a {} is in two or more", Self::CLASS_NAME);
            return Err(Error::MissingFile { path: path.as_ref().into(), message });
        }
        Self::new(adapters)
    }

    /// Writes the adapters into the folders `folder`, `folder_1`, `folder_2` and so on.
    ///
    /// # Errors
    /// When a folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folders = (0..).map(|number| numbered(folder.as_ref(), number));
        self.adapters.iter().zip(folders).try_for_each(|(adapter, folder)| adapter.save_pretrained(folder))
    }
}

/// The folder of an adapter by its place in the list.
fn numbered(folder: &Path, number: usize) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(suffix(number));
    name.into()
}
