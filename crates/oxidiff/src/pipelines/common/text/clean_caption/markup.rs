//! The text of HTML, as Python's parser and Beautiful Soup read it.

use std::collections::HashMap;
use std::sync::LazyLock;

use tokenizers::utils::SysRegex;

use super::replace;

/// The named characters of the HTML standard (<https://html.spec.whatwg.org/multipage/named-characters.html>): a name, with a semicolon or
/// without, and the code points of its characters.
const ENTITIES: &str = include_str!("entities.txt");

static CHARACTERS: LazyLock<HashMap<&str, String>> = LazyLock::new(|| {
    let entity = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let characters = words.map(|code| u32::from_str_radix(code, 16).ok().and_then(char::from_u32));
        Some((name, characters.collect::<Option<String>>()?))
    };
    ENTITIES.lines().filter_map(entity).collect()
});

/// Of Windows' characters from 0x80 to 0x9f; those without one stay control characters.
const WINDOWS: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}',
    '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// The character of a code from 0x80 to 0x9f in Windows.
pub(super) fn of_windows(code: u32) -> char {
    WINDOWS[(code - 0x80) as usize]
}

/// The end of a tag that begins at the start of the text: attributes may have `>` between quotation marks.
static TAG: LazyLock<SysRegex> = LazyLock::new(|| {
    let attribute = r#"[^\s/>][^\s/=>]*(?:\s*=+\s*(?:'[^']*'|"[^"]*"|(?!['"])[^>\s]*)\s*)?(?:\s|/(?!>))*"#;
    let pattern = format!(r#"^<[a-zA-Z][^\t\n\r\x0c />\x00]*(?:[\s/]*(?:(?<=['"\s/]){attribute})*)?\s*/?>"#);
    SysRegex::new(&pattern).expect("a regular expression")
});

static ENTITY: LazyLock<SysRegex> = LazyLock::new(|| {
    let pattern = r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)";
    SysRegex::new(pattern).expect("a regular expression")
});

static UNAMBIGUOUS: LazyLock<SysRegex> =
    LazyLock::new(|| SysRegex::new("&#?[0-9A-Za-z]{1,24};").expect("a regular expression"));

/// The text between tags, with the characters that entities stand for.
pub(super) fn text_of_markup(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let read = if rest.starts_with('<') { tag(rest, &mut out) } else { entity(rest, &mut out) };
        rest = &rest[read..];
    }
    out + rest
}

/// Reads what begins with `<`, writes the text that it stands for, and returns its length.
fn tag(rest: &str, out: &mut String) -> usize {
    let until = |end: &str| rest.find(end).map(|at| at + end.len());
    let begins = |start: &str| rest.starts_with(start);
    let length = if begins("<!--") {
        until("-->")
    } else if begins("<![cdata[") {
        until("]]>").inspect(|end| out.push_str(&rest["<![cdata[".len()..end - "]]>".len()]))
    } else if begins("</") || begins("<!") || begins("<?") {
        until(">")
    } else if rest[1..].starts_with(|first: char| first.is_ascii_alphabetic()) {
        TAG.find_iter(rest).next().map(|(_, end)| end + hidden(&rest[..end], &rest[end..]))
    } else {
        None
    };
    length.unwrap_or_else(|| {
        // What never ends is text.
        let end = rest[1..].find('<').map_or(1, |next| next + 1);
        let end = rest[1..].find('>').map_or(end, |next| next + 2);
        out.push_str(&rest[..end]);
        end
    })
}

/// The length of what follows a tag and is no text: the contents of scripts and styles.
fn hidden(tag: &str, rest: &str) -> usize {
    let name = ["script", "style"].into_iter().find(|name| {
        let after = tag[1..].strip_prefix(name);
        after.is_some_and(|after| !after.starts_with(|next: char| next.is_alphanumeric()))
    });
    match name {
        Some(name) => rest.find(&format!("</{name}")).unwrap_or(rest.len()),
        None => 0,
    }
}

/// Reads what begins with `&`, writes the character that it stands for, and returns its length.
fn entity(rest: &str, out: &mut String) -> usize {
    let is_part = |next: char| next.is_ascii_alphanumeric() || next == '-' || next == '.';
    let (start, digits): (usize, fn(char) -> bool) = match rest.as_bytes() {
        [b'&', b'#', b'x' | b'X', ..] => (3, |next| next.is_ascii_hexdigit()),
        [b'&', b'#', ..] => (2, |next| next.is_ascii_digit()),
        _ => {
            let end = rest[1..].find(|next| !is_part(next)).map_or(rest.len(), |end| end + 1);
            if !rest[1..].starts_with(|first: char| first.is_ascii_alphabetic()) {
                out.push('&');
                return 1;
            }
            if end == rest.len() {
                // At the end of the text, Python forgets the sign.
                return 1;
            }
            match CHARACTERS.get(format!("{};", &rest[1..end]).as_str()) {
                Some(characters) => out.push_str(characters),
                None => out.push_str(&rest[..end]),
            }
            return end + usize::from(rest[end..].starts_with(';'));
        }
    };
    let end = rest[start..].find(|next| !digits(next)).map_or(rest.len(), |end| end + start);
    if end == start {
        out.push('&');
        return 1;
    }
    if end == rest.len() {
        return 1;
    }
    let radix = if start == 3 { 16 } else { 10 };
    let code = u32::from_str_radix(&rest[start..end], radix).unwrap_or(u32::MAX);
    out.push(match code {
        0x80..=0x9f => of_windows(code),
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    });
    end + usize::from(rest[end..].starts_with(';'))
}

/// A text with the characters that entities stand for, by the rules of browsers: the semicolon may be missing.
pub(super) fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    replace(&ENTITY, text, |found| {
        let name = &found[1..];
        if let Some(number) = name.strip_prefix('#') {
            return numbered(number.trim_end_matches(';'));
        }
        if let Some(characters) = CHARACTERS.get(name) {
            return characters.clone();
        }
        let ends = name.char_indices().map(|(at, _)| at).skip(2).collect::<Vec<_>>();
        for end in ends.into_iter().rev() {
            if let Some(characters) = CHARACTERS.get(&name[..end]) {
                return format!("{characters}{}", &name[end..]);
            }
        }
        found.to_owned()
    })
}

/// A text with the characters that entities with a semicolon stand for.
pub(super) fn unescape_unambiguous(text: &str) -> String {
    replace(&UNAMBIGUOUS, text, |found| match found[1..].strip_prefix('#') {
        Some(number) if is_number(number.trim_end_matches(';')) => numbered(number.trim_end_matches(';')),
        Some(_) => found.to_owned(),
        None => CHARACTERS.get(&found[1..]).cloned().unwrap_or_else(|| found.to_owned()),
    })
}

fn is_number(number: &str) -> bool {
    match number.strip_prefix(['x', 'X']) {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

/// The character of a number, which is hexadecimal after `x`.
fn numbered(number: &str) -> String {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    match code.unwrap_or(u32::MAX) {
        0 => char::REPLACEMENT_CHARACTER.to_string(),
        0x0d => "\r".to_owned(),
        code @ 0x80..=0x9f => of_windows(code).to_string(),
        // Neither these nor characters that do not exist stand for anything.
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => String::new(),
        code if code & 0xfffe == 0xfffe && code <= 0x0010_ffff => String::new(),
        code => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).to_string(),
    }
}
