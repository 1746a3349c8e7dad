//! The words of ACLs: operations, resource types, pattern types and permissions, with Kafka's numbers and names.

/// Makes an enum of Kafka's numbers and names.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $number:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i8)]
        pub enum $name {
            $($(#[$item_doc])* $item = $number,)*
        }

        impl $name {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// The one of that number in requests and records.
            #[must_use]
            pub fn from_number(number: i8) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.number() == number)
            }

            /// Its number in requests and records.
            #[must_use]
            pub const fn number(self) -> i8 {
                self as i8
            }

            /// Its name as Java's enum has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$item => $text,)*
                }
            }
        }
    };
}

numbered! {
    /// What is done to a resource. `Any` and `All` stand in filters and in ACLs only.
    Operation {
        /// In filters: every operation.
        Any = 1 "ANY",
        /// In ACLs: every operation.
        All = 2 "ALL",
        /// Consuming; joining a group.
        Read = 3 "READ",
        /// Producing; using a transactional id.
        Write = 4 "WRITE",
        /// Creating topics.
        Create = 5 "CREATE",
        /// Deleting topics, groups and records.
        Delete = 6 "DELETE",
        /// Adding partitions, changing ACLs and more.
        Alter = 7 "ALTER",
        /// Knowing that it exists.
        Describe = 8 "DESCRIBE",
        /// What brokers do among themselves.
        ClusterAction = 9 "CLUSTER_ACTION",
        /// Reading configurations.
        DescribeConfigs = 10 "DESCRIBE_CONFIGS",
        /// Changing configurations.
        AlterConfigs = 11 "ALTER_CONFIGS",
        /// Producing with idempotence; implied by producing to any topic.
        IdempotentWrite = 12 "IDEMPOTENT_WRITE",
        /// Creating delegation tokens for another user.
        CreateTokens = 13 "CREATE_TOKENS",
        /// Describing delegation tokens of another user.
        DescribeTokens = 14 "DESCRIBE_TOKENS",
        /// Taking part in two-phase commits (KIP-939).
        TwoPhaseCommit = 15 "TWO_PHASE_COMMIT",
    }
}

numbered! {
    /// The type of a resource. `Any` stands in filters only.
    ResourceType {
        /// In filters: every type.
        Any = 1 "ANY",
        /// A topic.
        Topic = 2 "TOPIC",
        /// A group.
        Group = 3 "GROUP",
        /// The cluster; its only name is [`CLUSTER_NAME`].
        Cluster = 4 "CLUSTER",
        /// A transactional id.
        TransactionalId = 5 "TRANSACTIONAL_ID",
        /// A delegation token.
        DelegationToken = 6 "DELEGATION_TOKEN",
        /// A user, for tokens.
        User = 7 "USER",
    }
}

numbered! {
    /// How a pattern's name is meant. `Any` and `Match` stand in filters only.
    PatternType {
        /// In filters: every type.
        Any = 1 "ANY",
        /// In filters: every pattern that the name matches.
        Match = 2 "MATCH",
        /// One resource, or, with the name `*`, all of a type.
        Literal = 3 "LITERAL",
        /// Every resource whose name begins so.
        Prefixed = 4 "PREFIXED",
    }
}

numbered! {
    /// Whether an ACL denies or allows. `Any` stands in filters only.
    Permission {
        /// In filters: both.
        Any = 1 "ANY",
        /// Denies, whatever else allows.
        Deny = 2 "DENY",
        /// Allows.
        Allow = 3 "ALLOW",
    }
}

/// The name of the only resource of type `Cluster`.
pub const CLUSTER_NAME: &str = "kafka-cluster";

impl ResourceType {
    /// Its name in the lines of the audit log.
    #[must_use]
    pub fn audit_name(self) -> &'static str {
        match self {
            Self::Any => "Any",
            Self::Topic => "Topic",
            Self::Group => "Group",
            Self::Cluster => "Cluster",
            Self::TransactionalId => "TransactionalId",
            Self::DelegationToken => "DelegationToken",
            Self::User => "User",
        }
    }

    /// The operations that make sense for it.
    #[must_use]
    pub fn operations(self) -> &'static [Operation] {
        use Operation as O;
        match self {
            Self::Any => &[],
            Self::Topic => {
                &[O::Read, O::Write, O::Create, O::Delete, O::Alter, O::Describe, O::DescribeConfigs, O::AlterConfigs]
            }
            Self::Group => &[O::Read, O::Delete, O::Describe, O::DescribeConfigs, O::AlterConfigs],
            Self::Cluster => &[
                O::Create,
                O::Alter,
                O::Describe,
                O::ClusterAction,
                O::DescribeConfigs,
                O::AlterConfigs,
                O::IdempotentWrite,
            ],
            Self::TransactionalId => &[O::Write, O::Describe, O::TwoPhaseCommit],
            Self::DelegationToken => &[O::Describe],
            Self::User => &[O::CreateTokens, O::DescribeTokens],
        }
    }
}

/// A resource that a request wants to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Resource<'a> {
    /// The cluster.
    pub const CLUSTER: Resource<'static> = Resource { kind: ResourceType::Cluster, name: CLUSTER_NAME };

    /// A topic.
    #[must_use]
    pub fn topic(name: &'a str) -> Self {
        Self { kind: ResourceType::Topic, name }
    }

    /// A group.
    #[must_use]
    pub fn group(name: &'a str) -> Self {
        Self { kind: ResourceType::Group, name }
    }

    /// A transactional id.
    #[must_use]
    pub fn transactional_id(name: &'a str) -> Self {
        Self { kind: ResourceType::TransactionalId, name }
    }
}
