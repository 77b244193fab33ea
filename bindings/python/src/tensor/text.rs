//! How a tensor is printed.

use crate::array::Array;
use crate::dtype::Element;

/// Of longer dimensions, only the values at both ends are shown.
const EDGE: usize = 3;
const MOST_VALUES: usize = 1000;

pub fn describe(array: &Array) -> String {
    let whole = array.count() <= MOST_VALUES;
    let mut text = String::from("tensor(");
    match array.count() {
        // There may be very many empty rows.
        0 if array.shape.len() > 1 => {
            let lengths: Vec<_> = array.shape.iter().map(usize::to_string).collect();
            text += &format!("[], size=({})", lengths.join(", "));
        }
        _ => write_level(array, &array.shape, 0, whole, &mut text),
    }
    if !matches!(array.element, Element::Float32 | Element::Int64 | Element::Bool) {
        text += &format!(", dtype=oxidiff.{}", array.element.name());
    }
    text + ")"
}

/// Writes the values from position `start` on, which have this shape.
fn write_level(array: &Array, shape: &[usize], start: usize, whole: bool, text: &mut String) {
    let Some((length, inner)) = shape.split_first() else {
        *text += &value(array, start);
        return;
    };
    let stride: usize = inner.iter().product();
    let separator = match inner.len() {
        0 => ", ".to_owned(),
        levels => {
            format!(",{}{}", "\n".repeat(levels), " ".repeat("tensor(".len() + array.shape.len() - levels))
        }
    };
    *text += "[";
    let mut skipped = false;
    for index in 0..*length {
        let is_shown = whole || *length <= 2 * EDGE || index < EDGE || index + EDGE >= *length;
        if !is_shown && skipped {
            continue;
        }
        if index > 0 {
            *text += &separator;
        }
        if is_shown {
            write_level(array, inner, start + index * stride, whole, text);
        } else {
            *text += "...";
            skipped = true;
        }
    }
    *text += "]";
}

fn value(array: &Array, place: usize) -> String {
    let size = array.element.size();
    let memory = array.memory.slice(place * size..(place + 1) * size);
    let one = Array::new(memory, Vec::new(), array.element);
    match array.element {
        Element::Bool => (if one.memory[0] != 0 { "True" } else { "False" }).to_owned(),
        element if element.is_float() => {
            let number = one.numbers()[0];
            if number.fract() == 0.0 && number.abs() < 1e6 {
                format!("{number:.0}.")
            } else if number != 0.0 && !(1e-4..1e6).contains(&number.abs()) {
                format!("{number:.4e}")
            } else {
                format!("{number:.4}")
            }
        }
        _ => one.integers()[0].to_string(),
    }
}
