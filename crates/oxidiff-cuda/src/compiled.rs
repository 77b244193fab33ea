//! The compiled kernels, which are part of this crate's library.
//!
//! `kernels/compile.py` makes them and describes the format.

use std::io::Read;

/// The kernels for one kind of card.
pub struct Kernels {
    modules: Vec<(String, Vec<u8>)>,
}

/// The archive for a compute capability: code for the card itself, or PTX that the driver compiles.
fn archive(capability: (u32, u32)) -> Option<&'static [u8]> {
    macro_rules! of {
        ($architecture:literal) => {
            include_bytes!(concat!("../compiled/", $architecture, ".zst")).as_slice()
        };
    }
    match capability {
        (9, 0) => Some(of!("sm_90a")),
        (8, 9) => Some(of!("sm_89")),
        (8, 6 | 7) => Some(of!("sm_86")),
        (8, 0) => Some(of!("sm_80")),
        (8.., _) => Some(of!("compute_80")),
        _ => None,
    }
}

/// Takes `count` bytes from the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, others) = rest.split_at_checked(count)?;
    *rest = others;
    Some(taken)
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
}

fn unpack(mut archive: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let rest = &mut archive;
    let count = take_number(rest)?;
    let mut modules = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, module) = (take_number(rest)?, take_number(rest)?);
        let name = String::from_utf8(take(rest, name)?.to_vec()).ok()?;
        modules.push((name, take(rest, module)?.to_vec()));
    }
    rest.is_empty().then_some(modules)
}

impl Kernels {
    /// The kernels for cards of a compute capability.
    ///
    /// # Errors
    /// When there are none, with the reason.
    pub fn for_capability(capability: (u32, u32)) -> Result<Self, String> {
        let (major, minor) = capability;
        let compressed = archive(capability).ok_or_else(|| {
            format!("its compute capability is {major}.{minor}, and the kernels need 8.0 (Ampere) or later")
        })?;
        let mut bytes = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(compressed)
            .map_err(|error| error.to_string())
            .and_then(|mut decoder| decoder.read_to_end(&mut bytes).map_err(|error| error.to_string()))
            .map_err(|error| format!("its kernels cannot be decompressed: {error}"))?;
        let modules = unpack(&bytes).ok_or("the archive of its kernels is damaged")?;
        Ok(Self { modules })
    }

    /// Names and contents of the modules: cubins, or PTX.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.modules.iter().map(|(name, module)| (name.as_str(), module.as_slice()))
    }

    /// The module `name`, which is called as its source file.
    #[cfg(test)]
    fn module(&self, name: &str) -> Option<&[u8]> {
        self.modules().find(|(other, _)| *other == name).map(|(_, module)| module)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use std::path::Path;

    use super::*;

    #[test]
    fn every_capability_from_8_0_on_has_kernels() {
        for capability in [(8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (10, 0), (12, 1)] {
            let kernels = Kernels::for_capability(capability).expect("kernels");
            assert!(kernels.modules().count() > 3, "{capability:?}");
            let norm = kernels.module("norm").expect("group norm");
            let is_ptx = capability.0 > 9;
            assert_eq!(norm.starts_with(b"\x7fELF"), !is_ptx, "{capability:?}");
        }
        let error = Kernels::for_capability((7, 5)).err().expect("too old");
        assert!(error.contains("7.5") && error.contains("8.0"), "{error}");
    }

    #[test]
    fn damaged_archives_are_refused() {
        assert!(unpack(&[]).is_none());
        assert!(unpack(&[1, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, b'a']).is_none());
        assert_eq!(unpack(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'a', 7]), Some(vec![("a".into(), vec![7])]));
    }

    /// Whoever changes a kernel must run `kernels/compile.py`.
    #[test]
    fn the_compiled_kernels_are_those_of_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<String> = std::fs::read_dir(root.join("kernels"))
            .expect("the sources")
            .map(|entry| entry.expect("a file").file_name().into_string().expect("a plain name"))
            .filter(|name| name.ends_with(".cu") || name.ends_with(".cuh") || name == "compile.py")
            .collect();
        names.sort();
        let mut hash = Sha256::new();
        for name in names {
            let content = std::fs::read(root.join("kernels").join(&name)).expect("a source");
            hash.update(format!("{name} {}\n", content.len()));
            hash.update(content);
        }
        let computed: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let recorded = include_str!("../compiled/sources.sha256").trim();
        assert_eq!(computed, recorded, "the kernels changed: run kernels/compile.py");
    }
}
