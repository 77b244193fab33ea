//! What the registry says about arguments, for signatures, documentation and stubs.

use oxidiff::{ArgumentInfo, ArgumentKind};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

/// Each argument as a dictionary of its name, its help, its annotation and its default.
pub fn describe(py: Python<'_>, arguments: &[ArgumentInfo]) -> PyResult<Vec<Py<PyDict>>> {
    let describe = |info: &ArgumentInfo| {
        let described = PyDict::new(py);
        described.set_item("name", info.name)?;
        described.set_item("help", help(info.help))?;
        described.set_item("annotation", annotation(info.kind))?;
        described.set_item("default", scalar(py, &(info.default)())?)?;
        Ok(described.unbind())
    };
    arguments.iter().map(describe).collect()
}

/// Without what only Rust's documentation shows.
fn help(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, link)) = rest.split_once("](") {
        let (_, after) = link.split_once(')').unwrap_or(("", link));
        plain += &before.replacen('[', "", 1);
        rest = after;
    }
    plain + rest
}

fn annotation(kind: ArgumentKind) -> &'static str {
    match kind {
        ArgumentKind::Flag => "bool",
        ArgumentKind::Integer => "int",
        ArgumentKind::Number => "float",
        ArgumentKind::Text => "str",
        ArgumentKind::Texts => "str | list[str]",
        ArgumentKind::Integers => "int | Sequence[int] | ArrayLike",
        ArgumentKind::Numbers => "float | Sequence[float] | ArrayLike",
        ArgumentKind::Images => "ImageInput",
        ArgumentKind::Tensor(_) => "ArrayLike",
        ArgumentKind::Generator => "GeneratorLike | list[GeneratorLike]",
        ArgumentKind::OutputType => "Literal[\"pil\", \"np\", \"pt\", \"latent\"]",
        ArgumentKind::Function => "StepCallback",
        _ => "Any",
    }
}

fn scalar(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any().unbind(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into_pyobject(py)?.into_any().unbind(),
            None => number.as_f64().into_pyobject(py)?.unbind(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any().unbind(),
        Value::Array(items) => {
            let items = items.iter().map(|item| scalar(py, item)).collect::<PyResult<Vec<_>>>()?;
            pyo3::types::PyTuple::new(py, items)?.into_any().unbind()
        }
        Value::Null | Value::Object(_) => py.None(),
    })
}
