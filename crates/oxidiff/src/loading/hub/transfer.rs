//! Downloads that can be resumed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use super::client::Client;
use super::failure::Failure;
use super::redirect::header;

/// A file that is being downloaded.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    pub(super) len: u64,
    /// The checksum of the file so far, if that of the whole file is known.
    sha256: Option<Sha256>,
}

impl Part {
    pub(super) fn open(path: PathBuf, mut sha256: Option<Sha256>) -> Result<Self, Failure> {
        let mut file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(Failure::local(&path))?;
        let len = match &mut sha256 {
            Some(sha256) => io::copy(&mut file, sha256).map_err(Failure::local(&path))?,
            None => file.metadata().map_err(Failure::local(&path))?.len(),
        };
        Ok(Self { path, file, len, sha256 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(Failure::local(&self.path))?;
        self.len += bytes.len() as u64;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        Ok(())
    }

    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(Failure::local(&self.path))?;
        self.len = 0;
        self.sha256 = self.sha256.as_ref().map(|_| Sha256::new());
        Ok(())
    }

    pub(super) fn is_damaged(&self, etag: &str) -> bool {
        let actual = self.sha256.clone().map(|sha256| format!("{:x}", sha256.finalize()));
        actual.is_some_and(|actual| !actual.eq_ignore_ascii_case(etag))
    }

    pub(super) fn persist(self, blob: &Path) -> Result<(), Failure> {
        self.file.sync_all().map_err(Failure::local(&self.path))?;
        fs::rename(&self.path, blob).map_err(Failure::local(blob))
    }
}

/// Downloads the missing part of a file; afterwards its length is right.
pub(super) fn transfer(
    client: &Client,
    url: &str,
    part: &mut Part,
    size: &mut Option<u64>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    if size.is_some_and(|size| part.len > size) {
        part.restart()?;
    }
    if *size == Some(part.len) {
        return Ok(());
    }

    let answer = client.content(url, (part.len > 0).then_some(part.len))?;
    let headers = answer.response.headers();
    let announced = match answer.response.status() {
        // The whole file, although only the rest may have been requested.
        StatusCode::OK => {
            part.restart()?;
            header(headers, "content-length").and_then(|length| length.parse().ok())
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = header(headers, "content-range").and_then(|range| range.strip_prefix("bytes "));
            let (range, total) = range.and_then(|range| range.split_once('/')).unwrap_or_default();
            if range.split('-').next().and_then(|from| from.parse().ok()) != Some(part.len) {
                part.restart()?;
                return Err(Failure::Broken("the server did not send the missing part of the file".into()));
            }
            total.parse().ok()
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            part.restart()?;
            return Err(Failure::Broken("the file is shorter than its downloaded part".into()));
        }
        _ => return Err(answer.failure()),
    };
    let Some(total) = size.or(announced) else {
        return Err(Failure::Unusable(format!("{url} does not say how long the file is")));
    };
    *size = Some(total);

    bar.set_length(total);
    bar.set_position(part.len);
    let mut body = answer.response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(client.broken_content(error)),
        };
        part.append(&buffer[..count])?;
        bar.set_position(part.len);
        if part.len > total {
            part.restart()?;
            return Err(Failure::Broken(format!("more than the announced {total} bytes arrived")));
        }
    }
    if part.len < total {
        return Err(Failure::Broken(format!("{} of {total} bytes arrived", part.len)));
    }
    Ok(())
}

pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100 << failures.min(6))
}
