//! The metrics of pools, from their status. They are computed at each scrape, so those of a deleted pool vanish with it.
//!
//! The labels name pools and members, never pods: a status has 256 members at most.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use kube::ResourceExt;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
};
use tracing::warn;

use super::{
    PublishedPools,
    gauges::{amounts, gauges, unit},
};
use crate::api::{MemberStatus, Resources, WeightedShare, WeightedShareStatus};

/// More series of members than this are worth a warning: each costs Prometheus memory.
const MANY: usize = 10_000;

/// Tells of all pools that the process knows.
#[derive(Debug)]
pub struct Pools {
    pools: PublishedPools,
    /// Whether each member has series of its own.
    with_members: bool,
    has_warned: AtomicBool,
}

impl Pools {
    /// Tells of these pools, and of each of their members or not.
    #[must_use]
    pub fn of(pools: PublishedPools, with_members: bool) -> Self {
        Self { pools, with_members, has_warned: AtomicBool::new(false) }
    }

    /// Says once that there are many series.
    fn warn_of(&self, series: usize) {
        if series > MANY && !self.has_warned.swap(true, Ordering::Relaxed) {
            warn!(
                series,
                "/metrics has more than {MANY} series of members: if that is too much for Prometheus, set --member-metrics=false"
            );
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Ord, PartialEq, PartialOrd)]
struct OfMembers {
    state: String,
    reason: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfPool {
    namespace: String,
    pool: String,
    resource: &'static str,
    unit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfMember {
    namespace: String,
    pool: String,
    member: String,
    resource: &'static str,
    unit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfWeight {
    namespace: String,
    pool: String,
    member: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfCondition {
    namespace: String,
    pool: String,
    condition: String,
    reason: String,
}

/// A series for each resource of a pool: its name, what it says, and where that is in a status.
type PoolAmount = (&'static str, &'static str, fn(&WeightedShareStatus) -> &Resources);

const OF_POOLS: [PoolAmount; 3] = [
    ("weightedshare_pool_capacity", "The capacity of the pool", |it| &it.capacity),
    ("weightedshare_pool_allocated", "What the pods of the pool hold in total", |it| &it.allocated),
    ("weightedshare_pool_lent", "Idle capacity that is lent to other members", |it| &it.lent),
];

/// Likewise of each member.
type MemberAmount = (&'static str, &'static str, fn(&MemberStatus) -> &Resources);

const OF_MEMBERS: [MemberAmount; 4] = [
    ("weightedshare_member_fair", "What the member owns", |it| &it.fair),
    ("weightedshare_member_share", "What the member is granted", |it| &it.share),
    ("weightedshare_member_applied", "What the pods of the member hold now", |it| &it.applied),
    ("weightedshare_member_demand", "What the member needs, based on measured usage", |it| {
        &it.demand
    }),
];

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let all = self.pools.all().unwrap_or_default();
        let pools: Vec<(&WeightedShare, &WeightedShareStatus)> =
            all.iter().filter_map(|pool| Some((&**pool, pool.status.as_ref()?))).collect();
        let members =
            || pools.iter().flat_map(|(pool, it)| it.members.iter().map(|it| (*pool, it)));

        let mut states = BTreeMap::<OfMembers, u32>::new();
        for (_, member) in members() {
            let state = member.state.map(|state| format!("{state:?}")).unwrap_or_default();
            *states.entry(OfMembers { state, reason: member.reason.clone() }).or_default() += 1;
        }
        let states = states.into_iter().map(|(labels, count)| (labels, f64::from(count)));
        let help = "The members of all pools, by state and reason";
        gauges(&mut encoder, "weightedshare_members", help, states)?;

        let conditions = pools.iter().flat_map(|(pool, status)| {
            status.conditions.iter().map(|it| {
                let (condition, reason) = (it.type_.clone(), it.reason.clone());
                let (namespace, name) = (namespace(pool), pool.name_any());
                let holds = if it.status == "True" { 1.0 } else { 0.0 };
                (OfCondition { namespace, pool: name, condition, reason }, holds)
            })
        });
        let help = "The conditions of each pool: 1 if the condition holds";
        gauges(&mut encoder, "weightedshare_pool_condition", help, conditions)?;

        for (name, help, of) in OF_POOLS {
            let amounts = pools.iter().flat_map(|(pool, status)| {
                amounts(of(status)).map(|(resource, amount)| {
                    let (namespace, name, unit) =
                        (namespace(pool), pool.name_any(), unit(resource));
                    let resource = resource.name();
                    (OfPool { namespace, pool: name, resource, unit }, amount)
                })
            });
            gauges(&mut encoder, name, help, amounts)?;
        }
        if !self.with_members {
            return Ok(());
        }
        // Each has its weight, and at most four amounts of two resources.
        let series = |(_, it): (_, &MemberStatus)| {
            1 + OF_MEMBERS.iter().map(|(_, _, of)| amounts(of(it)).count()).sum::<usize>()
        };
        self.warn_of(members().map(series).sum());
        for (name, help, of) in OF_MEMBERS {
            let amounts = members().flat_map(|(pool, member)| {
                amounts(of(member)).map(|(resource, amount)| {
                    let (namespace, name, unit) =
                        (namespace(pool), pool.name_any(), unit(resource));
                    let (member, resource) = (member.name.clone(), resource.name());
                    (OfMember { namespace, pool: name, member, resource, unit }, amount)
                })
            });
            gauges(&mut encoder, name, help, amounts)?;
        }
        let weights = members().map(|(pool, member)| {
            let (namespace, name) = (namespace(pool), pool.name_any());
            let labels = OfWeight { namespace, pool: name, member: member.name.clone() };
            (labels, member.effective_weight as f64)
        });
        let help = "The weight of the member beside the others of its pool";
        gauges(&mut encoder, "weightedshare_member_weight", help, weights)
    }
}

fn namespace(pool: &WeightedShare) -> String {
    pool.namespace().unwrap_or_default()
}
