//! `model_index.json`: the class of each component of a pipeline, and the pipeline's own options; and the files next to
//! it.

use std::fmt;

use serde_json::{Map, Value, json};

use super::generation_config::GenerationConfig;
use super::registry;
use crate::error::{Error, Result};
use crate::loading::config::{DIFFUSERS_VERSION, to_sorted_json};
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::hub::MODEL_INDEX;
use crate::loading::single_file::SingleFileOptions;
use crate::loading::{LoadOptions, Needed};

const SAFETY_CHECKER: &str = "safety_checker";

/// The contents of `model_index.json`, and of `generation_config.json` next to it.
#[derive(Clone, Debug)]
pub struct ModelIndex {
    origin: String,
    values: Map<String, Value>,
    /// Where the pipeline was loaded from.
    folder: Option<Folder>,
    generation_config: GenerationConfig,
}

impl ModelIndex {
    /// The index of a pipeline that was put together in code.
    pub(crate) fn of_class(class_name: &str) -> Self {
        let values = Map::from_iter([("_class_name".to_owned(), Value::from(class_name))]);
        let (generation_config, folder) = (GenerationConfig::default(), None);
        Self { origin: class_name.to_owned(), values, folder, generation_config }.with_version()
    }

    /// Reads only the index of a pipeline in a folder, or on the hub.
    ///
    /// # Errors
    /// When the file is missing or not JSON.
    pub fn from_pretrained(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        Self::read(&options.open(name_or_path, Needed::Config { config: MODEL_INDEX })?)
    }

    /// The index that a checkpoint in one file implies: that of `options.config`, or the one that the library holds for models
    /// of this kind. The file's weights are not read.
    ///
    /// # Errors
    /// As [`Pipeline::from_single_file`](crate::Pipeline::from_single_file), but for missing or damaged weights.
    pub fn from_single_file(path: &str, options: &SingleFileOptions) -> Result<Self> {
        Self::of_single_file(&options.open_pipeline(path)?)
    }

    /// Reads the index of a pipeline that is part of the binary.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_embedded(folder: &'static EmbeddedFolder) -> Result<Self> {
        Self::read(&Folder::embedded(folder))
    }

    pub(crate) fn read(folder: &Folder) -> Result<Self> {
        let origin = folder.locate(MODEL_INDEX).display().to_string();
        let text = folder.read(MODEL_INDEX, "a pipeline")?;
        let mut values: Map<String, Value> = serde_json::from_slice(&text)
            .map_err(|error| Error::config(&origin, ".", format!("not a JSON object: {error}")))?;
        let class_name = values.get("_class_name").and_then(Value::as_str);
        if let Some(current) = class_name.and_then(registry::current_name) {
            values.insert("_class_name".into(), current.into());
        }
        values.insert("_name_or_path".into(), folder.name().display().to_string().into());
        let (generation_config, folder) = (GenerationConfig::read(folder)?, Some(folder.clone()));
        Ok(Self { origin, values, folder, generation_config }.with_version())
    }

    /// Reads the index of a checkpoint in one file, which never holds a safety checker.
    pub(crate) fn of_single_file(folder: &Folder) -> Result<Self> {
        let mut index = Self::read(folder)?;
        if index.component_class(SAFETY_CHECKER)?.is_some() {
            index.set_component(SAFETY_CHECKER, None);
        }
        Ok(index)
    }

    fn with_version(mut self) -> Self {
        self.values.insert("_diffusers_version".into(), DIFFUSERS_VERSION.into());
        self
    }

    /// The pipeline's class.
    ///
    /// # Errors
    /// When the file does not name it.
    pub fn class_name(&self) -> Result<&str> {
        self.values
            .get("_class_name")
            .and_then(Value::as_str)
            .ok_or_else(|| Error::config(&self.origin, "_class_name", "must name a pipeline class"))
    }

    /// The class of a component; `None` if the pipeline has no such component.
    ///
    /// # Errors
    /// When the entry is neither null nor the names of a library and a class.
    pub fn component_class(&self, component: &str) -> Result<Option<&str>> {
        let Some(entry) = self.values.get(component).filter(|entry| !entry.is_null()) else {
            return Ok(None);
        };
        match entry.as_array().map(Vec::as_slice) {
            Some([Value::Null, Value::Null]) => Ok(None),
            Some([Value::String(_) | Value::Null, Value::String(class_name)]) => Ok(Some(class_name)),
            _ => {
                let message = format!("must be null or the names of a library and a class, not {entry}");
                Err(Error::config(&self.origin, component, message))
            }
        }
    }

    /// The class of a required component.
    pub(crate) fn required(&self, component: &str) -> Result<&str> {
        self.component_class(component)?.ok_or_else(|| {
            let message = format!("the {} needs this component", self.class_name().unwrap_or("pipeline"));
            Error::config(&self.origin, component, message)
        })
    }

    /// Checks that a component has the only class that can be loaded for it.
    pub(crate) fn expect_class(&self, component: &str, class_name: &str) -> Result<()> {
        let found = self.required(component)?;
        if found == class_name {
            return Ok(());
        }
        Err(Error::config(
            &self.origin,
            component,
            format!("is a `{found}`; only `{class_name}` can be loaded"),
        ))
    }

    /// The index for a pipeline of another class, with the parts and options of this one that are among its own
    /// `names`. The others are marked with an underscore, as in Python, so that they can be restored.
    pub(crate) fn for_class(&self, class_name: &str, names: &[&str]) -> Self {
        let is_known = |name: &str| names.contains(&name);
        let values = self.values.iter().map(|(name, value)| {
            let name = match name.strip_prefix('_') {
                Some(bare) if is_known(bare) => bare.to_owned(),
                Some(_) => name.clone(),
                None if is_known(name) => name.clone(),
                None => format!("_{name}"),
            };
            (name, value.clone())
        });
        let mut index = Self {
            origin: class_name.to_owned(),
            values: values.collect(),
            folder: self.folder.clone(),
            // It describes the models, which another class calls in the same way.
            generation_config: self.generation_config.clone(),
        };
        index.set_class_name(class_name);
        index
    }

    pub(crate) fn set_class_name(&mut self, class_name: &str) {
        self.values.insert("_class_name".to_owned(), class_name.into());
    }

    pub(crate) fn set_component(&mut self, component: &str, class: Option<(&str, &str)>) {
        let value = match class {
            Some((library, class_name)) => json!([library, class_name]),
            None => json!([null, null]),
        };
        self.values.insert(component.to_owned(), value);
    }

    /// The arguments that the checkpoint recommends.
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.generation_config
    }

    /// The file, or the class if the pipeline was put together in code; for messages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the pipeline was loaded from; `None` if it was put together in code.
    pub(crate) fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// All contents.
    pub(crate) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The value of one of the pipeline's own options.
    pub(crate) fn option(&self, option: &str) -> Option<&Value> {
        self.values.get(option)
    }

    pub(crate) fn set_option(&mut self, option: &str, value: impl Into<Value>) {
        self.values.insert(option.to_owned(), value.into());
    }

    /// The index as it is saved: without the place that it was loaded from.
    pub(crate) fn to_saved_json(&self) -> String {
        let mut values = self.values.clone();
        values.remove("_name_or_path");
        to_sorted_json(&values) + "\n"
    }
}

/// Prints the index as Python prints a pipeline.
impl fmt::Display for ModelIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class_name().unwrap_or("DiffusionPipeline"), to_sorted_json(&self.values))
    }
}
