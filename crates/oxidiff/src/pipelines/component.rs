//! The parts of pipelines, of any class.

use std::any::Any;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::schedulers::Scheduler;

/// One part of a pipeline: a model, a scheduler, a tokenizer, or an image processor.
///
/// Every [`Model`] is a component.
pub trait Component: fmt::Debug {
    /// The Python library that the class belongs to, and the name of the class.
    fn class(&self) -> (&'static str, String);

    /// Writes the part into its own folder, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save(&self, folder: &Path) -> Result<()>;

    /// The part as the type that a pipeline holds it in: a scheduler is a `Box<dyn Scheduler>`.
    fn as_any(&self) -> &dyn Any;

    /// The part as its own type, even if the pipeline holds it in a box.
    fn as_concrete(&self) -> &dyn Any {
        self.as_any()
    }
}

impl<M: Model + 'static> Component for M {
    fn class(&self) -> (&'static str, String) {
        (M::LIBRARY, M::CLASS_NAME.to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        Model::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Component for Box<dyn Scheduler> {
    fn class(&self) -> (&'static str, String) {
        ("diffusers", self.config().class_name().unwrap_or_default().to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        (**self).save_pretrained(folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Component for Box<dyn Autoencoder> {
    fn class(&self) -> (&'static str, String) {
        ("diffusers", self.class_name().to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        (**self).save_pretrained(folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_concrete(&self) -> &dyn Any {
        (**self).as_any()
    }
}

/// The parts of a pipeline by the names that `model_index.json` gives them.
///
/// ```
/// use oxidiff::{CLIPTextModel, DiffusionPipeline, Model};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let pipeline = DiffusionPipeline::from_pretrained(folder)?;
/// let components = pipeline.components();
/// let text_encoder = components.get::<CLIPTextModel>("text_encoder").expect("the pipeline has a text encoder");
/// assert_eq!(text_encoder.config().max_position_embeddings, 32);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Components<'a>(Vec<(&'a str, &'a dyn Component)>);

impl<'a> Components<'a> {
    /// The part of this name, if the pipeline has it and it is of class `T`.
    pub fn get<T: 'static>(&self, name: &str) -> Option<&'a T> {
        let (_, component) = self.0.iter().find(|(other, _)| *other == name)?;
        component.as_any().downcast_ref().or_else(|| component.as_concrete().downcast_ref())
    }

    /// A copy of the part of this name, which shares its weights.
    ///
    /// # Errors
    /// When there is no such part, or it is of another class.
    pub fn take<T: Clone + 'static>(&self, name: &str) -> Result<T> {
        self.get::<T>(name).cloned().ok_or_else(|| {
            let found = self.0.iter().find(|(other, _)| *other == name);
            let found = found.map_or("nothing".to_owned(), |(_, part)| format!("`{}`", part.class().1));
            Error::argument("pipeline", format!("has {found} as `{name}`, which does not fit"))
        })
    }

    /// A copy of an optional part; `None` if there is no such part.
    ///
    /// # Errors
    /// When the part is of another class.
    pub fn take_optional<T: Clone + 'static>(&self, name: &str) -> Result<Option<T>> {
        match self.0.iter().any(|(other, _)| *other == name) {
            true => self.take(name).map(Some),
            false => Ok(None),
        }
    }

    /// The names and the parts, in the pipeline's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a dyn Component)> + '_ {
        self.0.iter().copied()
    }

    /// Adds a part.
    pub fn push(&mut self, name: &'a str, component: &'a dyn Component) {
        self.0.push((name, component));
    }

    /// Adds an optional part, if present.
    pub fn push_optional<T: Component>(&mut self, name: &'a str, component: &'a Option<T>) {
        if let Some(component) = component {
            self.push(name, component);
        }
    }
}

impl<'a> FromIterator<(&'a str, &'a dyn Component)> for Components<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a dyn Component)>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl<'a> IntoIterator for Components<'a> {
    type Item = (&'a str, &'a dyn Component);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
