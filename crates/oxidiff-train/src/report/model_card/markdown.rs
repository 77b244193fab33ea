//! Text from outside in Markdown.

/// The characters that mean something inside a line of Markdown, `$` and `:` with the extensions of the hub.
const SPECIAL: &[char] = &['\\', '`', '*', '_', '[', ']', '<', '>', '#', '|', '~', '&', '$', '!'];

/// Escapes `text` so that Markdown shows it as it is, in one line.
pub(in super::super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            escaped.push(' ');
            continue;
        }
        if SPECIAL.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_in_a_prompt_is_text() {
        assert_eq!(
            escaped("a <script> of\n# [sks](x) *dog*_!"),
            r"a \<script\> of \# \[sks\](x) \*dog\*\_\!"
        );
        assert_eq!(escaped("a photo of sks dog, 4k (1.5)"), "a photo of sks dog, 4k (1.5)");
    }
}
