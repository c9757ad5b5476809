//! The cluster that a trace is replayed on: pods come and go as the trace says, and are resized as the engine says.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;

use super::trace::{Facts, Trace, TracedPod};
use crate::{
    api::WeightedShare,
    cluster::{Binding, Cluster, Container, Event, Kept, Key, Kind, Node, Object, Pod, Qos},
    engine::{FINALIZER, PodResize},
    share::{Held, PerResource, Resource},
};

/// Where pods run whose node is not known.
const SOMEWHERE: &str = "node";
/// A node that is not described has whole cores and GiB.
const WHOLE: PerResource<u64> = PerResource { cpu: 1000, memory: 1 << 30 };

/// The cluster, and the pods of the trace in their order.
pub struct World {
    /// What the engine sees.
    pub cluster: Cluster,
    /// The pods of the trace, whether they are there now or not.
    pub pods: Vec<ReplayedPod>,
    /// The names of the nodes that these are on.
    pub nodes: Vec<String>,
    /// The places of pods that came and have not gone, by node.
    pub there: Vec<Vec<usize>>,
    places: HashMap<String, usize>,
    /// The places of the pods in the order in which they come, and in which they go.
    coming: Vec<(usize, usize)>,
    going: Vec<(usize, usize)>,
    version: u64,
}

/// A pod of the trace.
pub struct ReplayedPod {
    /// It, as it is now.
    pub pod: Pod,
    /// As it would be if it were not resized.
    pub before: Limited,
    /// As it is.
    pub now: Limited,
    /// The place of its node.
    pub node: usize,
}

/// What decides how much CPU the kernel gives to a pod, and what it holds. In millicores and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limited {
    /// What it requests, and is charged.
    pub charge: PerResource<u64>,
    /// Its limits.
    pub limit: PerResource<Option<u64>>,
}

impl Limited {
    fn of(pod: &Pod) -> Self {
        let mut memory = pod.containers.iter().map(|it| it.limit.memory);
        let memory = memory.try_fold(0u64, |sum, limit| Some(sum.saturating_add(limit?)));
        Self {
            charge: PerResource::from_fn(|resource| pod.charge(resource)),
            limit: PerResource { cpu: pod.cpu_limits().all, memory },
        }
    }
}

impl World {
    /// The objects of a cluster, with the pods of a trace in place of those of the same name.
    #[must_use]
    pub fn new(objects: Cluster, trace: &Trace) -> Self {
        let mut cluster = objects;
        take_in_hand(&mut cluster);
        let likes = Likes::of(&cluster);
        let (mut nodes, mut pods) = (BTreeMap::new(), Vec::new());
        for traced in &trace.pods {
            let like = likes.of_pod(&cluster, traced);
            let pod = like.map_or_else(|| made_up(traced), |like| as_traced(like, traced));
            let count = nodes.len();
            let name = pod.node.clone().unwrap_or_default();
            let node = *nodes.entry(name).or_insert(count);
            let before = Limited::of(&pod);
            pods.push(ReplayedPod { pod, before, now: before, node });
        }
        for traced in &trace.pods {
            cluster.apply(Event::Deleted(key(&traced.namespace, &traced.name)));
        }
        let mut names = vec![String::new(); nodes.len()];
        nodes.into_iter().for_each(|(name, place)| names[place] = name);
        let places = pods.iter().enumerate().map(|(place, it)| (it.pod.uid.clone(), place));
        let places = places.collect();
        let mut coming: Vec<(usize, usize)> =
            trace.pods.iter().enumerate().map(|(place, it)| (it.from, place)).collect();
        let ends = |it: &TracedPod| it.from + it.samples.len();
        let mut going: Vec<(usize, usize)> =
            trace.pods.iter().enumerate().map(|(place, it)| (ends(it), place)).collect();
        // The next is the last.
        coming.sort_unstable_by(|a, b| b.cmp(a));
        going.sort_unstable_by(|a, b| b.cmp(a));
        let there = vec![Vec::new(); names.len()];
        let mut world =
            Self { cluster, pods, nodes: names, there, places, coming, going, version: 0 };
        world.add_nodes(trace);
        world
    }

