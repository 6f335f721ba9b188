//! Byte ranges: `Range` of a blob's reader, `Content-Range` of a chunk's writer.

use std::ops::Range;

/// What a `Range` header asks of content of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requested {
    /// Everything: another unit than bytes, or several ranges at once, which a server may ignore
    /// (RFC 9110, 14.2).
    Whole,
    /// These bytes; never empty, always inside the content.
    Part(Range<u64>),
}

/// Why a range cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    #[error("the range is not of the form `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`")]
    Malformed,
    #[error("the range ends before it begins")]
    Reversed,
    #[error("the range begins after the end of the content")]
    Outside,
}

/// Reads a `Range` header for content of `size` bytes (RFC 9110, 14.1.2).
///
/// RFC 9110 lets a server ignore a malformed range; the conformance program of the OCI
/// distribution specification wants it refused (416), and so does a client whose arithmetic went
/// wrong.
pub fn requested(header: &str, size: u64) -> Result<Requested, InvalidRange> {
    let Some((unit, ranges)) = header.split_once('=') else {
        return Err(InvalidRange::Malformed);
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Ok(Requested::Whole);
    }
    let (first, last) = ranges
        .trim()
        .split_once('-')
        .ok_or(InvalidRange::Malformed)?;
    let part = match (first, last) {
        ("", length) => {
            let length = number(length).ok_or(InvalidRange::Malformed)?;
            size.saturating_sub(length)..size
        }
        (first, "") => number(first).ok_or(InvalidRange::Malformed)?..size,
        (first, last) => {
            let first = number(first).ok_or(InvalidRange::Malformed)?;
            let last = number(last).ok_or(InvalidRange::Malformed)?;
            if last < first {
                return Err(InvalidRange::Reversed);
            }
            first..size.min(last.saturating_add(1))
        }
    };
    if part.is_empty() {
        return Err(InvalidRange::Outside);
    }
    Ok(Requested::Part(part))
}

/// Reads the `Content-Range` of a chunk: `FIRST-LAST` as the distribution specification has it,
/// or `bytes FIRST-LAST/TOTAL` as HTTP has it.
pub fn chunk(header: &str) -> Result<Range<u64>, InvalidChunkRange> {
    let range = header.trim();
    let range = range.strip_prefix("bytes").map_or(range, str::trim_start);
    let range = range.split_once('/').map_or(range, |(range, _total)| range);
    let (first, last) = range.split_once('-').ok_or(InvalidChunkRange::Malformed)?;
    let first = number(first).ok_or(InvalidChunkRange::Malformed)?;
    let last = number(last).ok_or(InvalidChunkRange::Malformed)?;
    if last < first {
        return Err(InvalidChunkRange::Reversed);
    }
    let end = last.checked_add(1).ok_or(InvalidChunkRange::Malformed)?;
    Ok(first..end)
}

/// Why the range of a chunk says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChunkRange {
    #[error("Content-Range is not of the form `FIRST-LAST`, both inclusive")]
    Malformed,
    #[error("Content-Range ends before it begins")]
    Reversed,
}

/// The `Range` header of an upload that holds `size` bytes: inclusive, and so unable to say
/// "nothing". `0-0` stands for both no byte and one, as every registry answers it.
#[must_use]
pub fn uploaded(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

/// Digits only: `u64::from_str` would take `+1`.
fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_content() {
        assert_eq!(requested("bytes=0-0", 10), Ok(Requested::Part(0..1)));
        assert_eq!(requested("bytes=2-5", 10), Ok(Requested::Part(2..6)));
        assert_eq!(requested("bytes=2-", 10), Ok(Requested::Part(2..10)));
        assert_eq!(requested("bytes=-3", 10), Ok(Requested::Part(7..10)));
        assert_eq!(requested("bytes=-30", 10), Ok(Requested::Part(0..10)));
        assert_eq!(requested("bytes=5-50", 10), Ok(Requested::Part(5..10)));
        assert_eq!(requested("Bytes=5-50", 10), Ok(Requested::Part(5..10)));
        assert_eq!(
            requested("bytes=0-18446744073709551615", 10),
            Ok(Requested::Part(0..10))
        );
    }

    #[test]
    fn what_may_be_ignored_asks_for_everything() {
        assert_eq!(requested("bytes=0-1,3-4", 10), Ok(Requested::Whole));
        assert_eq!(requested("lines=0-1", 10), Ok(Requested::Whole));
    }

    #[test]
    fn ranges_that_cannot_be_served() {
        assert_eq!(requested("bytes=5-2", 10), Err(InvalidRange::Reversed));
        assert_eq!(requested("bytes=10-", 10), Err(InvalidRange::Outside));
        assert_eq!(requested("bytes=10-12", 10), Err(InvalidRange::Outside));
        assert_eq!(requested("bytes=-0", 10), Err(InvalidRange::Outside));
        assert_eq!(requested("bytes=0-", 0), Err(InvalidRange::Outside));
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1",
        ] {
            assert_eq!(
                requested(header, 10),
                Err(InvalidRange::Malformed),
                "{header}"
            );
        }
    }

    #[test]
    fn ranges_of_chunks() {
        assert_eq!(chunk("0-0"), Ok(0..1));
        assert_eq!(chunk("5-9"), Ok(5..10));
        assert_eq!(chunk("bytes 5-9/20"), Ok(5..10));
        assert_eq!(chunk("bytes 5-9/*"), Ok(5..10));
        assert_eq!(chunk("9-5"), Err(InvalidChunkRange::Reversed));
        for header in [
            "",
            "5",
            "5-",
            "-5",
            "a-b",
            "0-18446744073709551615",
            "-1-5",
            "*/20",
        ] {
            assert_eq!(chunk(header), Err(InvalidChunkRange::Malformed), "{header}");
        }
    }

    #[test]
    fn nothing_and_one_byte_look_alike() {
        assert_eq!(uploaded(0), "0-0");
        assert_eq!(uploaded(1), "0-0");
        assert_eq!(uploaded(1000), "0-999");
    }

    proptest! {
        #[test]
        fn a_served_range_is_inside_the_content(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            if let Ok(Requested::Part(part)) = requested(&header, size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }

        #[test]
        fn any_header_is_read_or_refused(header in "\\PC{0,40}", size: u64) {
            let _ = requested(&header, size);
            let _ = chunk(&header);
        }

        #[test]
        fn chunks_round_trip(start in 0..u64::MAX / 2, length in 1..u64::MAX / 2) {
            let end = start + length;
            prop_assert_eq!(chunk(&format!("{start}-{}", end - 1)), Ok(start..end));
        }
    }
}
