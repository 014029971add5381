//! Digits of bytes.

/// Lower-case hexadecimal digits, two a byte.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    #[expect(clippy::indexing_slicing, reason = "four bits are less than 16")]
    let letter = |digit: u8| char::from(DIGITS[usize::from(digit)]);
    digits.map(letter).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_keep_their_leading_zeros() {
        assert_eq!(super::to_hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }
}
