//! The layers of perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).

use std::sync::Arc;

use tokenizers::utils::SysRegex;

use crate::error::{Error, Result};

/// The name of the argument in Python.
const ARGUMENT: &str = "pag_applied_layers";

/// Layers, as regular expressions that are found somewhere in their names.
#[derive(Clone, Debug)]
pub(crate) struct PerturbedLayers(Vec<(String, Arc<SysRegex>)>);

impl Default for PerturbedLayers {
    fn default() -> Self {
        Self::new(&["blocks.1"]).expect("a regular expression")
    }
}

impl PerturbedLayers {
    /// # Errors
    /// When an expression is not a regular one.
    pub fn new(layers: &[impl AsRef<str>]) -> Result<Self> {
        let compiled = layers.iter().map(AsRef::as_ref).map(|layer| match SysRegex::new(layer) {
            Ok(regex) => Ok((layer.to_owned(), Arc::new(regex))),
            Err(error) => {
                Err(Error::argument(ARGUMENT, format!("`{layer}` is no regular expression: {error}")))
            }
        });
        Ok(Self(compiled.collect::<Result<_>>()?))
    }

    /// The numbers of those among the self-attentions of these names.
    ///
    /// # Errors
    /// When an expression is found in none of the names.
    pub fn among(&self, names: &[String]) -> Result<Vec<usize>> {
        let mut found = vec![false; names.len()];
        for (layer, regex) in &self.0 {
            let mut is_somewhere = false;
            for (found, name) in found.iter_mut().zip(names) {
                if regex.find_iter(name).next().is_some() {
                    (*found, is_somewhere) = (true, true);
                }
            }
            if !is_somewhere {
                let known = match names {
                    [first, .., last] => format!("they are `{first}` to `{last}`"),
                    [only] => format!("the only one is `{only}`"),
                    [] => "the model has none".to_owned(),
                };
                let message = format!("`{layer}` is in the name of no layer: {known}");
                return Err(Error::argument(ARGUMENT, message));
            }
        }
        Ok((0..names.len()).filter(|index| found[*index]).collect())
    }
}
