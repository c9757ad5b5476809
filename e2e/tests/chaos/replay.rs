//! What was recorded, played back in the order of the resourceVersions: at no time may a pool be charged more because of
//! something that we wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use weightedshare::{
    api::{Member, WeightedShare},
    cluster::FIELD_MANAGER,
};

use crate::{
    charge::{Amounts, RESOURCES, charge},
    record::{Version, Versions},
};

/// What the playback came to.
#[derive(Debug, Default)]
pub struct Figures {
    pub pod_versions: usize,
    pub pool_versions: usize,
    /// Resizes of ours: upward, downward, and those that move something from one container to another, or a limit.
    pub grows: usize,
    pub shrinks: usize,
    pub others: usize,
    /// The largest charge, in percent of the capacity.
    pub fullest: u64,
    /// The largest part of an excess that pods had caused which the controller could not know yet.
    pub by_new_pods: Amounts,
    /// The largest excess in all, with what a lowered capacity leaves.
    pub excess: Amounts,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "{} versions of pods and {} of pools; {} resizes of ours: {} up, {} down, {} others; the fullest pool was \
             charged {} % of its capacity; the largest excess was {}m and {}Mi, of which new pods that were not known yet \
             made up to {}m and {}Mi",
            self.pod_versions,
            self.pool_versions,
            self.resizes(),
            self.grows,
            self.shrinks,
            self.others,
            self.fullest,
            self.excess[0],
            mebibytes(self.excess[1]),
            self.by_new_pods[0],
            mebibytes(self.by_new_pods[1]),
        )
    }
}

impl Figures {
    pub fn resizes(&self) -> usize {
        self.grows + self.shrinks + self.others
    }
}

/// Plays back what was recorded.
///
/// # Errors
/// When a version of a pod raised what its pool is charged above the capacity, or raised an excess. These may: pods that
/// come, as long as the controller does not know them, and a capacity that is lowered.
pub fn play(pods: Versions<Pod>, pools: Versions<WeightedShare>) -> Result<Figures> {
    let mut replay = Replay::default();
    let figures = &mut replay.figures;
    (figures.pod_versions, figures.pool_versions) = (pods.len(), pools.len());
    let pods = pods.into_iter().map(|(at, (time, pod))| (at, (time, Change::Pod(Box::new(pod)))));
    let pools =
        pools.into_iter().map(|(at, (time, pool))| (at, (time, Change::Pool(Box::new(pool)))));
    let all: BTreeMap<u64, (Instant, Change)> = pods.chain(pools).collect();
    let mut found = Vec::new();
    for (at, (time, change)) in all {
        replay.pass(time);
        let taken = match change {
            Change::Pod(version) => replay.pod(*version),
            Change::Pool(version) => replay.pool(*version),
        };
        if let Err(error) = taken {
            found.push(format!("at the resourceVersion {at}: {error:#}"));
        }
    }
    ensure!(found.is_empty(), "{}\n{}", found.join("\n"), replay.figures);
    Ok(replay.figures)
}

enum Change {
    Pod(Box<Version<Pod>>),
    Pool(Box<Version<WeightedShare>>),
}

/// A pod that a status counts is known to the controller when it has been there for so long: before, another one may have
/// been counted in its place.
const KNOWN: Duration = Duration::from_secs(3);

/// A pod of a pool.
#[derive(Clone, Copy)]
struct Own {
    since: Instant,
    counted: bool,
    known: bool,
}

#[derive(Default)]
struct Replay {
    now: Option<Instant>,
    pods: BTreeMap<String, Pod>,
    /// What the pods are charged.
    charges: BTreeMap<String, Amounts>,
    /// What each generation of their specs asked for that may be in force on their nodes.
    asked: BTreeMap<String, BTreeMap<i64, Amounts>>,
    pools: BTreeMap<String, Pool>,
    figures: Figures,
}

struct Pool {
    object: WeightedShare,
    /// The capacities that the controller may know it by: of each generation since the one that its status speaks of.
    capacities: BTreeMap<i64, [Option<u64>; 2]>,
    /// The pods that belong to it, by name, and whether the controller is sure to know that.
    own: BTreeMap<String, Own>,
}

/// What a pool is charged, of one resource.
#[derive(Clone, Copy, Default)]
struct Account {
    capacity: u64,
    charged: u64,
    /// By pods that the controller may not know yet.
    unknown: u64,
}

impl Account {
    fn excess(self) -> u64 {
        self.charged.saturating_sub(self.unknown).saturating_sub(self.capacity)
    }
}

impl Replay {
    fn pass(&mut self, now: Instant) {
        self.now = Some(now);
        for own in self.pools.values_mut().flat_map(|pool| pool.own.values_mut()) {
            own.known |= own.counted && now.saturating_duration_since(own.since) >= KNOWN;
        }
    }

