//! What would help a virtual machine beyond its share: told, or done where its member says so. Pure; the time is passed in.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{
    shares::{MemberShare, PodShare, Shares},
    weigh::Weighed,
};
use crate::{
    actuate::Plug,
    api::{Member, Mode, Recommendation},
    observe::{Machine, MadeFrom, Snapshot},
    share::Resource,
};

/// How many machines of a member are named.
const MOST: usize = 8;
/// A machine that started, or moved, is left alone for so long.
const COOLDOWN: SignedDuration = SignedDuration::from_mins(10);

/// A machine that could make use of one more socket.
struct Short<'a> {
    share: &'a PodShare<'a>,
    machine: &'a Machine,
    made_from: &'a MadeFrom,
    /// How many sockets it has.
    sockets: u64,
}

/// What would help the machines of a member. `share` is its CPU.
#[must_use]
pub fn of_member(
    snapshot: &Snapshot,
    mode: Mode,
    member: &Member,
    share: &MemberShare,
    now: Timestamp,
) -> Vec<Recommendation> {
    let done = member.live_update.cpu_sockets && mode == Mode::Auto;
    let all = short(snapshot, share).map(|short| {
        let next = match short.hindrance(snapshot, now) {
            _ if !done => {
                "Commit the manifest, or let it be done (liveUpdate.cpuSockets).".to_owned()
            }
            Some(why) => format!("It is not given to it yet: {why}."),
            None => "KubeVirt is asked for it.".to_owned(),
        };
        short.recommendation(&next)
    });
    let mut all: Vec<Recommendation> = all.collect();
    all.sort_by(|a, b| a.virtual_machine.cmp(&b.virtual_machine));
    all.truncate(MOST);
    all
}

/// The next change of a machine that may be made: one at a time.
#[must_use]
pub fn next(
    snapshot: &Snapshot,
    weighed: &Weighed,
    divided: &Shares,
    now: Timestamp,
) -> Option<Plug> {
    if weighed.pool.spec.mode != Mode::Auto {
        return None;
    }
    let shares = &divided[Resource::Cpu].as_ref()?.members;
    let members = weighed.members.iter().zip(shares);
    let allowed = members.filter(|(member, _)| member.spec.live_update.cpu_sockets);
    let mut all = allowed.flat_map(|(_, share)| short(snapshot, share));
    let next = all.find(|short| short.hindrance(snapshot, now).is_none())?;
    Some(Plug {
        namespace: next.made_from.namespace.clone(),
        machine: next.made_from.name.clone(),
        resource_version: next.made_from.resource_version.clone(),
        sockets: next.sockets + 1,
    })
}

/// The machines of a member that use all of their virtual CPUs (nine tenths, for five minutes), own all that they can use,
/// and could have more while they run. Of one that moves, the pod that it goes to counts.
fn short<'a>(snapshot: &'a Snapshot, share: &'a MemberShare) -> impl Iterator<Item = Short<'a>> {
    share.pods.iter().filter(|share| !share.surge).filter_map(|share| {
        let machine = snapshot.machine(share.pod)?;
        let made_from = machine.made_from.as_ref()?;
        let sockets = machine.sockets.filter(|sockets| Some(*sockets) < machine.max_sockets)?;
        let key = (share.pod.namespace.clone(), share.pod.name.clone());
        let used = snapshot.signals.pods.get(&key)?.throughout?;
        let nanocores = u128::from(machine.vcpus) * 1_000_000_000;
        let full = u128::from(used) * 10 >= nanocores * 9 && share.fair() / 1000 >= machine.vcpus;
        full.then_some(Short { share, machine, made_from, sockets })
    })
}

impl Short<'_> {
    /// What keeps it from being given one more socket now.
    fn hindrance(&self, snapshot: &Snapshot, now: Timestamp) -> Option<String> {
        let pod = self.share.pod;
        let young = |created| now.duration_since(created) < COOLDOWN;
        let free = snapshot.free();
        let elsewhere = snapshot.nodes.iter().any(|(name, node)| {
            Some(name) != pod.node.as_ref()
                && node.terms.takes_machines()
                && free.get(name).is_some_and(|free| free.cpu >= pod.charge(Resource::Cpu))
        });
        let plugging = snapshot.machines.values().any(|machine| machine.plugging);
        if let Some(why) = &self.made_from.restart_required {
            return Some(format!("it has to be restarted first, as KubeVirt says: {why}"));
        }
        let why = if !snapshot.updates_live {
            "KubeVirt changes no machine that runs: set vmRolloutStrategy: LiveUpdate, and LiveMigrate among its \
             workloadUpdateMethods"
        } else if self.made_from.sockets != Some(self.sockets) {
            "its VirtualMachine asks for another number of sockets than it has"
        } else if !self.machine.migratable {
            "it cannot be moved while it runs (LiveMigratable)"
        } else if !snapshot.copies.is_empty() || plugging {
            "a machine is on its way, and there is one at a time"
        } else if !elsewhere {
            "no other node that takes machines has room for it"
        } else if pod.created.is_none_or(young) {
            "it started, or moved, less than ten minutes ago"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    fn recommendation(&self, next: &str) -> Recommendation {
        let (now, more, vcpus) = (self.sockets, self.sockets + 1, self.machine.vcpus);
        let MadeFrom { namespace, name, .. } = self.made_from;
        Recommendation {
            virtual_machine: name.clone(),
            cpu_sockets: more,
            message: format!(
                "It uses all of its {vcpus} virtual CPUs, and owns what they can use: with {more} sockets in place of {now} \
                 it can have {}, by a live migration. {next}",
                vcpus / now * more
            ),
            manifest: format!(
                "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{template: {{spec: {{domain: {{cpu: {{sockets: {more}}}}}}}}}}}\n"
            ),
        }
    }
}
