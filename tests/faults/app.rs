//! The pods of a member, and what makes them.

use serde_json::{Value, json};

use super::{
    amounts::list,
    kubelet::NEVER,
    rng::Rng,
    scenario::{MI, NAMESPACE, cores, mebibytes},
};

/// The label of a node that pods name which may only run there.
pub const HOST: &str = "kubernetes.io/hostname";
/// What a side car that goes on for ever asks for, in percent of the pod's own.
const SIDECAR: u64 = 20;

/// The classes of pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    Burstable,
    Limited,
    Guaranteed,
    BestEffort,
}

/// A member's pods, all of one template.
#[derive(Clone, Debug)]
pub struct App {
    pub name: String,
    pub namespace: &'static str,
    /// What its pods are made by.
    pub kind: &'static str,
    pub shape: Shape,
    pub cpu: u64,
    pub memory: u64,
    pub limit: u64,
    pub side: bool,
    pub init: bool,
    /// An init container that goes on beside the others.
    pub sidecar: bool,
    /// Its resources are set for the pod as a whole.
    pub whole: bool,
    /// What its runtime takes besides: millicores, bytes.
    pub overhead: Option<(u64, u64)>,
    pub never: bool,
    pub pods: u64,
}

impl App {
    /// A member's pods, however many, with whatever they ask for.
    pub fn any(rng: &mut Rng, i: usize, pods: u64) -> Self {
        let shape = match rng.range(0, 99) {
            0..45 => Shape::Burstable,
            45..70 => Shape::Limited,
            70..90 => Shape::Guaranteed,
            _ => Shape::BestEffort,
        };
        let requests = shape != Shape::BestEffort;
        Self {
            name: format!("app{i}"),
            namespace: NAMESPACE,
            kind: "ReplicaSet",
            shape,
            cpu: if requests { rng.range(4, 60) * 20 } else { 0 },
            memory: if requests { rng.range(2, 32) * 32 * MI } else { 0 },
            limit: rng.range(12, 40) * 10,
            side: rng.percent(25),
            init: rng.percent(15),
            sidecar: false,
            whole: false,
            overhead: None,
            never: rng.percent(3),
            pods,
        }
    }

    /// In some pods there is something that no resize moves.
    pub fn add_what_is_not_resized(&mut self, rng: &mut Rng) {
        self.sidecar = rng.percent(15);
        self.overhead = rng.percent(10).then(|| (rng.range(1, 20) * 10, rng.range(1, 4) * 16 * MI));
    }

    /// The resources of some plain pods are set for the pod as a whole.
    pub fn set_at_pod_level(&mut self, rng: &mut Rng) {
        let is_plain = !self.side && !self.init && !self.sidecar;
        self.whole = rng.percent(15) && is_plain && self.shape != Shape::BestEffort;
    }

    /// How much of each pod no resize moves: millicores, bytes.
    pub fn beside(&self) -> (u64, u64) {
        let (cpu, memory) = self.overhead.unwrap_or_default();
        let part = if self.sidecar { SIDECAR } else { 0 };
        (cpu + self.cpu * part / 100, memory + self.memory * part / 100)
    }

    pub fn template(&self) -> Value {
        let main = |share: u64| {
            let (cpu, memory) = (self.cpu * share / 100, self.memory * share / 100 / MI);
            let requests = json!({"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")});
            let limits = match self.shape {
                Shape::Guaranteed => requests.clone(),
                _ => {
                    json!({"cpu": format!("{}m", cpu * self.limit / 100), "memory": format!("{}Mi", memory * self.limit / 100)})
                }
            };
            match self.shape {
                Shape::BestEffort => json!({}),
                Shape::Burstable => json!({"requests": requests}),
                Shape::Limited | Shape::Guaranteed => {
                    json!({"requests": requests, "limits": limits})
                }
            }
        };
        let container =
            |name: &str, share| json!({"name": name, "image": "app", "resources": main(share)});
        let containers = match self.side {
            true => vec![container("main", 75), container("side", 25)],
            false => vec![container("main", 100)],
        };
        let mut spec = json!({"containers": containers});
        if self.whole {
            spec["resources"] = main(100);
            spec["containers"][0]["resources"] = json!({});
        }
        if self.init {
            spec["initContainers"] = json!([container("prepare", 50)]);
        }
        if self.sidecar {
            let mut sidecar = container("proxy", SIDECAR);
            sidecar["restartPolicy"] = "Always".into();
            let before = list(&spec, "/initContainers").to_vec();
            spec["initContainers"] = before.into_iter().chain([sidecar]).collect();
        }
        if let Some((cpu, memory)) = self.overhead {
            spec["runtimeClassName"] = self.name.clone().into();
            spec["overhead"] = json!({"cpu": cores(cpu), "memory": mebibytes(memory)});
        }
        spec
    }

    pub fn pod(&self, name: &str, node: &str) -> Value {
        let mut annotations = json!({});
        if self.never {
            annotations[NEVER] = "yes".into();
        }
        let mut spec = self.template();
        spec["nodeSelector"] = json!({HOST: node});
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": self.namespace, "labels": {"app": self.name}, "annotations": annotations,
                "ownerReferences": [owner(self.made_by(), &self.name)],
            },
            "spec": spec,
            "status": {"phase": "Pending", "qosClass": class_of(self.shape)},
        })
    }

    /// What owns its pods: the ReplicaSet of a Deployment has its name here.
    fn made_by(&self) -> &'static str {
        if self.kind == "Deployment" { "ReplicaSet" } else { self.kind }
    }

    /// What there is for its pods, with the plural of each kind: what makes them, and what says how they run.
    pub fn objects(&self) -> Vec<(&'static str, Value)> {
        let plural = |kind: &str| match kind {
            "DaemonSet" => "daemonsets",
            "Deployment" => "deployments",
            "ReplicaSet" => "replicasets",
            _ => "statefulsets",
        };
        let workload = |kind: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": kind,
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {
                    "selector": {"matchLabels": {"app": self.name}},
                    "template": {"metadata": {"labels": {"app": self.name}}, "spec": self.template()},
                },
            })
        };
        let mut all = vec![(plural(self.kind), workload(self.kind))];
        if self.kind == "Deployment" {
            let mut below = workload("ReplicaSet");
            below["metadata"]["ownerReferences"] = json!([owner(self.kind, &self.name)]);
            all.push((plural("ReplicaSet"), below));
        }
        if let Some((cpu, memory)) = self.overhead {
            let overhead = json!({"podFixed": {"cpu": cores(cpu), "memory": mebibytes(memory)}});
            let class = json!({
                "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": self.name},
                "handler": "sandbox", "overhead": overhead,
            });
            all.push(("runtimeclasses", class));
        }
        all
    }
}

fn owner(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true})
}

fn class_of(shape: Shape) -> &'static str {
    match shape {
        Shape::Guaranteed => "Guaranteed",
        Shape::BestEffort => "BestEffort",
        _ => "Burstable",
    }
}
