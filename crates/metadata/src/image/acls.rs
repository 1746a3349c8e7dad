//! Who may do what: the ACLs, by id and by the resources that they are about.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use thalweg_base::Uuid;
use thalweg_wire::messages::AccessControlEntryRecord;

use crate::MetadataRecord;

/// The pattern type of an ACL about one resource, or, with the name `*`, about all of a type.
pub const LITERAL: i8 = 3;
/// The pattern type of an ACL about all resources whose names begin with its own.
pub const PREFIXED: i8 = 4;
/// The name of the literal pattern that stands for all resources of a type.
pub const WILDCARD: &str = "*";

/// One rule of who may do what, in the numbers of Kafka's protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// The type of resource.
    pub resource_type: i8,
    /// The resource's name, or what it begins with, or `*`.
    pub resource_name: Arc<str>,
    /// Whether the name is literal or the beginning of one.
    pub pattern_type: i8,
    /// Who, such as `User:alice`.
    pub principal: Arc<str>,
    /// From which address, or `*`.
    pub host: Arc<str>,
    /// What is done.
    pub operation: i8,
    /// Whether it is denied or allowed.
    pub permission_type: i8,
}

/// The ACLs of one pattern, by principal.
pub type AclsOfPattern = OrdMap<Arc<str>, OrdSet<Arc<Acl>>>;

/// Every ACL.
///
/// Invariant: the index by pattern holds exactly the ACLs that have an id. It makes a decision cost a few searches,
/// however many ACLs there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AclsImage {
    acls: OrdMap<Uuid, Arc<Acl>>,
    /// By resource type and pattern type, and then by name.
    patterns: OrdMap<(i8, i8), OrdMap<Arc<str>, AclsOfPattern>>,
    /// How many further ids an ACL has that stands under several. Controllers write none of these, but a log may hold them.
    repeats: OrdMap<Arc<Acl>, usize>,
}

impl AclsImage {
    /// Every ACL with its id.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &Arc<Acl>)> {
        self.acls.iter()
    }

    /// How many ACLs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.acls.len()
    }

    /// Whether there is no ACL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acls.is_empty()
    }

    /// The ACL of that id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Arc<Acl>> {
        self.acls.get(&id)
    }

    /// Whether there is an ACL that says the same.
    #[must_use]
    pub fn contains(&self, acl: &Acl) -> bool {
        let names = self.patterns.get(&(acl.resource_type, acl.pattern_type));
        let principals = names.and_then(|names| names.get(&*acl.resource_name));
        principals.and_then(|principals| principals.get(&*acl.principal)).is_some_and(|acls| acls.contains(acl))
    }

    /// The patterns that a resource matches: its name, the prefixes of its name beginning with the longest, and the
    /// wildcard.
    pub fn matching<'a>(&'a self, resource_type: i8, name: &'a str) -> impl Iterator<Item = &'a AclsOfPattern> {
        let literal = self.patterns.get(&(resource_type, LITERAL));
        let of_name = |name: &str| literal.and_then(|names| names.get(name));
        let prefixes = self.patterns.get(&(resource_type, PREFIXED));
        let prefixes = prefixes.into_iter().flat_map(move |names| Prefixes { names, rest: name });
        of_name(name).into_iter().chain(prefixes).chain(of_name(WILDCARD).filter(|_| name != WILDCARD))
    }

    /// Every pattern about resources of one type, with its pattern type and name.
    pub fn of_type(&self, resource_type: i8) -> impl Iterator<Item = (i8, &str, &AclsOfPattern)> {
        [LITERAL, PREFIXED].into_iter().flat_map(move |pattern_type| {
            let names = self.patterns.get(&(resource_type, pattern_type));
            names.into_iter().flatten().map(move |(name, acls)| (pattern_type, &**name, acls))
        })
    }

    pub(super) fn replay(&mut self, record: &AccessControlEntryRecord) {
        self.remove(record.id);
        let acl = Arc::new(Acl {
            resource_type: record.resource_type,
            resource_name: Arc::from(&*record.resource_name),
            pattern_type: record.pattern_type,
            principal: Arc::from(&*record.principal),
            host: Arc::from(&*record.host),
            operation: record.operation,
            permission_type: record.permission_type,
        });
        if self.contains(&acl) {
            *self.repeats.entry(Arc::clone(&acl)).or_default() += 1;
        }
        let names = self.patterns.entry((acl.resource_type, acl.pattern_type)).or_default();
        let principals = names.entry(Arc::clone(&acl.resource_name)).or_default();
        principals.entry(Arc::clone(&acl.principal)).or_default().insert(Arc::clone(&acl));
        self.acls.insert(record.id, acl);
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        let Some(acl) = self.acls.remove(&id) else { return };
        if let Some(further) = self.repeats.get_mut(&acl) {
            *further -= 1;
            if *further == 0 {
                self.repeats.remove(&acl);
            }
            return;
        }
        let pattern = (acl.resource_type, acl.pattern_type);
        let Some(names) = self.patterns.get_mut(&pattern) else { return };
        let Some(principals) = names.get_mut(&acl.resource_name) else { return };
        if let Some(acls) = principals.get_mut(&acl.principal) {
            acls.remove(&acl);
            if acls.is_empty() {
                principals.remove(&acl.principal);
            }
        }
        if principals.is_empty() {
            names.remove(&acl.resource_name);
        }
        if names.is_empty() {
            self.patterns.remove(&pattern);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<MetadataRecord>) {
        out.extend(self.iter().map(|(id, acl)| {
            MetadataRecord::from(AccessControlEntryRecord {
                id: *id,
                resource_type: acl.resource_type,
                resource_name: (&*acl.resource_name).into(),
                pattern_type: acl.pattern_type,
                principal: (&*acl.principal).into(),
                host: (&*acl.host).into(),
                operation: acl.operation,
                permission_type: acl.permission_type,
            })
        }));
    }
}

