//! Records as TFRecord files hold them: length, checksum of the length, contents, checksum of the contents.

/// Stored checksums are rotated and shifted by this, so that a record which holds records does not look like one.
const MASK: u32 = 0xa282_ead8;

/// A record with these contents.
pub(super) fn record(contents: &[u8]) -> Vec<u8> {
    let length = (contents.len() as u64).to_le_bytes();
    [&length[..], &masked_checksum(&length), contents, &masked_checksum(contents)].concat()
}

/// The CRC-32C of `bytes`, masked, in little-endian order.
pub(super) fn masked_checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK).to_le_bytes()
}
