//! The outline of CBOR (RFC 8949, section 3), looked at before anything is decoded.
//!
//! A decoder skips what it does not know, and skipping items of unknown length inside each other
//! takes memory for each level. So only items of known length are read: what we write has no others
//! (RFC 8949, section 4.2.1). Invariant: nothing is allocated, and each byte is looked at once at
//! most.

/// Where the one item that `bytes` begin with ends.
///
/// # Errors The place of the head that is cut off, reserved, of unknown length, or claims more than
/// there is.
pub(super) fn end_of_item(bytes: &[u8]) -> Result<usize, usize> {
    let (mut at, mut open) = (0_usize, 1_u64);
    while open > 0 {
        let (major, argument, head) = head(&bytes[at..]).ok_or(at)?;
        let start = at;
        at += head;
        let left = (bytes.len() - at) as u64;
        open -= 1;
        match major {
            Major::Number => {}
            Major::Bytes if argument <= left => at += argument as usize,
            Major::Bytes => return Err(start),
            Major::Array => open = open.saturating_add(argument),
            Major::Map => open = open.saturating_add(argument.saturating_mul(2)),
            Major::Tag => open += 1,
        }
        // Every item has at least one byte.
        if open > (bytes.len() - at) as u64 {
            return Err(start);
        }
    }
    Ok(at)
}

enum Major {
    /// Integers, simple values and floats: nothing follows the head.
    Number,
    /// Byte and text strings.
    Bytes,
    Array,
    Map,
    Tag,
}

/// Kind, argument and length of the head that `bytes` begin with.
fn head(bytes: &[u8]) -> Option<(Major, u64, usize)> {
    let (first, rest) = bytes.split_first()?;
    let info = first & 0x1f;
    let width = match info {
        0..=23 => 0,
        24..=27 => 1 << (info - 24),
        // Reserved, and of unknown length.
        _ => return None,
    };
    let number = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
    let argument = match width {
        0 => u64::from(info),
        _ => rest.get(..width)?.iter().fold(0, number),
    };
    let major = match first >> 5 {
        2 | 3 => Major::Bytes,
        4 => Major::Array,
        5 => Major::Map,
        6 => Major::Tag,
        _ => Major::Number,
    };
    Some((major, argument, 1 + width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_ends_behind_all_that_it_holds() {
        assert_eq!(end_of_item(&[0x17]), Ok(1));
        assert_eq!(end_of_item(&[0x82, 0x41, 7, 0xa1, 0, 0x61, b'x', 9]), Ok(7));
        assert_eq!(end_of_item(&[0xc1, 0x19, 1, 2]), Ok(4));
        assert_eq!(end_of_item(&[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(9));
    }

    #[test]
    fn a_claim_beyond_the_bytes_is_refused_where_it_is_made() {
        let claims: [&[u8]; 5] = [
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            &[0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x62, b'x'],
            &[0xc1],
        ];
        for claim in claims {
            assert_eq!(end_of_item(claim), Err(0), "{claim:x?}");
        }
        assert_eq!(end_of_item(&[0x81, 0x19, 1]), Err(1));
        assert_eq!(end_of_item(&[]), Err(0));
    }

    #[test]
    fn items_of_unknown_length_are_not_read() {
        for open in [&[0x9f, 0xff], &[0xbf, 0xff], &[0x5f, 0xff], &[0x7f, 0xff], &[0x1c, 0]] {
            assert_eq!(end_of_item(open), Err(0));
        }
    }
}
