//! Weights in prompts, in the syntax of AUTOMATIC1111's web UI: `(word)` and `((word))` count more, `[word]` counts less,
//! `(word:1.3)` sets the weight, a backslash makes a bracket an ordinary character, and `BREAK` ends a chunk.

/// A part of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// A text and its weight, which is 1 outside of brackets.
    Text(String, f64),
    /// The end of a chunk.
    Break,
}

/// The factor by which a round bracket raises a weight and a square one lowers it.
const STEP: f64 = 1.1;

/// Splits a prompt into parts, each with one weight.
pub(crate) fn parse(prompt: &str) -> Vec<Part> {
    let mut parts: Vec<(String, f64)> = Vec::new();
    // Where the open brackets began.
    let (mut round, mut square) = (Vec::new(), Vec::new());
    let mut text = String::new();
    let mut rest = prompt;
    while let Some(next) = rest.chars().next() {
        let mut after = &rest[next.len_utf8()..];
        let multiply = |parts: &mut Vec<(String, f64)>, from: usize, factor: f64| {
            parts[from..].iter_mut().for_each(|(_, weight)| *weight *= factor);
        };
        let ends_text = matches!(next, '(' | '[')
            || (next == ')' && !round.is_empty())
            || (next == ']' && !square.is_empty())
            || (next == ':' && !round.is_empty() && weight_at(after).is_some());
        if ends_text && !text.is_empty() {
            parts.push((std::mem::take(&mut text), 1.0));
        }
        match next {
            '\\' => match after.chars().next() {
                Some(escaped @ ('(' | ')' | '[' | ']' | '\\')) => {
                    text.push(escaped);
                    after = &after[1..];
                }
                _ => text.push('\\'),
            },
            '(' => round.push(parts.len()),
            '[' => square.push(parts.len()),
            ')' if !round.is_empty() => multiply(&mut parts, round.pop().expect("not empty"), STEP),
            ']' if !square.is_empty() => multiply(&mut parts, square.pop().expect("not empty"), 1.0 / STEP),
            ':' if ends_text => {
                let (weight, tail) = weight_at(after).expect("it was checked");
                multiply(&mut parts, round.pop().expect("not empty"), weight);
                after = tail;
            }
            other => text.push(other),
        }
        rest = after;
    }
    if !text.is_empty() {
        parts.push((text, 1.0));
    }
    // A bracket that is not closed reaches to the end.
    let open =
        round.into_iter().map(|from| (from, STEP)).chain(square.into_iter().map(|from| (from, 1.0 / STEP)));
    for (from, factor) in open {
        parts.iter_mut().skip(from).for_each(|(_, weight)| *weight *= factor);
    }
    joined(parts)
}

/// The weight at the start of a text, `1.3)`, and the text after it.
fn weight_at(text: &str) -> Option<(f64, &str)> {
    let (number, after) = text.split_once(')')?;
    let is_number = number.trim().chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
    let weight = number.trim().parse::<f64>().ok().filter(|_| is_number)?;
    Some((weight, after))
}

/// Joins adjacent parts of the same weight, and makes `BREAK` a part of its own.
fn joined(parts: Vec<(String, f64)>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for (text, weight) in parts {
        for (index, piece) in split_at_breaks(&text).into_iter().enumerate() {
            if index > 0 {
                joined.push(Part::Break);
            }
            match joined.last_mut() {
                Some(Part::Text(before, same)) if *same == weight => before.push_str(piece),
                _ if piece.is_empty() => {}
                _ => joined.push(Part::Text(piece.to_owned(), weight)),
            }
        }
    }
    joined
}

/// A text between the words `BREAK`, without the spaces around them.
fn split_at_breaks(text: &str) -> Vec<&str> {
    const BREAK: &str = "BREAK";
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut pieces = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(found) = text[from..].find(BREAK).map(|offset| from + offset) {
        let end = found + BREAK.len();
        let stands_alone = !text[..found].ends_with(is_word) && !text[end..].starts_with(is_word);
        if stands_alone {
            pieces.push(text[start..found].trim_end());
            start = end + text[end..].len() - text[end..].trim_start().len();
        }
        from = end;
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(prompt: &str) -> Vec<(String, f64)> {
        let round = |weight: f64| (weight * 1e6).round() / 1e6;
        let part = |part| match part {
            Part::Text(text, weight) => (text, round(weight)),
            Part::Break => ("BREAK".to_owned(), -1.0),
        };
        parse(prompt).into_iter().map(part).collect()
    }

    fn expect(prompt: &str, expected: &[(&str, f64)]) {
        let expected: Vec<(String, f64)> =
            expected.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect();
        assert_eq!(parts(prompt), expected, "{prompt}");
    }

    /// The examples in the documentation of the web UI's parser.
    #[test]
    fn brackets_weigh_as_in_the_web_ui() {
        expect("normal text", &[("normal text", 1.0)]);
        expect("an (important) word", &[("an ", 1.0), ("important", 1.1), (" word", 1.0)]);
        expect("(unbalanced", &[("unbalanced", 1.1)]);
        expect(r"\(literal\]", &[("(literal]", 1.0)]);
        expect("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]);
        expect(
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            &[
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        );
        expect("", &[]);
        expect("a:b) c]", &[("a:b) c]", 1.0)]);
        expect("(a:b:1.5)", &[("a:b", 1.5)]);
        expect("[[less]]", &[("less", 0.826446)]);
        expect("(a:-0.5) (b: 2 )", &[("a", -0.5), (" ", 1.0), ("b", 2.0)]);
    }

    #[test]
    fn a_break_stands_alone() {
        expect("a cat BREAK a dog", &[("a cat", 1.0), ("BREAK", -1.0), ("a dog", 1.0)]);
        expect("BREAKFAST", &[("BREAKFAST", 1.0)]);
        expect("(a BREAK b:1.2)", &[("a", 1.2), ("BREAK", -1.0), ("b", 1.2)]);
        expect("a BREAK BREAK b", &[("a", 1.0), ("BREAK", -1.0), ("BREAK", -1.0), ("b", 1.0)]);
    }
}
