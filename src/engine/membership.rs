//! Whose a pod is: of the pools that match it the oldest (then by name), of that pool's members the first by name.
//!
//! It is kept up to date: an event costs as much as it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kube::core::{Selector, SelectorExt};

use crate::{
    api::{Member, TargetRef, WeightedShare},
    cluster::{Changes, Cluster, Namespace, Owner, Pod, PoolId},
};

/// The members of all pools, with their pods.
#[derive(Debug, Default)]
pub struct Membership {
    namespaces: BTreeMap<String, Claims>,
    pools: BTreeMap<PoolId, PoolPods>,
    /// What matches each pod that any pool matches or may match, by namespace and name.
    pods: PodMatches,
}

/// What matches each pod, by namespace and name.
type PodMatches = BTreeMap<String, BTreeMap<String, Matches>>;

/// What has to do with a change.
#[derive(Debug, Default)]
pub struct Touched {
    /// The pools that match, or matched, a pod that changed, came or went.
    pub pools: BTreeSet<PoolId>,
    /// The pods that match other members than before, by namespace and name.
    pub pods: BTreeSet<(String, String)>,
}

/// The pods of one pool, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolPods {
    /// Of each member, in the order of the spec: its pods, those that are being deleted too.
    pub own: Vec<BTreeSet<String>>,
    /// Of each member: those of its pods that a younger pool matches as well.
    pub contested: Vec<BTreeSet<String>>,
    /// Of each member: pods that it matches and that belong to an older pool.
    pub lost: Vec<BTreeSet<String>>,
    /// Of each member: pods that may turn out to be its own, as their controllers were not seen yet.
    pub unseen: Vec<BTreeSet<String>>,
}

/// The members that match a pod, that of the oldest pool first; or those that may, where none does.
#[derive(Clone, Debug, Default, PartialEq)]
struct Matches {
    certain: Vec<Place>,
    possible: Vec<Place>,
}

/// A member: its pool, and its place in the spec.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    pool: PoolId,
    member: usize,
}

/// What the pools of one namespace match.
#[derive(Debug, Default)]
struct Claims {
    /// What each pool's members match, in the order of its spec.
    sources: BTreeMap<PoolId, Vec<(String, Source)>>,
    /// The members that only match pods with a label, by its key and value, so that few are compared.
    by_label: HashMap<String, HashMap<String, Vec<Claim>>>,
    /// The members that match the pods of a workload.
    by_target: BTreeMap<Owner, Vec<Claim>>,
    /// All other members.
    any: Vec<Claim>,
}

/// A member that may match a pod. Of one pool, the first by name does.
#[derive(Clone, Debug)]
struct Claim {
    pool: PoolId,
    /// Its place among the members of its pool by name, and in the spec.
    rank: usize,
    member: usize,
}

/// What a member matches.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// Pods by label, with the labels that all of them have.
    Selector(Selector, Vec<(String, String)>),
    Target(Owner),
    /// Neither, or a selector that cannot be read: the API server refuses such members.
    Nothing,
}

impl Membership {
    /// Takes in what changed.
    pub fn update(&mut self, cluster: &Cluster, changes: &Changes) -> Touched {
        let mut forgotten = PodMatches::new();
        let mut pods = changes.rematched.clone();
        for namespace in self.update_claims(cluster, changes) {
            // The place of a member may be another's now, so all pods of the namespace are matched anew.
            let there = cluster.namespace(&namespace).into_iter().flat_map(Namespace::pods);
            pods.extend(there.map(|pod| (namespace.clone(), pod.name.clone())));
            let matches = self.forget(&namespace);
            forgotten.insert(namespace, matches);
        }
        let mut touched = Touched::default();
        // A pod that matches what it matched before still concerns those pools.
        for (namespace, name) in &changes.pods {
            let known = of_pod(&self.pods, namespace, name);
            let before = known.or_else(|| of_pod(&forgotten, namespace, name));
            let places = before.into_iter().flat_map(Matches::places);
            touched.pools.extend(places.map(|place| place.pool.clone()));
        }
        for key in pods {
            let now = cluster.pod(&key.0, &key.1).map(|pod| self.matches(cluster, pod));
            let now = now.filter(|it| *it != Matches::default());
            let (namespace, name) = &key;
            let known = of_pod(&self.pods, namespace, name);
            let same = known == now.as_ref();
            let before = known.or_else(|| of_pod(&forgotten, namespace, name));
            if before != now.as_ref() {
                let both = before.into_iter().chain(&now).flat_map(Matches::places);
                touched.pools.extend(both.map(|place| place.pool.clone()));
                touched.pods.insert(key.clone());
            }
            if !same {
                self.set(key, now);
            }
        }
        touched
    }

    /// The pods of a pool.
    #[must_use]
    pub fn of(&self, pool: &PoolId) -> Option<&PoolPods> {
        self.pools.get(pool)
    }

