//! Where a redirect leads, and what may be sent there.

use ureq::http::{HeaderMap, StatusCode, Uri};

use super::failure::Failure;

/// The limit of `huggingface_hub`.
pub(super) const MAX_REDIRECTS: usize = 20;

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The address to which the answer to a request for `from` redirects, if it does.
pub(super) fn next_address(
    from: &Uri,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Uri>, Failure> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get("location").map(|location| ascii(location.as_bytes())).unwrap_or_default();
    if location.is_empty() {
        let message = format!("{} redirects (status {}) without saying where to", without_query(from), {
            status.as_u16()
        });
        return Err(Failure::Unusable(message));
    }
    join(from, &location).map(Some).ok_or_else(|| {
        // What follows may be a signature.
        let location = location.split('?').next().unwrap_or_default();
        Failure::Unusable(format!(
            "{} redirects to `{location}`, which is not a web address",
            without_query(from)
        ))
    })
}

/// Whether the hub's redirect to other storage already describes the file, which the storage cannot do.
///
/// A plain entity tag may belong to the redirect itself, unless the answer also names the file's commit.
pub(super) fn describes_file(headers: &HeaderMap) -> bool {
    let has = |name| header(headers, name).is_some_and(|value| !value.is_empty());
    has("x-linked-etag") || (has("etag") && has("x-repo-commit"))
}

/// An HTTP or HTTPS address with a host.
pub(super) fn web_address(url: &str) -> Option<Uri> {
    let uri = url.parse::<Uri>().ok()?;
    (matches!(uri.scheme_str(), Some("http" | "https")) && names_server(&uri)).then_some(uri)
}

/// Whether an address has a host, and no invalid port: the parser treats such a port as none.
pub(super) fn names_server(uri: &Uri) -> bool {
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return false;
    };
    authority.port_u16().is_some() || authority.as_str().ends_with(authority.host())
}

/// The server of an address, without credentials.
pub(super) fn origin(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
}

/// An address without its secret parts.
pub(super) fn without_query(uri: &Uri) -> String {
    origin(uri) + uri.path()
}

pub(super) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

pub(super) fn is_same_origin(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && is_same_host(a, b) && port(a) == port(b)
}

/// Whether secrets for the hub at `endpoint` may be sent to `uri`: it must be the hub itself, possibly upgraded to HTTPS.
pub(super) fn is_trusted(uri: &Uri, endpoint: &Uri) -> bool {
    let is_upgrade = (endpoint.scheme_str(), port(endpoint)) == (Some("http"), 80)
        && (uri.scheme_str(), port(uri)) == (Some("https"), 443);
    is_same_origin(uri, endpoint) || (is_upgrade && is_same_host(uri, endpoint))
}

fn is_same_host(a: &Uri, b: &Uri) -> bool {
    a.host().unwrap_or_default().eq_ignore_ascii_case(b.host().unwrap_or_default())
}

/// The value of a header with characters that are not allowed in addresses encoded: servers send file names verbatim.
fn ascii(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes.trim_ascii() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            text.push(byte.into());
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Resolves a reference as RFC 3986 does in section 5.2.
fn join(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    if has_scheme(location) {
        return web_address(location);
    }
    let scheme = base.scheme_str()?;
    if location.starts_with("//") {
        return web_address(&format!("{scheme}:{location}"));
    }
    let (path, query) = location.split_at(location.find('?').unwrap_or(location.len()));
    let path = match path {
        "" => base.path().to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{path}")
        }
    };
    web_address(&format!("{scheme}://{}{}{query}", base.authority()?, without_dots(&path)))
}

fn has_scheme(location: &str) -> bool {
    location.split(['/', '?']).next().is_some_and(|start| start.contains(':'))
}

/// A path without its `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn redirect(location: &[u8]) -> Result<Option<Uri>, Failure> {
        let headers = HeaderMap::from_iter([("location".parse().unwrap(), location.try_into().unwrap())]);
        next_address(&uri("http://hub:8080/a/b/c?d=e"), StatusCode::TEMPORARY_REDIRECT, &headers)
    }

    #[test]
    fn locations_are_resolved_against_the_requested_address() {
        for (location, expected) in [
            (&b"https://other/x?y=z#part"[..], "https://other/x?y=z"),
            (b"//other:1/x", "http://other:1/x"),
            (b"/x/./y/../z", "http://hub:8080/x/z"),
            (b"x?y=http://z", "http://hub:8080/a/b/x?y=http://z"),
            (b"../../../x/..", "http://hub:8080/"),
            (b"?x", "http://hub:8080/a/b/c?x"),
            ("/gr\u{fc}n und |blau".as_bytes(), "http://hub:8080/gr%C3%BCn%20und%20%7Cblau"),
        ] {
            assert_eq!(redirect(location).unwrap().unwrap(), uri(expected));
        }
    }

    #[test]
    fn only_a_redirect_has_a_next_address() {
        let headers = HeaderMap::from_iter([("location".parse().unwrap(), "/x".parse().unwrap())]);
        for (status, redirects) in [
            (200, false),
            (300, false),
            (301, true),
            (302, true),
            (303, true),
            (304, false),
            (307, true),
            (308, true),
        ] {
            let next = next_address(&uri("http://hub/"), StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!(next.unwrap().is_some(), redirects, "{status}");
        }
    }

    #[test]
    fn unusable_addresses_are_named() {
        for location in [
            "ftp://hub/x",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://",
            "https:///x",
            "http://hub:99999/",
            "//",
        ] {
            let error = redirect(location.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("http://hub:8080/a/b/c redirects to"), "{error}");
            assert!(error.contains(&format!("`{location}`")), "{error}");
        }
        let error = redirect(b" ").unwrap_err().to_string();
        assert!(error.contains("307") && error.contains("without saying where"), "{error}");
    }

    #[test]
    fn only_the_hub_itself_is_trusted() {
        for (address, endpoint, trusted) in [
            ("http://hub/x", "http://hub", true),
            ("http://HUB:80/x", "http://hub", true),
            ("https://hub/x", "http://hub", true),
            ("https://hub:443/x", "http://hub:80", true),
            ("http://hub/x", "https://hub", false),
            ("https://hub/x", "http://hub:8080", false),
            ("https://hub:8443/x", "http://hub", false),
            ("http://hub:81/x", "http://hub", false),
            ("http://hub.evil/x", "http://hub", false),
            ("http://hub@evil/x", "http://hub", false),
            ("http://evil.hub/x", "http://hub", false),
        ] {
            assert_eq!(is_trusted(&uri(address), &uri(endpoint)), trusted, "{address} of {endpoint}");
        }
    }
}
