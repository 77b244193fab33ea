//! What the hub reads from a card, as YAML.

use std::path::Path;

use serde::Serialize;

use super::ModelCard;
use super::method::Method;

/// The keys of `ModelCardData` in Python.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq))]
pub(super) struct FrontMatter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    pub library_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    pub tags: Vec<String>,
    pub inference: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widget: Vec<Widget>,
}

/// An example in the hub's gallery.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq))]
pub(super) struct Widget {
    pub text: String,
    pub output: WidgetOutput,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq))]
pub(super) struct WidgetOutput {
    pub url: String,
}

impl FrontMatter {
    pub fn of(card: &ModelCard) -> Self {
        let of_family = || (card.method != Method::Unconditional).then(|| card.family.license().to_owned());
        let widget = card.samples.iter().enumerate().map(|(index, sample)| Widget {
            // A text of nothing makes the hub refuse the card.
            text: sample.prompt.clone().unwrap_or_else(|| " ".to_owned()),
            output: WidgetOutput { url: super::image_name(index) },
        });
        Self {
            license: card.license.clone().or_else(of_family),
            library_name: "diffusers".to_owned(),
            base_model: card.base_model.clone().filter(|name| is_on_hub(name)),
            datasets: card.dataset.iter().filter(|name| is_on_hub(name)).cloned().collect(),
            tags: card.method.tags(card.family).into_iter().map(str::to_owned).collect(),
            inference: true,
            instance_prompt: card.instance_prompt.clone(),
            widget: if card.method == Method::Unconditional { Vec::new() } else { widget.collect() },
        }
    }
}

/// Whether `name` looks like a repository of the hub, and is no folder here. The hub refuses cards that name others.
pub(super) fn is_on_hub(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    let is_part = |part: &&str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && part.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
    };
    parts.len() <= 2 && parts.iter().all(is_part) && !Path::new(name).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_folders() {
        for name in ["stable-diffusion-v1-5/stable-diffusion-v1-5", "gpt2", "a/b.c_d"] {
            assert!(is_on_hub(name), "{name}");
        }
        for name in ["", "/data/sd15", "./sd15", "../a", "a/b/c", "a\\b", "C:/a", "tests", "a b"] {
            assert!(!is_on_hub(name), "{name}");
        }
    }
}
