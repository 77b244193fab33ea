//! Why a request or a download did not succeed.

use std::io;
use std::path::{Path, PathBuf};

use ureq::http::{HeaderMap, StatusCode, Uri};

use super::redirect::{header, origin};

/// Why a request or a download did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A server refused.
    #[error("{server} answered with status {code} {message}")]
    Status {
        server: String,
        code: u16,
        reason: String,
        message: String,
        /// Whether the access token was sent to the server.
        token_sent: bool,
    },
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// Nothing arrived for too long.
    #[error("{0}")]
    Silent(String),
    /// There was no connection.
    #[error("{0}")]
    Unreachable(String),
    /// The request or the answer is invalid; asking again would not help.
    #[error("{0}")]
    Unusable(String),
    #[error("checksum mismatch")]
    Damaged,
    #[error("{}: {source}", path.display())]
    Local { path: PathBuf, source: io::Error },
}

impl Failure {
    /// The refusal of the server of `uri`.
    pub(super) fn status(uri: &Uri, status: StatusCode, headers: &HeaderMap, token_sent: bool) -> Self {
        let text = |name| header(headers, name).unwrap_or_default().to_owned();
        Self::Status {
            server: origin(uri),
            code: status.as_u16(),
            reason: text("x-error-code"),
            message: text("x-error-message"),
            token_sent,
        }
    }

    pub(super) fn local(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Local { path, source }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Silent(_) => true,
            Self::Status { code, .. } => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}