    fn pod(&mut self, version: Version<Pod>) -> Result<()> {
        let name = match &version {
            Version::Is(pod) | Version::Gone(pod) => pod.name_any(),
        };
        let before = self.pods.get(&name);
        let resized = match (&version, before) {
            (Version::Is(pod), Some(before)) if before.uid() == pod.uid() => {
                asked(before)? != asked(pod)?
            }
            _ => false,
        };
        if resized {
            // Who resizes a pod knows it.
            for pool in self.pools.values_mut() {
                pool.own.get_mut(&name).into_iter().for_each(|own| own.known = true);
            }
        }
        let accounts = self.accounts();
        let old = self.charges.get(&name).copied().unwrap_or_default();
        match version {
            Version::Is(pod) => {
                ensure!(!resized || is_ours(&pod), "{name} was resized, but not by us");
                let charge = self.charge(&name, &pod)?;
                self.charges.insert(name.clone(), charge);
                self.pods.insert(name.clone(), pod);
            }
            Version::Gone(_) => {
                self.charges.remove(&name);
                self.asked.remove(&name);
                self.pods.remove(&name);
            }
        }
        self.assign()?;
        let new = self.charges.get(&name).copied().unwrap_or_default();
        if resized {
            let grown = (0..2).find(|&i| new[i] != old[i]).is_some_and(|i| new[i] > old[i]);
            // The charge of a shrink goes down when the kubelet has carried it out.
            let shrunk = !grown && self.asks_for_less(&name, old)?;
            let figures = &mut self.figures;
            let count = match (grown, shrunk) {
                (true, _) => &mut figures.grows,
                (_, true) => &mut figures.shrinks,
                _ => &mut figures.others,
            };
            *count += 1;
        }
        let what = if resized { "our resize" } else { "a change" };
        for (pool, now) in self.accounts() {
            let Some(before) = accounts.get(&pool) else { continue };
            for i in 0..2 {
                ensure!(
                    now[i].excess() <= before[i].excess(),
                    "{what} of {name} ({} {} -> {}) takes pool {pool} from {} to {} of {} ({} by pods that are new)",
                    RESOURCES[i],
                    old[i],
                    new[i],
                    before[i].charged,
                    now[i].charged,
                    now[i].capacity,
                    now[i].unknown,
                );
            }
        }
        self.measure();
        Ok(())
    }

    fn pool(&mut self, version: Version<WeightedShare>) -> Result<()> {
        match version {
            Version::Is(object) => {
                let name = object.name_any();
                let mut pool = match self.pools.remove(&name) {
                    Some(known) if known.object.uid() == object.uid() => known,
                    _ => Pool {
                        object: object.clone(),
                        capacities: BTreeMap::new(),
                        own: BTreeMap::new(),
                    },
                };
                let capacity = object.spec.capacity;
                let generation = object.metadata.generation.unwrap_or_default();
                let capacity = [capacity.cpu.map(|it| it.0), capacity.memory.map(|it| it.0)];
                pool.capacities.insert(generation, capacity);
                if pool.object.status != object.status {
                    pool.learn(&object, &self.pods);
                }
                pool.object = object;
                self.pools.insert(name, pool);
            }
            Version::Gone(object) => drop(self.pools.remove(&object.name_any())),
        }
        self.assign()?;
        self.measure();
        Ok(())
    }

    /// Gives each pod to the oldest pool that matches it.
    fn assign(&mut self) -> Result<()> {
        let now = self.now.context("a time")?;
        let mut left: BTreeSet<String> = self.pods.keys().cloned().collect();
        let mut pools: Vec<&mut Pool> = self.pools.values_mut().collect();
        pools.sort_by_key(|pool| (pool.object.creation_timestamp(), pool.object.name_any()));
        for pool in pools {
            let ends = pool.object.metadata.deletion_timestamp.is_some();
            let own: BTreeSet<String> = left
                .iter()
                .filter(|name| !ends && pool.member(&self.pods[*name]).is_some())
                .cloned()
                .collect();
            left.retain(|name| !own.contains(name));
            pool.own.retain(|name, _| own.contains(name));
            for name in own {
                pool.own.entry(name).or_insert(Own { since: now, counted: false, known: false });
            }
        }
        Ok(())
    }

