//! Characters that stand for others: what the library ftfy repairs with its defaults, but for texts that were decoded in a wrong encoding.

use std::sync::LazyLock;

use tokenizers::NormalizedString;
use tokenizers::utils::SysRegex;

use super::markup::unescape_unambiguous;
use super::replace;

/// Colours of terminals.
static TERMINAL: LazyLock<SysRegex> =
    LazyLock::new(|| SysRegex::new(r"\x1b\[[\d;]*[a-zA-Z]").expect("a regular expression"));

/// The text line by line, until nothing changes any more.
pub(super) fn repaired(text: &str) -> String {
    text.split_inclusive('\n').map(repaired_line).collect()
}

fn repaired_line(line: &str) -> String {
    let mut text = line.to_owned();
    loop {
        let repaired = once(&text);
        if repaired == text {
            return text;
        }
        text = repaired;
    }
}

fn once(text: &str) -> String {
    // What has tags is markup, in which entities are meant.
    let text = if text.contains('<') { text.to_owned() } else { unescape_unambiguous(text) };
    let text: String = text.chars().map(plain).collect();
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    let text = replace(&TERMINAL, &text, |_| String::new());
    let text: String = text.chars().filter(|character| !is_control(*character)).collect();
    let mut normalized = NormalizedString::from(text);
    normalized.nfc();
    normalized.get().to_owned()
}

/// A character as letters, without a width of its own, and straight instead of curled.
fn plain(character: char) -> String {
    let ligature = match character {
        '\u{132}' => "IJ",
        '\u{133}' => "ij",
        '\u{149}' => "\u{2bc}n",
        '\u{1f1}' => "DZ",
        '\u{1f2}' => "Dz",
        '\u{1f3}' => "dz",
        '\u{1c4}' => "D\u{17d}",
        '\u{1c5}' => "D\u{17e}",
        '\u{1c6}' => "d\u{17e}",
        '\u{1c7}' => "LJ",
        '\u{1c8}' => "Lj",
        '\u{1c9}' => "lj",
        '\u{1ca}' => "NJ",
        '\u{1cb}' => "Nj",
        '\u{1cc}' => "nj",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' => "\u{17f}t",
        '\u{fb06}' => "st",
        '\u{3000}' => " ",
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => "'",
        '\u{201c}'..='\u{201f}' => "\"",
        // Full and half width.
        '\u{ff01}'..='\u{ffef}' => {
            let mut normalized = NormalizedString::from(character.to_string());
            normalized.nfkc();
            return normalized.get().to_owned();
        }
        // C1 controls are characters of Windows.
        '\u{80}'..='\u{9f}' => return super::markup::of_windows(character as u32).to_string(),
        other => return other.to_string(),
    };
    ligature.to_owned()
}

/// Whether a character controls something but is no space.
fn is_control(character: char) -> bool {
    matches!(character,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}
