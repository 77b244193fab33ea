//! The names of repositories, revisions and files.

use super::hub_error;
use crate::error::Result;

/// Checks the rules of the hub for names: `name` or `owner/name`.
pub(super) fn validate_repo_id(repo_id: &str) -> Result<()> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !name.starts_with(['-', '.'])
            && !name.ends_with(['-', '.'])
    };
    let valid = repo_id.len() <= 96
        && repo_id.split('/').count() <= 2
        && repo_id.split('/').all(is_name)
        && !repo_id.contains("--")
        && !repo_id.contains("..")
        && !repo_id.ends_with(".git");
    if valid {
        return Ok(());
    }
    Err(hub_error(
        repo_id,
        "neither a local folder nor the name of a repository, which is `name` or `owner/name` with letters, digits, `-`, \
         `_` and `.`"
            .to_owned(),
    ))
}

/// Whether a name from outside cannot leave the folder in which it is looked up.
pub(super) fn is_relative_path(path: &str) -> bool {
    !path.contains(['\\', ':', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
