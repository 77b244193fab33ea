//! The hosts that are reached without a proxy.

use std::net::IpAddr;

use ureq::http::Uri;

use super::redirect::port;

/// The list in `NO_PROXY`.
#[derive(Debug, Default)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    hosts: Hosts,
    /// Any port if absent.
    port: Option<u16>,
}

#[derive(Debug)]
enum Hosts {
    All,
    /// A name and all its subdomains.
    Domain(String),
    /// The addresses that share their first bits with this one.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Reads entries separated by commas or blanks.
    pub(super) fn new(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        Self(entries.map(Entry::new).collect())
    }

    pub(super) fn contains(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        self.0
            .iter()
            .any(|entry| entry.port.is_none_or(|only| only == port(uri)) && entry.hosts.contains(&host))
    }
}

impl Entry {
    fn new(entry: &str) -> Self {
        if let Some((address, bits)) = entry.split_once('/')
            && let (Some(address), Ok(bits)) = (ip_address(address), bits.parse())
        {
            return Self { hosts: Hosts::Network(address, bits), port: None };
        }
        // The colons of an address do not separate a port.
        if let Some(address) = ip_address(entry) {
            return Self { hosts: Hosts::Network(address, u32::MAX), port: None };
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            _ => (entry, None),
        };
        let hosts = match ip_address(host) {
            Some(address) => Hosts::Network(address, u32::MAX),
            None if host == "*" => Hosts::All,
            None => {
                let name = host.trim_start_matches('*').trim_matches('.');
                Hosts::Domain(name.to_ascii_lowercase())
            }
        };
        Self { hosts, port }
    }
}

impl Hosts {
    fn contains(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Domain(name) => {
                !name.is_empty()
                    && ip_address(host).is_none()
                    && host
                        .strip_suffix(name.as_str())
                        .is_some_and(|start| start.is_empty() || start.ends_with('.'))
            }
            Self::Network(network, bits) => match (network, ip_address(host)) {
                (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
                    (network.to_bits() ^ address.to_bits()).leading_zeros() >= (*bits).min(32)
                }
                (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
                    (network.to_bits() ^ address.to_bits()).leading_zeros() >= (*bits).min(128)
                }
                _ => false,
            },
        }
    }
}

/// An address, plain or in brackets as in a URL.
fn ip_address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_listed(list: &str, url: &str) -> bool {
        NoProxy::new(list).contains(&url.parse().unwrap())
    }

    #[test]
    fn names_list_themselves_and_their_subdomains() {
        for entry in ["example.com", ".example.com", "*.example.com", "EXAMPLE.com.", "a, example.com ,b"] {
            for (url, listed) in [
                ("https://example.com/x", true),
                ("http://hub.Example.com:8080/x", true),
                ("https://myexample.com/x", false),
                ("https://example.com.evil/x", false),
                ("https://com/x", false),
            ] {
                assert_eq!(is_listed(entry, url), listed, "{entry} {url}");
            }
        }
        assert!(is_listed("*", "http://anything"));
        assert!(!is_listed(" , .", "http://anything"));
    }

    #[test]
    fn a_port_lists_only_itself() {
        for (list, url, listed) in [
            ("hub:8080", "http://hub:8080", true),
            ("hub:8080", "http://hub", false),
            ("hub:443", "https://hub", true),
            ("127.0.0.1:80", "http://127.0.0.1", true),
            ("[::1]:80", "http://[::1]", true),
            ("[::1]:80", "http://[::1]:81", false),
        ] {
            assert_eq!(is_listed(list, url), listed, "{list} {url}");
        }
    }

    #[test]
    fn addresses_list_themselves_and_networks_their_addresses() {
        for (list, url, listed) in [
            ("127.0.0.1", "http://127.0.0.1:9", true),
            ("0.0.1", "http://127.0.0.1", false),
            ("127.0.0.1", "http://127.0.0.10", false),
            ("::1", "http://[::1]", true),
            ("10.0.0.0/8", "http://10.20.30.40", true),
            ("10.0.0.0/8", "http://11.20.30.40", false),
            ("10.0.0.0/8", "http://hub", false),
            ("0.0.0.0/0", "http://1.2.3.4", true),
            ("fd00::/8", "http://[fd12::1]", true),
            ("fd00::/8", "http://[fe80::1]", false),
            ("fd00::/8", "http://10.0.0.1", false),
        ] {
            assert_eq!(is_listed(list, url), listed, "{list} {url}");
        }
    }
}
