//! What would help a virtual machine beyond its share: told, or done where its member says so.

mod help;

use k8s_openapi::jiff::SignedDuration;

use super::{
    View,
    plan::{Hotplug, Plugged},
    pool_members::PoolMembers,
    shares::{Divided, PodShare, Shares},
};
use crate::{
    api::{LiveUpdate, MOST_RECOMMENDATIONS, Mode, Recommendation},
    cluster::{Machine, MadeFrom},
    share::{Bytes, Resource},
};
use help::{Help, help};

/// A machine that started, or moved, is left alone for so long.
const COOLDOWN: SignedDuration = SignedDuration::from_mins(10);

/// A machine that is short of something.
struct Short<'a> {
    share: &'a PodShare<'a>,
    machine: &'a Machine,
    help: Help<'a>,
}

/// The world and the pool that it is told of.
struct Place<'p, 'a> {
    view: &'p View<'a>,
    /// The pool's memory, where it divides that.
    memory: Option<&'p Divided<'a>>,
}

/// What would help the machines of a member. `index` is its place in the spec.
#[must_use]
pub fn of_member(
    view: &View,
    pool: &PoolMembers,
    index: usize,
    divided: &Shares,
) -> Vec<Recommendation> {
    let Some(cpu) = &divided.cpu else { return Vec::new() };
    let allowed = pool.members[index].spec.live_update;
    let acts = pool.object.spec.mode == Mode::Auto;
    let place = Place { view, memory: divided.memory.as_ref() };
    let all = cpu.members[index].pods.iter().flat_map(|share| short(view, share));
    let told = all.map(|short| {
        let next = match short.made_from(allowed).filter(|_| acts) {
            None => short.help.by_hand().to_owned(),
            Some((made_from, _)) => match short.hindrance(made_from, &place) {
                Some(why) => format!("Not applied yet: {why}."),
                None => "The controller asks KubeVirt for it.".to_owned(),
            },
        };
        short.recommendation(&next)
    });
    let mut told: Vec<Recommendation> = told.collect();
    told.sort_by(|a, b| a.virtual_machine.cmp(&b.virtual_machine));
    // The list is keyed by machine: of all that would help one, the first is told.
    told.dedup_by(|next, first| next.virtual_machine == first.virtual_machine);
    told.truncate(MOST_RECOMMENDATIONS);
    told
}

/// The next change of a machine that may be made: one at a time, and none while the pool stands still.
#[must_use]
pub fn next(view: &View, pool: &PoolMembers, divided: &Shares) -> Option<Hotplug> {
    if pool.object.spec.mode != Mode::Auto || pool.stands_still() {
        return None;
    }
    let place = Place { view, memory: divided.memory.as_ref() };
    let shares = &divided[Resource::Cpu].as_ref()?.members;
    pool.members.iter().zip(shares).find_map(|(member, share)| {
        let mut all = share.pods.iter().flat_map(|share| short(view, share));
        all.find_map(|short| short.plug(member.spec.live_update, &place))
    })
}

/// What a machine is short of. Of one that moves, the pod that it goes to counts.
fn short<'a>(view: &View<'a>, share: &'a PodShare) -> impl Iterator<Item = Short<'a>> + use<'a> {
    let machine = share.machine.filter(|_| !share.migrates);
    let view = *view;
    machine.into_iter().flat_map(move |machine| {
        let help = help(&view, share, machine);
        help.into_iter().map(move |help| Short { share, machine, help })
    })
}

impl Short<'_> {
    /// What is to be changed and how, where its member lets that be done.
    fn made_from(&self, allowed: LiveUpdate) -> Option<(&MadeFrom, Plugged)> {
        self.machine.made_from.as_ref().zip(self.help.is_done(allowed))
    }

    /// The change, where it is allowed and nothing stands in the way.
    fn plug(&self, allowed: LiveUpdate, place: &Place) -> Option<Hotplug> {
        let (made_from, what) = self.made_from(allowed)?;
        self.hindrance(made_from, place).is_none().then(|| Hotplug {
            namespace: made_from.namespace.clone(),
            machine: made_from.name.clone(),
            resource_version: made_from.resource_version.clone(),
            what,
        })
    }

    /// What keeps it from being given more now.
    fn hindrance(&self, made_from: &MadeFrom, place: &Place) -> Option<String> {
        let Place { view, memory } = *place;
        let pod = self.share.pod;
        let young = |created| view.now.duration_since(created) < COOLDOWN;
        if let Some(why) = &made_from.restart_required {
            return Some(format!("KubeVirt says that it must be restarted first: {why}"));
        }
        let (asked, more) = match self.help {
            Help::Sockets { now, .. } => (made_from.sockets == now, 0),
            Help::Memory { now, more } => (made_from.memory == Some(now), more.saturating_sub(now)),
            Help::Move { .. } => (true, 0),
        };
        let pool_full = |pool: &Divided| pool.charged().saturating_add(more) > pool.divisible;
        let why = if !view.cluster.updates_live() {
            "KubeVirt does not change running machines. Set vmRolloutStrategy to LiveUpdate, and add LiveMigrate to \
             workloadUpdateMethods"
        } else if !asked {
            "its VirtualMachine asks for something other than it has, or does not say"
        } else if !self.machine.migratable {
            "it cannot be live-migrated (see its condition LiveMigratable)"
        } else if view.cluster.has_machine_on_its_way(&pod.namespace) {
            "another machine of the namespace is migrating or being changed, and only one may do so at a time"
        } else if more > 0 && memory.is_some_and(pool_full) {
            "the pool has no room for that much memory"
        } else if elsewhere(view, self.share, None, more).is_none() {
            "no other node for virtual machines has room for it"
        } else if pod.created.is_none_or(young) {
            "it started or migrated less than ten minutes ago"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    fn recommendation(&self, next: &str) -> Recommendation {
        let pod = self.share.pod;
        let owner = pod.owner.as_ref().map_or(&*pod.name, |owner| &*owner.name);
        let name = self.machine.made_from.as_ref().map_or(owner, |it| &*it.name);
        let (message, manifest) = self.help.words(self.machine, self.share, name);
        let mut told = Recommendation {
            virtual_machine: name.to_owned(),
            message: format!("{message} {next}"),
            manifest,
            ..Recommendation::default()
        };
        match self.help {
            Help::Sockets { more, .. } => told.cpu_sockets = Some(more),
            Help::Memory { more, .. } => told.guest_memory = Some(Bytes(more)),
            Help::Move { to } => told.node = Some(to.to_owned()),
        }
        told
    }
}

/// Another node that takes machines and has room for the pod: `cpu` millicores (what it is charged, where it is not known),
/// and so many bytes more than it is charged.
fn elsewhere<'a>(
    view: &View<'a>,
    share: &PodShare,
    cpu: Option<u64>,
    more: u64,
) -> Option<&'a str> {
    let pod = share.pod;
    let cpu = cpu.unwrap_or_else(|| pod.charge(Resource::Cpu));
    let memory = pod.charge(Resource::Memory).saturating_add(more);
    let has_room =
        |name: &str| view.free(name).is_some_and(|it| it.cpu >= cpu && it.memory >= memory);
    let mut nodes = view.cluster.nodes().filter(|(name, node)| {
        Some(*name) != pod.node.as_deref() && node.terms.takes_machines() && has_room(name)
    });
    nodes.next().map(|(name, _)| name)
}
