//! Explanations of failed requests, and what may help.

use super::HubRepo;
use super::client::Client;
use super::failure::Failure;
use crate::error::Error;

impl HubRepo {
    /// Turns a failed request into an error that says what may help; `file` is the requested file, if it was not the list.
    pub(super) fn explain(&self, client: &Client, failure: Failure, file: Option<&str>) -> Error {
        let prefix = file.map(|file| format!("`{file}`: ")).unwrap_or_default();
        let message = match failure {
            Failure::Local { path, source } => return Error::Io { path, cause: source },
            Failure::Damaged => "the download does not have the announced checksum".to_owned(),
            Failure::Status { server, code, reason, message, token_sent } => match (code, reason.as_str()) {
                (404, "RevisionNotFound") => format!("there is no revision `{}`", self.revision),
                (404, "EntryNotFound") => format!("there is no such file at revision `{}`", self.revision),
                (404, _) if file.is_some() => {
                    format!("there is no such file at revision `{}`", self.revision)
                }
                (401 | 403 | 404, _) => {
                    let token = match (&client.token, token_sent) {
                        (Some(_), true) => "the access token that was sent does not give access".to_owned(),
                        (Some(_), false) => format!(
                            "the access token is for {}, which redirects there, so it was not sent; if the \
                             repository is private or gated, set HF_ENDPOINT to {server}",
                            client.endpoint
                        ),
                        (None, _) => {
                            "no access token was sent; set HF_TOKEN to one that may read it".to_owned()
                        }
                    };
                    format!(
                        "the repository does not exist, or it is private or gated ({code} from {server}): {token}"
                    )
                }
                _ => format!("{server} answered with status {code} {message}").trim_end().to_owned(),
            },
            Failure::Broken(why) | Failure::Silent(why) if file.is_some() => {
                format!("the download was interrupted: {why}. The next attempt will resume it")
            }
            Failure::Broken(why) | Failure::Silent(why) | Failure::Unreachable(why) => format!(
                "{} cannot be reached: {why}. Without a network, set HF_HUB_OFFLINE=1 to use the cache, or give a local \
                 folder instead of a name",
                client.endpoint
            ),
            Failure::Unusable(why) => why,
        };
        self.error(prefix + &message)
    }
}
