//! Whether a JPEG file is whole: the decoder fills what is missing with grey and says nothing.

/// The markers of JPEG (ITU-T T.81, table B.1) that stand alone, and that which ends the image.
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const TEMPORARY: u8 = 0x01;
const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;

/// Whether the file goes on to the marker that ends the image. A thumbnail inside a segment does not count.
pub(super) fn reaches_end(file: &[u8]) -> bool {
    let mut rest = file;
    // Segment by segment: a marker, mostly the length of what follows, and what follows.
    while let Some(start) = rest.iter().position(|byte| *byte == 0xff) {
        rest = &rest[start + 1..];
        // Any number of 0xff may fill up before a marker.
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
