//! Whose configs a line is about.

use crate::admin::ResourceKind;
use crate::jopt::Line;

/// The kinds of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Topics,
    Clients,
    Users,
    Brokers,
    Ips,
    ClientMetrics,
    Groups,
    BrokerLoggers,
}

impl Kind {
    /// All kinds, in the order in which Kafka names them.
    pub(super) const ALL: [Self; 8] = [
        Self::Topics,
        Self::Clients,
        Self::Users,
        Self::Brokers,
        Self::Ips,
        Self::ClientMetrics,
        Self::Groups,
        Self::BrokerLoggers,
    ];

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Clients => "clients",
            Self::Users => "users",
            Self::Brokers => "brokers",
            Self::Ips => "ips",
            Self::ClientMetrics => "client-metrics",
            Self::Groups => "groups",
            Self::BrokerLoggers => "broker-loggers",
        }
    }

    pub(super) fn singular(self) -> &'static str {
        let plural = self.plural();
        &plural[..plural.len() - 1]
    }

    /// The kind of its resource; `None` for those that have quotas and credentials instead.
    pub(super) fn resource(self) -> Option<ResourceKind> {
        match self {
            Self::Topics => Some(ResourceKind::Topic),
            Self::Brokers => Some(ResourceKind::Broker),
            Self::BrokerLoggers => Some(ResourceKind::BrokerLogger),
            Self::ClientMetrics => Some(ResourceKind::ClientMetrics),
            Self::Groups => Some(ResourceKind::Group),
            Self::Clients | Self::Users | Self::Ips => None,
        }
    }

    /// Whether it has defaults.
    pub(super) fn has_defaults(self) -> bool {
        matches!(self, Self::Users | Self::Clients | Self::Brokers | Self::Ips)
    }
}

/// Options that name an entity of a kind.
const NAMED: [(&str, Kind); 8] = [
    ("topic", Kind::Topics),
    ("client", Kind::Clients),
    ("user", Kind::Users),
    ("broker", Kind::Brokers),
    ("broker-logger", Kind::BrokerLoggers),
    ("ip", Kind::Ips),
    ("client-metrics", Kind::ClientMetrics),
    ("group", Kind::Groups),
];

/// Options that name the defaults of a kind.
const DEFAULTS: [(&str, Kind); 4] = [
    ("client-defaults", Kind::Clients),
    ("user-defaults", Kind::Users),
    ("broker-defaults", Kind::Brokers),
    ("ip-defaults", Kind::Ips),
];

/// The entities of a line: their kinds, and their names as far as they are given. An empty name stands for the defaults.
#[derive(Clone, Debug, Default)]
pub(super) struct Entities {
    /// The kinds as they are written; one may be unknown.
    pub(super) types: Vec<String>,
    /// Those that are known.
    pub(super) kinds: Vec<Kind>,
    pub(super) names: Vec<String>,
}

impl Entities {
    /// The first kind with its name.
    pub(super) fn first(&self) -> Option<(Kind, &str)> {
        Some((*self.kinds.first()?, self.names.first()?))
    }

    pub(super) fn has_name(&self) -> bool {
        self.names.iter().any(|name| !name.is_empty())
    }

    pub(super) fn has_default(&self) -> bool {
        self.names.iter().any(String::is_empty)
    }
}

pub(super) fn of_line(line: &Line) -> Entities {
    let named = NAMED.iter().filter(|(option, _)| line.has(option));
    let defaults = DEFAULTS.iter().filter(|(option, _)| line.has(option));
    let mut types: Vec<String> = line.values("entity-type").to_vec();
    types.extend(named.clone().chain(defaults.clone()).map(|(_, kind)| kind.plural().to_owned()));
    let kinds = types.iter().filter_map(|name| Kind::ALL.into_iter().find(|kind| kind.plural() == name)).collect();
    let mut given = line.values("entity-name").iter();
    let mut names = Vec::new();
    for word in &line.words {
        match word.trim_start_matches('-').split('=').next() {
            Some("entity-name") if word.starts_with('-') => names.extend(given.next().cloned()),
            Some("entity-default") if word.starts_with('-') => names.push(String::new()),
            _ => {}
        }
    }
    for (option, _) in named {
        names.extend(line.values(option).first().cloned());
    }
    names.extend(defaults.map(|_| String::new()));
    Entities { types, kinds, names }
}