    /// The pool that a pod belongs to, with the member's place in its spec.
    #[must_use]
    pub fn owner(&self, namespace: &str, pod: &str) -> Option<(&PoolId, usize)> {
        let matches = of_pod(&self.pods, namespace, pod)?;
        matches.certain.first().map(|place| (&place.pool, place.member))
    }

    /// The younger pools that match a pod as well as the one that it belongs to.
    pub fn rivals(&self, namespace: &str, pod: &str) -> impl Iterator<Item = &PoolId> {
        let matches = of_pod(&self.pods, namespace, pod);
        matches.into_iter().flat_map(|it| it.certain.iter().skip(1)).map(|place| &place.pool)
    }

    /// The pools whose members name one of these workloads.
    pub fn naming<'m>(&'m self, workload: &'m Owner) -> impl Iterator<Item = &'m PoolId> {
        let claims = self.namespaces.get(&workload.namespace);
        let claims = claims.and_then(|it| it.by_target.get(workload)).into_iter().flatten();
        claims.map(|claim| &claim.pool)
    }

    /// Brings what pools match up to date. Returns the namespaces where that changed.
    fn update_claims(&mut self, cluster: &Cluster, changes: &Changes) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for id in &changes.pools {
            let sources = cluster.pool(id).filter(|it| it.is_live()).map(|it| sources(&it.object));
            let claims = self.namespaces.entry(id.namespace.clone()).or_default();
            if claims.sources.get(id) == sources.as_ref() {
                continue;
            }
            changed.insert(id.namespace.clone());
            match sources {
                Some(sources) => {
                    let known = claims.sources.remove_entry(id);
                    let id = known.map_or_else(|| id.clone(), |(id, _)| id);
                    claims.sources.insert(id, sources);
                }
                None => drop(claims.sources.remove(id)),
            }
        }
        for namespace in &changed {
            if let Some(claims) = self.namespaces.get_mut(namespace) {
                claims.index();
            }
        }
        self.namespaces.retain(|_, claims| !claims.sources.is_empty());
        changed
    }

    /// Forgets what matches the pods of a namespace, and returns it.
    fn forget(&mut self, namespace: &str) -> BTreeMap<String, Matches> {
        self.pools.retain(|pool, _| pool.namespace != *namespace);
        self.pods.remove(namespace).unwrap_or_default()
    }

    fn matches(&self, cluster: &Cluster, pod: &Pod) -> Matches {
        let Some(claims) = self.namespaces.get(&pod.namespace) else { return Matches::default() };
        let certain = claims.matching(cluster, pod);
        let possible = if certain.is_empty() { claims.possible(cluster, pod) } else { Vec::new() };
        Matches { certain, possible }
    }

    /// Notes what matches a pod now.
    fn set(&mut self, key: (String, String), now: Option<Matches>) {
        let (namespace, name) = key;
        let mut pods = self.pods.remove(&namespace).unwrap_or_default();
        if let Some(before) = pods.remove(&name) {
            self.note(&name, &before, |pods, name| {
                pods.remove(name);
            });
        }
        if let Some(now) = now {
            self.note(&name, &now, |pods, name| {
                pods.insert(name.to_owned());
            });
            pods.insert(name, now);
        }
        if !pods.is_empty() {
            self.pods.insert(namespace, pods);
        }
    }

    fn note(&mut self, pod: &str, matches: &Matches, change: fn(&mut BTreeSet<String>, &str)) {
        let owner = matches.certain.first();
        let contested = owner.filter(|_| matches.certain.len() > 1);
        let contested = contested.map(|place| (place, Standing::Contested));
        let owner = owner.map(|place| (place, Standing::Own));
        let losers = matches.certain.iter().skip(1).map(|place| (place, Standing::Lost));
        let possible = matches.possible.iter().map(|place| (place, Standing::Unseen));
        for (place, standing) in owner.into_iter().chain(contested).chain(losers).chain(possible) {
            let pods = self.pools.entry(place.pool.clone()).or_default();
            let sets = match standing {
                Standing::Own => &mut pods.own,
                Standing::Contested => &mut pods.contested,
                Standing::Lost => &mut pods.lost,
                Standing::Unseen => &mut pods.unseen,
            };
            if sets.len() <= place.member {
                sets.resize_with(place.member + 1, BTreeSet::new);
            }
            change(&mut sets[place.member], pod);
        }
    }
}

fn of_pod<'m>(all: &'m PodMatches, namespace: &str, name: &str) -> Option<&'m Matches> {
    all.get(namespace)?.get(name)
}

enum Standing {
    Own,
    Contested,
    Lost,
    Unseen,
}

impl PoolPods {
    /// The pods of a member: its own, those of them that are contested, those that it lost, and those that may be its own.
    pub fn of_member(&self, member: usize) -> [impl Iterator<Item = &str>; 4] {
        [&self.own, &self.contested, &self.lost, &self.unseen]
            .map(|sets| sets.get(member).into_iter().flatten().map(String::as_str))
    }
}

