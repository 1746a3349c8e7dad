//! The order in which Kafka's coordinator walks its groups, and a group its members.
//!
//! No client is promised an order, yet tools print groups and members as they come, and people and scripts compare
//! what they print. Kafka keeps both in a hash table: the slot of a key is in the highest bits of its hash times a constant,
//! and the table doubles when it would be fuller than three quarters of its slots would allow.

/// Fibonacci hashing: 2^64 divided by the golden ratio, as a signed number.
const GOLDEN: i64 = -7_046_029_254_386_353_131;
/// The slots of a table of Java's own that is empty.
const JAVA_SLOTS_MIN: usize = 16;
/// The slots of a table that is empty.
const SLOTS_MIN: usize = 2;

/// Sorts by slot. Of two in one slot Kafka gives the younger one first; here, where age is not known, it is the one whose
/// name comes later, as in names that are counted up.
pub(crate) fn sort<T>(items: &mut [T], name: impl Fn(&T) -> &str) {
    let slots = slots(items.len());
    items.sort_by(|a, b| name(b).cmp(name(a)));
    items.sort_by_cached_key(|item| slot(name(item), slots));
}

/// Sorts as Java's `HashMap` is walked: Kafka names topics in that order where a text names them.
pub(crate) fn sort_as_java<T>(items: &mut [T], name: impl Fn(&T) -> &str) {
    let mut slots = JAVA_SLOTS_MIN;
    while items.len().saturating_mul(4) > slots.saturating_mul(3) {
        slots = slots.saturating_mul(2);
    }
    items.sort_by_cached_key(|item| {
        let hash = java_hash(name(item)).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (slots - 1)
    });
}

/// How many slots a table has that grew to this many keys and lost none.
fn slots(keys: usize) -> usize {
    let mut slots = SLOTS_MIN;
    while keys.saturating_mul(3) > slots.saturating_mul(4) {
        slots = slots.saturating_mul(2);
    }
    slots
}

fn slot(name: &str, slots: usize) -> u64 {
    let mixed = i64::from(java_hash(name)).wrapping_mul(GOLDEN).cast_unsigned();
    // At least 2 slots, so that the shift is below 64.
    mixed >> (u64::BITS - slots.trailing_zeros())
}

/// What Java says a string hashes to.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::{sort, sort_as_java};

    fn walked(names: &[&'static str]) -> Vec<&'static str> {
        let mut names = names.to_vec();
        sort(&mut names, |name| name);
        names
    }

    #[test]
    fn groups_come_in_the_order_of_kafkas_table() {
        let groups = ["grp-1", "grp-2", "grp-3", "grp-4", "grp-5", "grp-6"];
        assert_eq!(walked(&groups), ["grp-2", "grp-4", "grp-1", "grp-6", "grp-3", "grp-5"]);
    }

    #[test]
    fn of_two_in_one_slot_the_later_one_comes_first() {
        assert_eq!(walked(&["member-1", "member-2"]), ["member-2", "member-1"]);
    }

    #[test]
    fn topics_come_in_the_order_of_javas_table() {
        let mut topics = ["app-changelog", "app-repartition"];
        sort_as_java(&mut topics, |name| name);
        assert_eq!(topics, ["app-repartition", "app-changelog"]);
    }

    #[test]
    fn one_group_and_none_are_in_order() {
        assert_eq!(walked(&[""]), [""]);
        assert_eq!(walked(&[]), Vec::<&str>::new());
    }
}