    /// Nodes that are not described are as large as what their pods requested at most at one time, or used if that was more.
    fn add_nodes(&mut self, trace: &Trace) {
        let unseen: Vec<bool> =
            self.nodes.iter().map(|name| self.cluster.node(name).is_none()).collect();
        if !unseen.contains(&true) {
            return;
        }
        let mut most = vec![PerResource::<u64>::default(); self.nodes.len()];
        for step in 0..trace.steps {
            let mut requested = vec![PerResource::<u64>::default(); self.nodes.len()];
            let mut used = requested.clone();
            for (traced, pod) in trace.pods.iter().zip(&self.pods) {
                let Some(sample) = traced.at(step).filter(|_| unseen[pod.node]) else { continue };
                for resource in Resource::ALL {
                    requested[pod.node][resource] += pod.before.charge[resource];
                }
                used[pod.node].cpu += sample.cpu().unwrap_or_default();
                used[pod.node].memory += sample.memory().unwrap_or_default();
            }
            for (most, (requested, used)) in most.iter_mut().zip(requested.iter().zip(&used)) {
                *most = PerResource::from_fn(|it| most[it].max(requested[it]).max(used[it]));
            }
        }
        for (place, most) in most.into_iter().enumerate().filter(|(place, _)| unseen[*place]) {
            let allocatable =
                PerResource::from_fn(|it| most[it].max(1).next_multiple_of(WHOLE[it]));
            let name = self.nodes[place].clone();
            let key = Key { kind: Kind::Node, namespace: String::new(), name };
            let node = Node { allocatable, ..Node::default() };
            self.cluster.apply(Event::Applied(key, Object::Node(node)));
        }
    }

    /// Pods come and go as the trace says. `at` is the time of the step.
    pub fn come_and_go(&mut self, step: usize, at: Timestamp) {
        while let Some((_, place)) = self.going.pop_if(|(ends, _)| *ends <= step) {
            let ReplayedPod { pod, node, .. } = &self.pods[place];
            self.cluster.apply(Event::Deleted(key(&pod.namespace, &pod.name)));
            self.there[*node].retain(|it| *it != place);
        }
        while let Some((_, place)) = self.coming.pop_if(|(from, _)| *from <= step) {
            let charge = self.pods[place].before.charge;
            let pod = &mut self.pods[place].pod;
            pod.created = Some(at);
            pod.binding = Some(Binding { at: Some(at), charge, is_original: true, written: None });
            self.there[self.pods[place].node].push(place);
            self.show(place);
        }
    }

    /// Carries resizes out, at once. Returns the place of each pod; a pod of which only the objects tell has none.
    pub fn carry_out<'r>(
        &mut self,
        resizes: impl Iterator<Item = &'r PodResize>,
    ) -> Vec<Option<usize>> {
        let mut resized = Vec::new();
        for resize in resizes {
            let place = self.places.get(&resize.uid).copied();
            if let Some(place) = place {
                let replayed = &mut self.pods[place];
                set(&mut replayed.pod, resize);
                replayed.now = Limited::of(&replayed.pod);
                self.show(place);
            } else if let Some(pod) = self.cluster.pod(&resize.namespace, &resize.pod) {
                let mut pod = pod.clone();
                set(&mut pod, resize);
                self.version += 1;
                apply(&mut self.cluster, &mut pod, self.version);
            }
            resized.push(place);
        }
        resized
    }

    /// The place of a pod, by its UID.
    #[must_use]
    pub fn place(&self, uid: &str) -> Option<usize> {
        self.places.get(uid).copied()
    }

    /// The engine sees a pod as it is now.
    fn show(&mut self, place: usize) {
        self.version += 1;
        apply(&mut self.cluster, &mut self.pods[place].pod, self.version);
    }
}

fn apply(cluster: &mut Cluster, pod: &mut Pod, version: u64) {
    pod.resource_version = version.to_string();
    pod.generation += 1;
    let key = key(&pod.namespace, &pod.name);
    cluster.apply(Event::Applied(key, Object::Pod(Box::new(pod.clone()))));
}

