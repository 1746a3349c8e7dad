//! How many partitions a client may still create and delete (KIP-599): who asks for more is refused before anything is decided.

use thalweg_wire::ErrorCode;

use crate::Refusal;

/// The partitions that one request creates and deletes, against what its client has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutations {
    /// What was left before the request; below zero nothing is. `None` where nothing limits the client, or it is too old to
    /// understand that it is throttled.
    pub left: Option<i64>,
    /// How many partitions the request has taken.
    pub taken: u64,
    /// Whether anything was refused because nothing was left.
    pub refused: bool,
}

impl Mutations {
    /// Nothing limits the client.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Takes so many partitions. A client that has anything left may take more than that, and waits for longer afterwards.
    ///
    /// # Errors
    /// `THROTTLING_QUOTA_EXCEEDED`
    pub(crate) fn take(&mut self, partitions: usize) -> Result<(), Refusal> {
        let taken = i64::try_from(self.taken).unwrap_or(i64::MAX);
        if self.left.is_some_and(|left| left < taken) {
            self.refused = true;
            return Err(Refusal::bare(ErrorCode::ThrottlingQuotaExceeded));
        }
        self.taken = self.taken.saturating_add(partitions as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_anything_left_may_take_more_than_that_once() {
        let mut mutations = Mutations { left: Some(3), ..Mutations::unlimited() };
        assert_eq!(mutations.take(3), Ok(()));
        assert_eq!(mutations.take(10), Ok(()));
        assert_eq!(mutations.take(1).map_err(|refusal| refusal.code), Err(ErrorCode::ThrottlingQuotaExceeded));
        assert_eq!((mutations.taken, mutations.refused), (13, true));
    }
}