/// The patterns whose names begin that of a resource, the longest first.
struct Prefixes<'a> {
    names: &'a OrdMap<Arc<str>, AclsOfPattern>,
    /// What the names that are left may be equal to or begin.
    rest: &'a str,
}

impl<'a> Iterator for Prefixes<'a> {
    type Item = &'a AclsOfPattern;

    fn next(&mut self) -> Option<&'a AclsOfPattern> {
        loop {
            // The greatest name up to `rest`: it begins `rest`, or no name does that is longer than what both share.
            let (name, acls) = self.names.get_prev(self.rest).filter(|_| !self.rest.is_empty())?;
            let shared = self.rest.char_indices().zip(name.chars()).find(|((_, ours), theirs)| ours != theirs);
            let shared = shared.map_or(name.len().min(self.rest.len()), |((at, _), _)| at);
            if shared == name.len() {
                self.rest = shorter(&self.rest[..shared]);
                return Some(acls);
            }
            self.rest = &self.rest[..shared];
        }
    }
}

/// A name without its last character.
fn shorter(name: &str) -> &str {
    name.char_indices().next_back().map_or("", |(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u8, pattern_type: i8, name: &str, principal: &str) -> AccessControlEntryRecord {
        AccessControlEntryRecord {
            id: Uuid([id; 16]),
            resource_type: 2,
            resource_name: name.into(),
            pattern_type,
            principal: principal.into(),
            host: "*".into(),
            operation: 3,
            permission_type: 3,
        }
    }

    fn matching(image: &AclsImage, name: &str) -> Vec<(i8, String)> {
        let acls = image.matching(2, name).flat_map(|principals| principals.values().flatten());
        acls.map(|acl| (acl.pattern_type, acl.resource_name.to_string())).collect()
    }

    #[test]
    fn finds_the_name_its_prefixes_and_the_wildcard() {
        let mut image = AclsImage::default();
        let patterns = [
            (LITERAL, "foobar"),
            (LITERAL, "foo"),
            (LITERAL, "*"),
            (PREFIXED, "foobar"),
            (PREFIXED, "fooaz"),
            (PREFIXED, "foo"),
            (PREFIXED, "fab"),
            (PREFIXED, "f"),
            (PREFIXED, "g"),
            (PREFIXED, "foobarx"),
            (PREFIXED, "é"),
        ];
        for (id, (pattern_type, name)) in (1..).zip(patterns) {
            image.replay(&record(id, pattern_type, name, "User:a"));
        }
        let expected = |list: &[(i8, &str)]| list.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
        let foobar: Vec<_> = expected(&[(3, "foobar"), (4, "foobar"), (4, "foo"), (4, "f"), (3, "*")]);
        assert_eq!(matching(&image, "foobar"), foobar);
        assert_eq!(matching(&image, "zzz"), expected(&[(3, "*")]));
        assert_eq!(matching(&image, "*"), expected(&[(3, "*")]));
        assert_eq!(matching(&image, "ê"), expected(&[(3, "*")]));
        assert_eq!(matching(&image, "éa"), expected(&[(4, "é"), (3, "*")]));
        assert_eq!(image.of_type(2).count(), patterns.len());
    }

    #[test]
    fn the_index_follows_the_ids() {
        let mut image = AclsImage::default();
        image.replay(&record(1, LITERAL, "a", "User:a"));
        image.replay(&record(2, LITERAL, "a", "User:b"));
        let acl = Acl::clone(image.get(Uuid([1; 16])).expect("there"));
        assert!(image.contains(&acl));
        // The id stands for something else from now on.
        image.replay(&record(1, LITERAL, "b", "User:a"));
        assert!(!image.contains(&acl) && image.contains(&Acl { resource_name: "b".into(), ..acl }));
        image.remove(Uuid([1; 16]));
        image.remove(Uuid([2; 16]));
        assert_eq!(image, AclsImage::default());
    }
}