/// The controller has set its finalizer on all pools: before that it resizes nothing.
fn take_in_hand(cluster: &mut Cluster) {
    let pools: Vec<WeightedShare> = cluster.pools().map(|(_, pool)| pool.object.clone()).collect();
    for mut pool in pools {
        let finalizers = pool.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|it| it == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
            cluster.apply(Event::Applied(pool.key(), pool.read()));
        }
    }
}

fn key(namespace: &str, name: &str) -> Key {
    Key { kind: Kind::Pod, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Does to a pod what a resize asks for.
fn set(pod: &mut Pod, resize: &PodResize) {
    let resource = resize.resource;
    for asked in &resize.containers {
        let parts = match &mut pod.pod_level {
            Some(part) if asked.name.is_empty() => std::slice::from_mut(&mut **part),
            _ => pod.containers.as_mut_slice(),
        };
        let Some(part) = parts.iter_mut().find(|part| part.name == asked.name) else { continue };
        part.held[resource] = Held { requested: asked.request, admitted: asked.request };
        if asked.limit.is_some() {
            part.limit[resource] = asked.limit;
            part.enforced[resource] = asked.limit;
            pod.limited_by_us[resource] = true;
        }
    }
    pod.resized_by_us[resource] = true;
}

/// The pods among the objects that pods of the trace can be like.
pub(super) struct Likes {
    /// By namespace, and by the name without its last part, which is another for each pod of a ReplicaSet.
    by_stem: HashMap<(String, String), String>,
}

impl Likes {
    pub fn of(cluster: &Cluster) -> Self {
        let pods = cluster.namespaces().flat_map(|(_, namespace)| namespace.pods());
        let stems = pods.filter_map(|pod| {
            let (stem, _) = pod.name.rsplit_once('-')?;
            Some(((pod.namespace.clone(), stem.to_owned()), pod.name.clone()))
        });
        Self { by_stem: stems.collect() }
    }

    pub fn of_pod<'c>(&self, cluster: &'c Cluster, traced: &TracedPod) -> Option<&'c Pod> {
        let (namespace, name) = (&traced.namespace, &traced.name);
        cluster.pod(namespace, name).or_else(|| {
            let (stem, _) = name.rsplit_once('-')?;
            let like = self.by_stem.get(&(namespace.clone(), stem.to_owned()))?;
            cluster.pod(namespace, like)
        })
    }
}

/// A pod of the trace that is like one of the objects.
fn as_traced(like: &Pod, traced: &TracedPod) -> Pod {
    let node = traced.facts.node.clone().or_else(|| like.node.clone());
    Pod {
        name: traced.name.clone(),
        uid: uid(traced),
        node: Some(node.unwrap_or_else(|| SOMEWHERE.to_owned())),
        terminating: false,
        pending: None,
        ..like.clone()
    }
}

/// A pod of the trace that nothing else says anything of. Without a request it has what it used at most.
fn made_up(traced: &TracedPod) -> Pod {
    let Facts { labels, node, requests, limits } = &traced.facts;
    let samples = || traced.samples.iter();
    let most = PerResource {
        cpu: samples().filter_map(|it| it.cpu()).max(),
        memory: samples().filter_map(|it| it.memory()).max(),
    };
    let request = PerResource::from_fn(|it| requests[it].or(limits[it]).or(most[it]).unwrap_or(0));
    let held = request.map(|it| Held { requested: it, admitted: it });
    let is_limit = |it: Resource| limits[it] == Some(request[it]);
    Pod {
        namespace: traced.namespace.clone(),
        name: traced.name.clone(),
        uid: uid(traced),
        labels: labels.clone(),
        node: Some(node.clone().unwrap_or_else(|| SOMEWHERE.to_owned())),
        qos: match Resource::ALL.into_iter().all(is_limit) {
            true => Qos::Guaranteed,
            false => Qos::Burstable,
        },
        containers: vec![Container {
            name: "main".to_owned(),
            held,
            limit: *limits,
            ..Container::default()
        }],
        ..Pod::default()
    }
}

fn uid(traced: &TracedPod) -> String {
    format!("{}/{}", traced.namespace, traced.name)
}
