//! Image files of several formats, compared with Pillow, and truncated files.

use std::fs;
use std::path::PathBuf;

use oxidiff::{Error, load_image};
use safetensors::SafeTensors;

use crate::fixture::fixtures;

fn folder() -> PathBuf {
    fixtures().join("image_formats")
}

/// Kinds of TIFF that the decoder refuses.
const UNREAD: [&str; 2] = ["gray_alpha.tiff", "palette.tiff"];

#[test]
fn pictures_are_those_of_pillow() {
    let contents = fs::read(folder().join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&contents).unwrap();
    let mut wrong = Vec::new();
    for (name, pixels) in expected.iter() {
        if UNREAD.contains(&name) {
            let error = load_image(folder().join(name)).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            continue;
        }
        // Pillow clips values of 16 bits and floats instead of scaling them.
        if ["gray16.tiff", "float.tiff"].contains(&name) {
            continue;
        }
        let image = match load_image(folder().join(name)) {
            Ok(image) => image.to_rgb8(),
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        assert_eq!([image.height() as usize, image.width() as usize, 3], pixels.shape(), "{name}");
        let distance = image.as_raw().iter().zip(pixels.data()).map(|(ours, theirs)| ours.abs_diff(*theirs));
        // JPEG does not specify the rounding, nor how colour is upsampled.
        let allowed = if name.ends_with(".jpg") { 6 } else { 0 };
        let distance = distance.max().unwrap();
        if distance > allowed {
            wrong.push(format!("{name}: {distance}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn files_that_are_cut_short_are_refused() {
    let sandbox = tempfile::tempdir().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "expected.safetensors");
    names.sort();
    let mut accepted = Vec::new();
    for name in names {
        let whole = fs::read(folder().join(&name)).unwrap();
        let file = sandbox.path().join(&name);
        for per_mille in [100, 300, 500, 800, 950, 990, 999] {
            let kept = (whole.len() * per_mille / 1000).min(whole.len() - 2);
            // Only the first picture of a GIF is needed, and it may end before the file does.
            let last = if name == "moving.gif" { 300 } else { 990 };
            if name.to_string_lossy().ends_with(".gif") && per_mille > last {
                continue;
            }
            fs::write(&file, &whole[..kept]).unwrap();
            match load_image(&file) {
                Ok(_) => accepted.push(format!("{name:?} {per_mille}")),
                Err(error) => assert!(error.to_string().contains(name.to_str().unwrap()), "{error}"),
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn other_files_say_what_they_are() {
    let sandbox = tempfile::tempdir().unwrap();
    let file = sandbox.path().join("picture.png");
    for (contents, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"[..], "git lfs pull"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"", "empty"),
    ] {
        fs::write(&file, contents).unwrap();
        let error = load_image(&file).unwrap_err();
        assert!(matches!(error, Error::WrongKind { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("picture.png") && message.contains(words), "{message}");
    }
    let error = load_image(sandbox.path()).unwrap_err().to_string();
    assert_eq!(error.matches("os error").count(), 1, "{error}");
}
