//! Chat templates: how a language model's tokenizer writes a conversation as one text (transformers' `apply_chat_template`).

use std::io;

use minijinja::{Environment, ErrorKind, Value as JinjaValue};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value};

use super::strftime_now::strftime_now;
use crate::error::{Error, Result};
use crate::loading::folder::Folder;

const FILE: &str = "chat_template.jinja";
const OLD_FILE: &str = "chat_template.json";
const FIELD: &str = "chat_template";

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// Who says it: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: ChatContent,
}

/// What a message says, in the form that a template expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ChatContent {
    /// As a text.
    Text(String),
    /// As parts, of which each says what it is.
    Parts(Vec<ChatPart>),
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChatPart {
    /// A text.
    Text {
        /// The text itself.
        text: String,
    },
}

impl<T: Into<String>> From<T> for ChatContent {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl ChatMessage {
    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".into(), content: ChatContent::Text(content.into()) }
    }

    /// A message of this role with a text as its only part.
    pub fn of_parts(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: ChatContent::Parts(vec![ChatPart::Text { text: text.into() }]) }
    }
}

/// What a template is told besides the conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChatOptions {
    /// Whether the text ends with the beginning of the assistant's message.
    pub add_generation_prompt: bool,
    /// Whether the assistant thinks before it answers, if the template knows of that.
    pub enable_thinking: Option<bool>,
}

/// A template in the language Jinja, as the checkpoint has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatTemplate {
    text: String,
    origin: String,
}

impl ChatTemplate {
    /// The template of a tokenizer's folder: in a file of its own, or in the tokenizer's configuration.
    ///
    /// # Errors
    /// When a file is damaged, or the field holds something other than templates.
    pub fn read(folder: &Folder, config: &Map<String, Value>) -> Result<Option<Self>> {
        let origin = |file: &str| folder.locate(file).display().to_string();
        if folder.has(FILE) {
            let bytes = folder.read(FILE, "chat template")?;
            let text = String::from_utf8(bytes.to_vec())
                .map_err(|error| Error::Tokenizer { origin: origin(FILE), message: error.to_string() })?;
            return Ok(Some(Self { text, origin: origin(FILE) }));
        }
        let (stored, file) = if folder.has(OLD_FILE) {
            let bytes = folder.read(OLD_FILE, "chat template")?;
            let stored: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
                Error::Tokenizer { origin: origin(OLD_FILE), message: format!("not a JSON object: {error}") }
            })?;
            (stored.get(FIELD).cloned(), OLD_FILE)
        } else {
            (config.get(FIELD).cloned(), "tokenizer_config.json")
        };
        let named = |template: &Value| {
            let is_default = template.get("name").is_some_and(|name| name == "default");
            is_default.then(|| template.get("template")?.as_str().map(str::to_owned)).flatten()
        };
        let text = match stored {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => Some(text),
            // Several templates by name.
            Some(Value::Array(templates)) => templates.iter().find_map(named),
            Some(_) => None,
        };
        let text = text.ok_or_else(|| {
            let message = "must be a template, or a list of templates of which one has the name `default`";
            Error::config(origin(file), FIELD, message)
        })?;
        Ok(Some(Self { text, origin: origin(file) }))
    }

    /// The template of a tokenizer of this class.
    ///
    /// # Errors
    /// When there is none.
    pub fn required<'a>(template: Option<&'a Self>, class_name: &str) -> Result<&'a Self> {
        template.ok_or_else(|| Error::Tokenizer {
            origin: class_name.into(),
            message: format!(
                "there is no chat template, neither in `{FILE}` nor in the `{FIELD}` of `tokenizer_config.json`"
            ),
        })
    }

    /// The template itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes a conversation as text; `special_tokens` are those of the tokenizer, by name.
    ///
    /// # Errors
    /// When the template is damaged, asks for something that is not supported, or refuses the conversation.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        options: ChatOptions,
        special_tokens: &Map<String, Value>,
    ) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_function(
            "strftime_now",
            |format: String| -> std::result::Result<String, minijinja::Error> {
                strftime_now(&format)
                    .map_err(|message| minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_filter("tojson", python_json);
        let mut variables = special_tokens.clone();
        let messages = serde_json::to_value(messages).expect("texts can be written as JSON");
        variables.insert("messages".into(), messages);
        variables.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        variables.insert("tools".into(), Value::Null);
        variables.insert("documents".into(), Value::Null);
        if let Some(enable_thinking) = options.enable_thinking {
            variables.insert("enable_thinking".into(), enable_thinking.into());
        }
        environment.render_str(&self.text, variables).map_err(|error| Error::Tokenizer {
            origin: self.origin.clone(),
            message: format!("the chat template cannot be used: {error}"),
        })
    }
}

/// JSON as Python's `json.dumps` writes it, with spaces after commas and colons.
fn python_json(value: &JinjaValue) -> std::result::Result<String, minijinja::Error> {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, WithSpaces))
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(String::from_utf8(text).expect("JSON is text"))
}

