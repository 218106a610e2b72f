//! Buffers that are to be read into: longer by zeros.

/// What is appended at a time.
static ZEROS: [u8; 1 << 14] = [0; 1 << 14];

/// Makes a buffer that long: what is too much goes, what is missing are zeros.
///
/// The same as [`Vec::resize`], for two reasons by hand: a new buffer is zeroed by the system, page by
/// page as it is used, and builds without optimisation append blocks, not bytes one by one (which was
/// four fifths of the time of the tests).
pub(super) fn resize_zeroed(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() == 0 {
        *bytes = vec![0; length];
        return;
    }
    bytes.truncate(length);
    bytes.reserve(length - bytes.len());
    while bytes.len() < length {
        bytes.extend_from_slice(&ZEROS[..ZEROS.len().min(length - bytes.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_resize() {
        for known in [0, 1, 7, ZEROS.len()] {
            for length in [0, 1, 7, ZEROS.len() - 1, ZEROS.len(), 3 * ZEROS.len() + 5] {
                let (mut ours, mut expected) = (vec![b'x'; known], vec![b'x'; known]);
                resize_zeroed(&mut ours, length);
                expected.resize(length, 0);
                assert_eq!(ours, expected, "{known} to {length}");
            }
        }
    }
}
