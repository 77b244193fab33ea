//! What captions of web pages have and pictures do not show, as the authors of DeepFloyd IF removed it: the text encoders of several
//! models were trained with such captions.

mod markup;
mod repair;

use std::sync::LazyLock;

use tokenizers::utils::SysRegex;

use self::markup::{text_of_markup, unescape};
use self::repair::repaired;
use super::caption::is_space;

/// Regular expressions, and what stands in the place of what they find.
struct Rules(Vec<(SysRegex, &'static str)>);

impl Rules {
    fn new(rules: &[(&'static str, &'static str)]) -> Self {
        let compile = |(pattern, with): &(&'static str, &'static str)| {
            (SysRegex::new(pattern).expect("a regular expression"), *with)
        };
        Self(rules.iter().map(compile).collect())
    }

    fn apply(&self, mut text: String) -> String {
        for (regex, with) in &self.0 {
            text = replace(regex, &text, |_| (*with).to_owned());
        }
        text
    }
}

/// Links.
static LINKS: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(&[
        ("<person>", "person"),
        (
            r"\b(?:https?:(?:/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@))",
            "",
        ),
        (
            r"\b(?:www:(?:/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@))",
            "",
        ),
    ])
});

/// What is not part of a sentence.
static SIGNS: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(&[
        // The name of a user.
        (r"@[\w\d]+\b", ""),
        // Characters of Chinese and Japanese.
        (r"[\u{31c0}-\u{31ef}]+", ""),
        (r"[\u{31f0}-\u{31ff}]+", ""),
        (r"[\u{3200}-\u{32ff}]+", ""),
        (r"[\u{3300}-\u{33ff}]+", ""),
        (r"[\u{3400}-\u{4dbf}]+", ""),
        (r"[\u{4dc0}-\u{4dff}]+", ""),
        (r"[\u{4e00}-\u{9fff}]+", ""),
        // Dashes.
        (
            r"[\u{2d}\u{58a}\u{5be}\u{1400}\u{1806}\u{2010}-\u{2015}\u{2e17}\u{2e1a}\u{2e3a}\u{2e3b}\u{2e40}\u{301c}\u{3030}\u{30a0}\u{fe31}\u{fe32}\u{fe58}\u{fe63}\u{ff0d}]+",
            "-",
        ),
        // Quotation marks.
        ("[`´«»“”¨]", "\""),
        ("[‘’]", "'"),
        ("&quot;?", ""),
        ("&amp", ""),
        // Addresses of computers, times at the end, line breaks that were escaped, numbers of articles.
        (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),
        (r"\d:\d\d\s+$", ""),
        (r"\\n", " "),
        (r"#\d{1,3}\b", ""),
        (r"#\d{5,}\b", ""),
        (r"\b\d{6,}\b", ""),
        // Names of files.
        (r"\S+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)", ""),
        ("[\"']{2,}", "\""),
        (r"\.{2,}", " "),
        (r"[#®•©™&@·º½¾¿¡§~)(\]\[}{|\\/*]+", " "),
        (r"\s+\.\s+", " "),
    ])
});

/// Dashes and underscores.
static JOINTS: LazyLock<SysRegex> = LazyLock::new(|| SysRegex::new("[-_]").expect("a regular expression"));

/// Phrases of shops and names of things.
static PHRASES: LazyLock<Rules> = LazyLock::new(|| {
    Rules::new(&[
        (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),
        (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
        (r"\b\d+[a-zA-Z]+\d+\b", ""),
        (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
        (r"(?:free\s)?download(?:\sfree)?", ""),
        (r"\bclick\b\s(?:for|on)\s\w+", ""),
        (r"\b(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)(?:\simages?)?", ""),
        (r"\bpage\s+\d+\b", ""),
        (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),
        // Sizes; the second sign is Cyrillic.
        (r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", ""),
        (r"\b\s+:\s+", ": "),
    ])
});

/// A sign after something that is no digit, with a word right behind it.
static UNSPACED: LazyLock<SysRegex> =
    LazyLock::new(|| SysRegex::new(r"\D[,./]\b").expect("a regular expression"));

static SPACES: LazyLock<Rules> = LazyLock::new(|| Rules::new(&[(r"\s+", " ")]));

static ENDS: LazyLock<Rules> =
    LazyLock::new(|| Rules::new(&[(r"^['_,\-:;]", ""), (r"['_,\-:+]$", ""), (r"^\.\S+$", "")]));

/// A caption without all that, in lower case.
pub(super) fn clean_caption(caption: &str) -> String {
    let caption = unquote(caption);
    let caption = caption.trim_matches(is_space).to_lowercase();
    let caption = text_of_markup(&LINKS.apply(caption));
    let mut caption = SIGNS.apply(caption);
    // As in this-is-my-cat; a few are a part of the sentence.
    if JOINTS.find_iter(&caption).count() > 3 {
        caption = replace(&JOINTS, &caption, |_| " ".to_owned());
    }
    let caption = unescape(&unescape(&repaired(&caption)));
    let caption = PHRASES.apply(caption);
    let caption = replace(&UNSPACED, &caption, |found| format!("{found} "));
    let caption = SPACES.apply(caption);
    let caption = ENDS.apply(without_quotes(&caption).to_owned());
    caption.trim_matches(is_space).to_owned()
}

/// What is between quotation marks at both ends.
fn without_quotes(text: &str) -> &str {
    const QUOTES: [char; 2] = ['"', '\''];
    let inside = text.strip_prefix(QUOTES).and_then(|rest| rest.strip_suffix(QUOTES));
    inside.filter(|inside| !inside.is_empty()).unwrap_or(text)
}

/// The text of a query in a link: `+` is a space, `%41` is A.
fn unquote(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut bytes = Vec::new();
        while let Some(byte) = escaped_byte(rest) {
            bytes.push(byte);
            rest = &rest[3..];
        }
        if bytes.is_empty() {
            out.push('%');
            rest = &rest[1..];
        }
        out.push_str(&String::from_utf8_lossy(&bytes));
    }
    out + rest
}

/// The byte that `%` and two digits at the start of a text stand for.
fn escaped_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('%')?.get(..2)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// Puts what `with` makes of each match in its place.
fn replace(regex: &SysRegex, text: &str, with: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in regex.find_iter(text) {
        out.push_str(&text[done..start]);
        out.push_str(&with(&text[start..end]));
        done = end;
    }
    out + &text[done..]
}