    fn accounts(&self) -> BTreeMap<String, [Account; 2]> {
        let account = |pool: &Pool, i: usize| {
            let charge = |name: &String| self.charges[name][i];
            let unknown = pool.own.iter().filter(|(_, own)| !own.known);
            // What is not named is not divided.
            let capacity = pool.capacities.values().map(|it| it[i].unwrap_or(u64::MAX)).max();
            Account {
                capacity: capacity.unwrap_or(u64::MAX),
                charged: pool.own.keys().map(charge).sum(),
                unknown: unknown.map(|(name, _)| charge(name)).sum(),
            }
        };
        let pools = self.pools.iter();
        pools.map(|(name, pool)| (name.clone(), [account(pool, 0), account(pool, 1)])).collect()
    }

    fn measure(&mut self) {
        for accounts in self.accounts().into_values() {
            for (i, account) in
                accounts.into_iter().enumerate().filter(|(_, it)| it.capacity < u64::MAX)
            {
                let figures = &mut self.figures;
                figures.fullest =
                    figures.fullest.max(account.charged * 100 / account.capacity.max(1));
                let excess = account.charged.saturating_sub(account.capacity);
                figures.excess[i] = figures.excess[i].max(excess);
                figures.by_new_pods[i] = figures.by_new_pods[i].max(excess.min(account.unknown));
            }
        }
    }

    /// What a pod is charged, and what its node may have given it without having said so.
    fn charge(&mut self, name: &str, pod: &Pod) -> Result<Amounts> {
        let mut charged = charge(pod)?;
        let generation = pod.metadata.generation.unwrap_or_default();
        let asked = self.asked.entry(name.to_owned()).or_default();
        let question = in_question(pod);
        asked.retain(|generation, _| question.as_ref().is_some_and(|it| it.contains(generation)));
        asked.insert(generation, by_spec(pod)?);
        if question.is_some_and(|it| it.contains(&generation)) && charged != [0; 2] {
            for amounts in asked.values() {
                for (charged, amount) in charged.iter_mut().zip(amounts) {
                    *charged = (*charged).max(*amount);
                }
            }
        }
        Ok(charged)
    }

    fn asks_for_less(&self, name: &str, charged: Amounts) -> Result<bool> {
        let asked = by_spec(&self.pods[name])?;
        Ok((0..2).any(|i| asked[i] < charged[i]))
    }
}

impl Pool {
    /// What the controller is seen to know by a status that it wrote.
    fn learn(&mut self, now: &WeightedShare, pods: &BTreeMap<String, Pod>) {
        let Some(status) = &now.status else { return };
        let observed = status.observed_generation.unwrap_or_default();
        self.capacities.retain(|generation, _| *generation >= observed);
        for member in &status.members {
            let counted = |name: &&String| {
                let pod = &pods[*name];
                self.member(pod) == Some(&member.name)
                    && pod.metadata.deletion_timestamp.is_none()
                    && charge(pod).is_ok_and(|charge| charge != [0; 2])
            };
            let there: Vec<String> = self.own.keys().filter(counted).cloned().collect();
            // As many as there are: those.
            if usize::try_from(member.pods) == Ok(there.len()) {
                for name in there {
                    self.own.get_mut(&name).into_iter().for_each(|own| own.counted = true);
                }
            }
        }
    }

    /// The member that matches a pod, the first by name.
    fn member(&self, pod: &Pod) -> Option<&String> {
        let matches = |member: &&Member| {
            let wanted = member.selector.as_ref().and_then(|it| it.match_labels.as_ref());
            let labels = pod.labels();
            wanted
                .is_some_and(|all| all.iter().all(|(name, value)| labels.get(name) == Some(value)))
        };
        self.object.spec.members.iter().filter(matches).map(|member| &member.name).min()
    }
}

/// What a pod would be charged, were its spec all there is.
fn by_spec(pod: &Pod) -> Result<Amounts> {
    charge(&Pod { status: None, ..pod.clone() })
}

/// What the containers of a pod ask for and may have at most.
fn asked(pod: &Pod) -> Result<Value> {
    let Some(spec) = &pod.spec else { bail!("{} has no spec", pod.name_any()) };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    Ok(json!(containers.map(|container| &container.resources).collect::<Vec<_>>()))
}

/// The generations of its spec that may be in force on its node: those that the node has not spoken of, and the one that
/// it spoke of last, unless it said that this one waits. None where it has no node.
fn in_question(pod: &Pod) -> Option<std::ops::RangeFrom<i64>> {
    pod.spec.as_ref()?.node_name.as_ref()?;
    let status = pod.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation).unwrap_or_default();
    let mut conditions = status.and_then(|it| it.conditions.as_ref()).into_iter().flatten();
    let waits = conditions.any(|it| it.type_ == "PodResizePending" && it.status == "True");
    Some(if waits { seen + 1.. } else { seen.. })
}

fn is_ours(pod: &Pod) -> bool {
    pod.managed_fields().iter().any(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.subresource.as_deref() == Some("resize")
    })
}

#[cfg(test)]
mod tests;
