//! The zig-zag varints inside records, read as Kafka's Java reader reads them.
//!
//! An `i32` takes at most five bytes and an `i64` at most ten; bits beyond the type's width are dropped, a longer
//! encoding is an error.

use crate::error::Fault;

/// The longest encoding of an `i64`.
pub(crate) const MAX: usize = 10;

/// Reads an `i32` at `bytes[*at..]` and moves `at` behind it.
#[inline(always)]
pub(crate) fn read_i32(bytes: &[u8], at: &mut usize) -> Result<i32, Fault> {
    let Some(&first) = bytes.get(*at) else { return Err(Fault::EndsInField) };
    *at += 1;
    if first < 0x80 {
        return Ok(zigzag_32(u32::from(first)));
    }
    let mut value = u32::from(first & 0x7f);
    for shift in [7, 14, 21, 28] {
        let Some(&byte) = bytes.get(*at) else { return Err(Fault::EndsInField) };
        *at += 1;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(zigzag_32(value));
        }
    }
    Err(Fault::VarintTooLong)
}

/// Reads an `i64` at `bytes[*at..]` and moves `at` behind it.
#[inline(always)]
pub(crate) fn read_i64(bytes: &[u8], at: &mut usize) -> Result<i64, Fault> {
    let Some(&first) = bytes.get(*at) else { return Err(Fault::EndsInField) };
    *at += 1;
    if first < 0x80 {
        return Ok(zigzag_64(u64::from(first)));
    }
    let mut value = u64::from(first & 0x7f);
    for shift in [7, 14, 21, 28, 35, 42, 49, 56, 63] {
        let Some(&byte) = bytes.get(*at) else { return Err(Fault::EndsInField) };
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(zigzag_64(value));
        }
    }
    Err(Fault::VarintTooLong)
}

/// Appends `value` to `out`.
#[inline(always)]
pub(crate) fn write(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`write`] appends for `value`.
#[inline(always)]
pub(crate) fn len(value: i64) -> usize {
    let rest = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (rest | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag_32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn zigzag_64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_has_the_announced_length() {
        let edges = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, i64::from(i32::MAX), i64::from(i32::MIN)];
        for value in edges.into_iter().chain([i64::MAX, i64::MIN, 1 << 62]) {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out.len(), len(value), "{value}");
            let mut at = 0;
            assert_eq!(read_i64(&out, &mut at), Ok(value));
            assert_eq!(at, out.len());
            if let Ok(small) = i32::try_from(value) {
                let mut at = 0;
                assert_eq!(read_i32(&out, &mut at), Ok(small));
            }
        }
    }

    #[test]
    fn endless_and_cut_varints_are_errors() {
        assert_eq!(read_i32(&[0xff; 5], &mut 0), Err(Fault::VarintTooLong));
        assert_eq!(read_i64(&[0xff; 10], &mut 0), Err(Fault::VarintTooLong));
        assert_eq!(read_i32(&[0x80], &mut 0), Err(Fault::EndsInField));
        assert_eq!(read_i64(&[], &mut 0), Err(Fault::EndsInField));
    }
}
