//! What is wrong with a tree, or with the place of a pool in it: each with what to do about it.

/// Why a ClusterWeightedShare is not divided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TreeFault {
    /// It cannot be read.
    Unreadable(String),
    /// It is a member of itself, by way of these.
    Cycle(Vec<String>),
    /// Several members have it: of these trees, as tree and member.
    SeveralParents(Vec<(String, String)>),
    /// It has no capacity, and no tree has it as a member.
    NoCapacity,
    /// It has a capacity, and this tree has it as a member.
    CapacityOfItsOwn(String),
    /// This member of it names a tree that does not exist.
    MemberNotFound {
        /// The name of the member.
        member: String,
        /// The tree that it names.
        tree: String,
    },
    /// Another part of the same tree, this one, has a fault.
    OtherPart(String),
}

/// Why a pool that names a tree is not divided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PoolFault {
    /// There is no such tree.
    TreeNotFound(String),
    /// The tree does not have the pool's namespace as a member; with a tree that does, if there is one.
    NamespaceNotInTree {
        /// The tree that the pool names.
        tree: String,
        /// The tree that has the namespace.
        other: Option<String>,
    },
    /// Several members have the namespace: these, as tree and member.
    SeveralMembers(Vec<(String, String)>),
    /// The tree is not divided.
    TreeNotDivided(String),
    /// The ResourceQuota that gives the pool its capacity does not exist, or bounds neither the CPU nor the memory that pods request.
    QuotaNotFound(String),
}

impl TreeFault {
    /// One word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "Unreadable",
            Self::Cycle(_) => "Cycle",
            Self::SeveralParents(_) => "SeveralParents",
            Self::NoCapacity => "NoCapacity",
            Self::CapacityOfItsOwn(_) => "CapacityOfItsOwn",
            Self::MemberNotFound { .. } => "MemberNotFound",
            Self::OtherPart(_) => "OtherPartStalled",
        }
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Unreadable(why) => format!(
                "The ClusterWeightedShare cannot be read, so nothing in its tree is changed: {why}. Correct it, or use the same \
                 version of the CRD and the controller."
            ),
            Self::Cycle(path) => format!(
                "The tree contains itself ({}), so nothing in it is changed. Take one of these members out.",
                path.join(" -> ")
            ),
            Self::SeveralParents(parents) => format!(
                "More than one member has this tree ({}), so nothing in it is changed. Keep it in one.",
                listed(parents)
            ),
            Self::NoCapacity => "The tree has no capacity, and no other tree has it as a member, so nothing in it is changed. Set \
                 spec.capacity or spec.nodes, or make it a member of a tree."
                .to_owned(),
            Self::CapacityOfItsOwn(parent) => format!(
                "ClusterWeightedShare {parent} has this tree as a member and gives it its capacity, but it has one of its own, so \
                 nothing in the tree is changed. Remove spec.capacity and spec.nodes here, or the member there."
            ),
            Self::MemberNotFound { member, tree } => format!(
                "Member {member} names ClusterWeightedShare {tree}, which does not exist, so nothing in the tree is changed. Create \
                 it, or remove the member."
            ),
            Self::OtherPart(other) => format!(
                "ClusterWeightedShare {other}, in the same tree, has a fault, so nothing in the tree is changed. Its condition \
                 Stalled says what to do."
            ),
        }
    }
}

impl PoolFault {
    /// One word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TreeNotFound(_) => "TreeNotFound",
            Self::NamespaceNotInTree { .. } => "NamespaceNotInTree",
            Self::SeveralMembers(_) => "SeveralMembers",
            Self::TreeNotDivided(_) => "TreeNotDivided",
            Self::QuotaNotFound(_) => "QuotaNotFound",
        }
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::TreeNotFound(tree) => format!(
                "ClusterWeightedShare {tree}, which gives the pool its capacity, does not exist, so nothing is changed. Correct \
                 spec.capacityFrom, or ask the administrator of the cluster for the tree."
            ),
            Self::NamespaceNotInTree { tree, other: Some(other) } => format!(
                "ClusterWeightedShare {tree} does not have the pool's namespace as a member, but {other} does, so nothing is \
                 changed. Name {other} in spec.capacityFrom."
            ),
            Self::NamespaceNotInTree { tree, other: None } => format!(
                "ClusterWeightedShare {tree} does not have the pool's namespace as a member, so nothing is changed. Ask the \
                 administrator of the cluster to add it."
            ),
            Self::SeveralMembers(members) => format!(
                "More than one member of a tree has the pool's namespace ({}), so nothing is changed. Ask the administrator of the \
                 cluster to keep it in one.",
                listed(members)
            ),
            Self::TreeNotDivided(tree) => format!(
                "ClusterWeightedShare {tree}, which gives the pool its capacity, is not divided, so nothing is changed. Its \
                 condition Stalled says why (or the controller's log, if the object cannot be read)."
            ),
            Self::QuotaNotFound(quota) => format!(
                "ResourceQuota {quota}, which gives the pool its capacity, does not exist or sets no hard limit for requests.cpu or \
                 requests.memory, so nothing is changed. Correct spec.capacityFrom, or the quota."
            ),
        }
    }
}

/// Members, as tree/member.
fn listed(members: &[(String, String)]) -> String {
    let names: Vec<String> =
        members.iter().map(|(tree, member)| format!("{tree}/{member}")).collect();
    names.join(", ")
}
