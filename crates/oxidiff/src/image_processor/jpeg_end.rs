//! Whether a JPEG file is complete: the decoder silently fills missing parts with grey.

/// Markers of JPEG (ITU-T T.81, table B.1) that stand alone.
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const TEMPORARY: u8 = 0x01;
const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;

/// Whether the file contains the marker that ends the image. Thumbnails inside segments do not count.
pub(super) fn reaches_end(file: &[u8]) -> bool {
    let mut rest = file;
    // Segment by segment: a marker and, for most markers, the length of a body and the body.
    while let Some(start) = rest.iter().position(|byte| *byte == 0xff) {
        rest = &rest[start + 1..];
        // Any number of 0xff bytes may pad a marker.
        let Some(code) = rest.iter().position(|byte| *byte != 0xff) else { return false };
        let marker = rest[code];
        rest = &rest[code + 1..];
        match marker {
            END_OF_IMAGE => return true,
            START_OF_IMAGE | TEMPORARY => {}
            marker if RESTARTS.contains(&marker) => {}
            // A byte of the compressed data that happens to be 0xff.
            0 => {}
            _ => {
                let Some((&[high, low], _)) = rest.split_first_chunk() else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(after) = rest.get(length..) else { return false };
                rest = after;
            }
        }
    }
    false
}