impl Matches {
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.certain.iter().chain(&self.possible)
    }
}

impl Source {
    /// Labels that all pods have which it matches.
    fn labels(&self) -> &[(String, String)] {
        match self {
            Self::Selector(_, labels) => labels,
            Self::Target(_) | Self::Nothing => &[],
        }
    }
}

impl Claims {
    /// Files each member under something that all of its pods have.
    fn index(&mut self) {
        self.by_label.clear();
        self.by_target.clear();
        self.any.clear();
        let mut common: BTreeMap<&(String, String), usize> = BTreeMap::new();
        for label in self.sources.values().flatten().flat_map(|(_, source)| source.labels()) {
            *common.entry(label).or_default() += 1;
        }
        for (pool, sources) in &self.sources {
            let mut order: Vec<usize> = (0..sources.len()).collect();
            order.sort_by_key(|&member| &sources[member].0);
            for (rank, member) in order.into_iter().enumerate() {
                let claim = Claim { pool: pool.clone(), rank, member };
                match &sources[member].1 {
                    Source::Target(owner) => {
                        self.by_target.entry(owner.clone()).or_default().push(claim);
                    }
                    // Few share a label, so that few are compared.
                    Source::Selector(_, labels) => {
                        match labels.iter().min_by_key(|label| common[label]) {
                            Some((key, value)) => {
                                let of_key = self.by_label.entry(key.clone()).or_default();
                                of_key.entry(value.clone()).or_default().push(claim);
                            }
                            None => self.any.push(claim),
                        }
                    }
                    Source::Nothing => {}
                }
            }
        }
    }

    /// The members that match a pod, that of the oldest pool first: of each pool, the first by name.
    fn matching(&self, cluster: &Cluster, pod: &Pod) -> Vec<Place> {
        let by_label =
            pod.labels.iter().filter_map(|(key, value)| self.by_label.get(key)?.get(value));
        let by_target = self.naming_what_is_above(cluster, pod);
        let candidates = by_label.flatten().chain(by_target).chain(&self.any);
        let mut first: BTreeMap<&PoolId, (usize, usize)> = BTreeMap::new();
        for claim in candidates {
            let source = &self.sources[&claim.pool][claim.member].1;
            let better = first.get(&claim.pool).is_none_or(|(rank, _)| claim.rank < *rank);
            let matches = || match source {
                Source::Selector(selector, _) => selector.matches(&pod.labels),
                Source::Target(_) => true,
                Source::Nothing => false,
            };
            if better && matches() {
                first.insert(&claim.pool, (claim.rank, claim.member));
            }
        }
        first.into_iter().map(|(pool, (_, member))| Place { pool: pool.clone(), member }).collect()
    }

    /// The members that name a workload of a pod, or the pod itself.
    fn naming_what_is_above(&self, cluster: &Cluster, pod: &Pod) -> Vec<&Claim> {
        if self.by_target.is_empty() {
            return Vec::new();
        }
        let itself = Owner {
            namespace: pod.namespace.clone(),
            kind: "Pod".to_owned(),
            name: pod.name.clone(),
        };
        let gone = cluster.workloads_once_above(pod);
        let above = cluster.workloads_above(pod).chain([&itself]).chain(&gone);
        above.filter_map(|owner| self.by_target.get(owner)).flatten().collect()
    }

    /// The members that a pod may turn out to belong to, as a controller of it was not seen yet.
    fn possible(&self, cluster: &Cluster, pod: &Pod) -> Vec<Place> {
        let Some(controller) = cluster.unseen_controller(pod).filter(|_| !pod.terminating) else {
            return Vec::new();
        };
        let targets = self.by_target.iter();
        let possible = targets.filter(|(target, _)| controller.may_belong_to(&target.kind));
        let mut places: Vec<Place> = possible
            .flat_map(|(_, claims)| claims)
            .map(|claim| Place { pool: claim.pool.clone(), member: claim.member })
            .collect();
        places.sort();
        places
    }
}

/// What the members of a pool match, with their names.
fn sources(pool: &WeightedShare) -> Vec<(String, Source)> {
    let namespace = pool.metadata.namespace.as_deref().unwrap_or_default();
    let source = |member: &Member| match (&member.selector, &member.target_ref) {
        (_, Some(target)) => Source::Target(owner(target, namespace)),
        (Some(selector), None) => {
            let labels = selector.match_labels.clone().into_iter().flatten().collect();
            let read = Selector::try_from(selector.clone());
            read.map_or(Source::Nothing, |selector| Source::Selector(selector, labels))
        }
        (None, None) => Source::Nothing,
    };
    pool.spec.members.iter().map(|member| (member.name.clone(), source(member))).collect()
}

/// The workload that a target of a pool is.
#[must_use]
pub fn owner(target: &TargetRef, namespace: &str) -> Owner {
    Owner { namespace: namespace.to_owned(), kind: target.kind.clone(), name: target.name.clone() }
}
