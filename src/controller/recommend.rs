//! What would help a virtual machine beyond its share, and is left to its owner. Pure.

use super::shares::{MemberShare, PodShare};
use crate::{
    api::Recommendation,
    observe::{Machine, Snapshot},
};

/// How many machines of a member are named.
const MOST: usize = 8;

/// One more socket for each machine of a member that uses all of its virtual CPUs (nine tenths, at the peak) and owns all
/// that they can use. `share` is the CPU of the member.
#[must_use]
pub fn of_member(snapshot: &Snapshot, share: &MemberShare) -> Vec<Recommendation> {
    let homes = share.pods.iter().filter(|pod| !pod.surge);
    let mut all: Vec<Recommendation> = homes.filter_map(|pod| one(snapshot, pod)).collect();
    all.sort_by(|a, b| a.virtual_machine.cmp(&b.virtual_machine));
    all.truncate(MOST);
    all
}

fn one(snapshot: &Snapshot, share: &PodShare) -> Option<Recommendation> {
    let pod = share.pod;
    let machine = snapshot.machine(pod)?;
    let used = snapshot.signals.pods.get(&(pod.namespace.clone(), pod.name.clone()))?.peak.cpu;
    let (now, more) = one_more(machine)?;
    let nanocores = u128::from(machine.vcpus) * 1_000_000_000;
    if u128::from(used) * 10 < nanocores * 9 || share.fair() / 1000 < machine.vcpus {
        return None;
    }
    let owner = snapshot.workloads_above(pod).find(|it| it.kind == "VirtualMachine")?;
    let (name, namespace) = (&owner.name, &owner.namespace);
    Some(Recommendation {
        virtual_machine: name.clone(),
        cpu_sockets: more,
        message: format!(
            "It uses all of its {} virtual CPUs, and owns what they can use: with {more} sockets in place of {now} it can have \
             {}. KubeVirt migrates it live for that.",
            machine.vcpus,
            machine.vcpus / now * more
        ),
        manifest: format!(
            "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{template: {{spec: {{domain: {{cpu: {{sockets: {more}}}}}}}}}}}\n"
        ),
    })
}

/// How many sockets the machine has, and how many with one more, where it can have that while it runs.
fn one_more(machine: &Machine) -> Option<(u64, u64)> {
    let now = machine.sockets?;
    (now < machine.max_sockets?).then_some((now, now + 1))
}