struct WithSpaces;

impl Formatter for WithSpaces {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has what the templates of Qwen use: loops backwards, namespaces, and Python's methods of strings.
    const TEMPLATE: &str = r#"{%- if tools %}
    {{- 'tools' }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and message.content is string and not message.content.startswith('<reply>') %}
        {%- set ns.last = index %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {{- '<' + message.role + '>' + message.content.split('|')[-1].lstrip('\n') + eos_token + '\n' }}
{%- endfor %}
{{- ns.last }}
{%- if add_generation_prompt %}
    {{- '<assistant>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<no thoughts>' }}
    {%- endif %}
{%- endif %}
"#;

    fn template(text: &str) -> ChatTemplate {
        ChatTemplate { text: text.to_owned(), origin: "chat_template.jinja".into() }
    }

    fn tokens() -> Map<String, Value> {
        Map::from_iter([("eos_token".to_owned(), Value::from("<end>"))])
    }

    #[test]
    fn a_conversation_is_written_as_the_template_says() {
        let messages = [
            ChatMessage::user("a {{ b }} & <c>|\n\"d\" 中"),
            ChatMessage { role: "assistant".into(), content: "e".into() },
            ChatMessage::user("<reply>"),
        ];
        let options = ChatOptions { add_generation_prompt: true, enable_thinking: Some(false) };
        let text = template(TEMPLATE).render(&messages, options, &tokens()).unwrap();
        let expected =
            "<user>\"d\" 中<end>\n<assistant>e<end>\n<user><reply><end>\n0<assistant><no thoughts>";
        assert_eq!(text, expected);
        let options = ChatOptions { enable_thinking: Some(true), ..options };
        let text = template(TEMPLATE).render(&messages, options, &tokens()).unwrap();
        assert_eq!(text, expected.strip_suffix("<no thoughts>").unwrap());
        let text = template(TEMPLATE).render(&messages[..1], ChatOptions::default(), &tokens()).unwrap();
        assert_eq!(text, "<user>\"d\" 中<end>\n0");
    }

    #[test]
    fn the_json_of_a_template_is_that_of_python() {
        let messages = [ChatMessage::user("<a> & 'b' 中")];
        for (text, json) in [
            ("{{ messages[0].content | tojson }}", r#""<a> & 'b' 中""#),
            ("{{ [1, messages[0].role, none] | tojson }}", r#"[1, "user", null]"#),
            ("{{ messages | tojson }}", r#"[{"role": "user", "content": "<a> & 'b' 中"}]"#),
        ] {
            let text = template(text).render(&messages, ChatOptions::default(), &Map::new()).unwrap();
            assert_eq!(text, json);
        }
    }

    #[test]
    fn what_a_template_refuses_is_an_error() {
        for (text, words) in [
            ("{{ raise_exception('no system message') }}", "no system message"),
            ("{% if %}", "chat template"),
            ("{{ messages[0].content.frobnicate() }}", "frobnicate"),
        ] {
            let messages = [ChatMessage::user("a")];
            let error = template(text).render(&messages, ChatOptions::default(), &Map::new()).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("chat_template.jinja") && message.contains(words), "{message}");
        }
    }
}
