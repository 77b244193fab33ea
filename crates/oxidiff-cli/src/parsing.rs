//! From the words of the command line to [`Arguments`].
//!
//! A value may begin with a minus sign (`--guidance-scale -3`, `--negative-prompt -ugly`). A word that begins with two is
//! always an option, and an unknown option is an error.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, CommandFactory, Error, FromArgMatches};

use crate::arguments::{self, Arguments};
use crate::{keywords, train};

/// Reads the command line.
///
/// # Errors
/// When an argument is wrong. Clap also reports `--help` and `--version` as errors.
pub(crate) fn parse(words: &[OsString]) -> Result<Arguments, Error> {
    let words = &keywords::join_flags(&train::with_hyphens(words));
    train::refuse_flags(words, command)?;
    let strict = match command().try_get_matches_from(words) {
        Ok(matches) => return arguments_of(&matches),
        Err(error) => error,
    };
    if !is_about_one_hyphen(&strict) {
        return Err(strict);
    }
    let matches = values_may_begin_with_hyphens().try_get_matches_from(words)?;
    if takes_option_for_value(&matches) { Err(strict) } else { arguments_of(&matches) }
}

/// The commands and their options, also those of registered pipelines.
pub fn command() -> Command {
    keywords::add_to(Arguments::command())
}

fn arguments_of(matches: &ArgMatches) -> Result<Arguments, Error> {
    let mut arguments = Arguments::from_arg_matches(matches)?;
    if let (arguments::Command::Generate(generate), Some((_, matches))) =
        (&mut arguments.command, matches.subcommand())
    {
        generate.keywords = keywords::values(matches);
    }
    Ok(arguments)
}

/// Whether clap took a word with one hyphen, such as `-3`, for an option.
fn is_about_one_hyphen(error: &Error) -> bool {
    let word = error.get(ContextKind::InvalidArg);
    error.kind() == ErrorKind::UnknownArgument
        && matches!(word, Some(ContextValue::String(word)) if !word.starts_with("--"))
}

fn values_may_begin_with_hyphens() -> Command {
    fn allow(command: Command) -> Command {
        let command = command.mut_args(|argument| {
            let takes_value = argument.get_action().takes_values();
            argument.allow_hyphen_values(takes_value)
        });
        command.mut_subcommands(allow)
    }
    command().mut_subcommands(allow)
}

fn takes_option_for_value(matches: &ArgMatches) -> bool {
    let Some((_, arguments)) = matches.subcommand() else { return false };
    let here = arguments.ids().any(|id| {
        let words = arguments.try_get_raw(id.as_str()).ok().flatten();
        words.into_iter().flatten().any(|word| word.as_encoded_bytes().starts_with(b"--"))
    });
    here || takes_option_for_value(arguments)
}
