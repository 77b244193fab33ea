//! Prompts that are read as captions of pictures were when the model was trained.

use super::clean_caption::clean_caption;

/// The texts in lower case and without spaces around them; `clean` removes besides what captions of web pages have and pictures do not
/// show.
pub(crate) fn prepared_captions(texts: &[String], clean: bool) -> Vec<String> {
    let prepare = |text: &String| match clean {
        // What is left may be unclean again.
        true => clean_caption(&clean_caption(text)),
        false => text.to_lowercase().trim_matches(is_space).to_owned(),
    };
    texts.iter().map(prepare).collect()
}

/// Whether Python strips the character.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Caption {
        text: String,
        plain: String,
        clean: String,
    }

    #[test]
    fn captions_are_prepared_as_in_python() {
        let recorded = include_str!("../../../../../../tests/fixtures/pixart/captions.json");
        let captions: Vec<Caption> = serde_json::from_str(recorded).unwrap();
        for Caption { text, plain, clean } in captions {
            let texts = [text];
            assert_eq!(prepared_captions(&texts, false), [plain]);
            assert_eq!(prepared_captions(&texts, true), [clean], "{texts:?}");
        }
    }
}
