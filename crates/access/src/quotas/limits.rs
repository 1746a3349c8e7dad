//! Which quota counts for a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_metadata::image::ClientQuotasImage;

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";

/// One part of an entity: a name, or the default for all names.
type Part = Option<Arc<str>>;

/// Whose usage is added up: a user, a client id, or a client id of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measured {
    /// The user, if the quota is about users.
    pub user: Option<Arc<str>>,
    /// The client id, if the quota is about client ids.
    pub client_id: Option<Arc<str>>,
}

/// The quota that counts for a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// How much per second.
    pub rate: f64,
    /// Whose usage counts against it.
    pub measured: Measured,
}

/// The quotas with one key, by what they are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    by_user_and_client: BTreeMap<(Part, Part), f64>,
    by_user: BTreeMap<Part, f64>,
    by_client: BTreeMap<Part, f64>,
}

impl Limits {
    /// The quotas of an image that have this key.
    #[must_use]
    pub fn of(image: &ClientQuotasImage, key: &str) -> Self {
        let mut limits = Self::default();
        for (entity, quotas) in image.iter() {
            let Some(rate) = quotas.get(key).copied() else { continue };
            let part = |kind: &str| entity.parts().iter().find(|(own, _)| &**own == kind).map(|(_, name)| name.clone());
            match (part(USER), part(CLIENT_ID)) {
                (Some(user), Some(client)) => drop(limits.by_user_and_client.insert((user, client), rate)),
                (Some(user), None) => drop(limits.by_user.insert(user, rate)),
                (None, Some(client)) => drop(limits.by_client.insert(client, rate)),
                // An address has quotas of other keys.
                (None, None) => {}
            }
        }
        limits
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_user_and_client.is_empty() && self.by_user.is_empty() && self.by_client.is_empty()
    }

    /// The quota for a user's client: the most specific of those that match.
    #[must_use]
    pub fn find(&self, user: &str, client_id: &str) -> Option<Limit> {
        let user: Arc<str> = user.into();
        let client: Arc<str> = client_id.into();
        let both = |user: Part, client: Part| self.by_user_and_client.get(&(user, client)).copied();
        let of_pair = |rate| Limit {
            rate,
            measured: Measured { user: Some(Arc::clone(&user)), client_id: Some(Arc::clone(&client)) },
        };
        let of_user = |rate| Limit { rate, measured: Measured { user: Some(Arc::clone(&user)), client_id: None } };
        let of_client = |rate| Limit { rate, measured: Measured { user: None, client_id: Some(Arc::clone(&client)) } };
        let named = |name: &Arc<str>| Some(Arc::clone(name));
        both(named(&user), named(&client))
            .or_else(|| both(named(&user), None))
            .map(of_pair)
            .or_else(|| self.by_user.get(&named(&user)).copied().map(of_user))
            .or_else(|| both(None, named(&client)).or_else(|| both(None, None)).map(of_pair))
            .or_else(|| self.by_user.get(&None).copied().map(of_user))
            .or_else(|| {
                self.by_client.get(&named(&client)).or_else(|| self.by_client.get(&None)).copied().map(of_client)
            })
    }

    /// Whether some quota counts usage by these parts of a client.
    pub(super) fn measures(&self, measured: &Measured) -> bool {
        match (&measured.user, &measured.client_id) {
            (Some(_), Some(_)) => !self.by_user_and_client.is_empty(),
            (Some(_), None) => !self.by_user.is_empty(),
            (None, _) => !self.by_client.is_empty(),
        }
    }
}
