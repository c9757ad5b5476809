//! What a virtual machine is short of, and what would help it.

use crate::{
    api::LiveUpdate,
    cluster::Machine,
    engine::{View, plan::Plugged, shares::PodShare},
    share::{Bytes, MilliCpu},
};

/// Nine tenths, in thousandths: who uses so much of something all the time is short of it.
const NEARLY_ALL: u16 = 900;
/// Who waits for a processor a tenth of the time, all the time, is on a node that is too busy: in thousandths.
const READY: u16 = 100;
/// Memory is given in whole gibibytes, which suit KubeVirt's alignment with any size of pages.
const STEP: u64 = 1 << 30;

/// What would help a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Help<'a> {
    /// One more socket: how many it has, and is to have.
    Sockets { now: u64, more: u64 },
    /// More memory: how much its guest has, and is to have, in bytes.
    Memory { now: u64, more: u64 },
    /// Another node: this one would have room.
    Move { to: &'a str },
}

/// What would help a machine that is short for five minutes now.
pub(super) fn help<'a>(view: &View<'a>, share: &PodShare, machine: &Machine) -> Vec<Help<'a>> {
    let Some(measured) = share.measured else { return Vec::new() };
    let uses_all = |of: u64| measured.throughout.is_some_and(|used| nearly_all(used, of));
    let mut all = Vec::new();

    // It uses all of its virtual CPUs, and owns all that they can use.
    let sockets = machine.sockets.filter(|sockets| Some(*sockets) < machine.max_sockets);
    if let Some(now) = sockets.filter(|_| machine.made_from.is_some())
        && uses_all(machine.vcpus.saturating_mul(1_000_000_000))
        && share.fair() / 1000 >= machine.vcpus
    {
        all.push(Help::Sockets { now, more: now + 1 });
    }

    // Its guest uses nearly all of its memory: a quarter more.
    let memory = machine.memory.zip(machine.max_memory).filter(|(now, most)| now < most);
    if let Some((now, most)) = memory.filter(|_| machine.made_from.is_some())
        && measured.guest_throughout.is_some_and(|part| part >= NEARLY_ALL)
    {
        let more = (now + now / 4).div_ceil(STEP).saturating_mul(STEP).min(most);
        all.push(Help::Memory { now, more });
    }

    // Its node is full, or too busy: it uses all that it holds and owns more by weight; or it is kept waiting, and does not
    // even get what it holds.
    let (held, owns) = (share.holding.charge(), share.by_weight().unwrap_or(0));
    let nanocores = held.saturating_mul(1_000_000);
    let lacks = lacks(share) && uses_all(nanocores);
    let waits = measured.waited_throughout.is_some_and(|part| part >= READY)
        && !nearly_all(measured.peak.cpu, nanocores);
    if machine.migratable
        && (lacks || waits)
        && let Some(to) = super::elsewhere(view, share, Some(owns.max(held)), 0)
    {
        all.push(Help::Move { to });
    }
    all
}

/// Whether its node has room for less than 95 % of what it owns by weight: less than that is worth no move.
fn lacks(share: &PodShare) -> bool {
    u128::from(share.fair()) * 100 < u128::from(share.by_weight().unwrap_or(0)) * 95
}

/// Whether so much is nearly all of it.
fn nearly_all(used: u64, of: u64) -> bool {
    u128::from(used) * 1000 >= u128::from(of) * u128::from(NEARLY_ALL)
}

impl Help<'_> {
    /// What is changed of the VirtualMachine, where its member allows that.
    pub(super) fn is_done(self, allowed: LiveUpdate) -> Option<Plugged> {
        match self {
            Self::Sockets { more, .. } if allowed.cpu_sockets => Some(Plugged::Sockets(more)),
            Self::Memory { more, .. } if allowed.memory => Some(Plugged::Memory(more)),
            _ => None,
        }
    }

    /// What to do about it.
    pub(super) fn by_hand(self) -> &'static str {
        match self {
            Self::Sockets { .. } => {
                "Commit the manifest, or let the controller do it (liveUpdate.cpuSockets)."
            }
            Self::Memory { .. } => {
                "Commit the manifest, or let the controller do it (liveUpdate.memory)."
            }
            Self::Move { .. } => "Create the manifest, or run `virtctl migrate`.",
        }
    }

    /// Why, in a sentence; and the manifest that does it. `name` is the machine's.
    pub(super) fn words(self, machine: &Machine, share: &PodShare, name: &str) -> (String, String) {
        let namespace = &share.pod.namespace;
        let vm = |domain: String| {
            format!(
                "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{template: {{spec: {{domain: {{{domain}}}}}}}}}\n"
            )
        };
        match self {
            Self::Sockets { now, more } => (
                format!(
                    "It uses all of its {} virtual CPUs, and owns all that they can use. With {more} sockets instead of \
                     {now} it would have {}, by a live migration.",
                    machine.vcpus,
                    machine.vcpus / now * more
                ),
                vm(format!("cpu: {{sockets: {more}}}")),
            ),
            Self::Memory { now, more } => {
                let (now, more) = (Bytes(now), Bytes(more));
                (
                    format!(
                        "Its guest uses at least 90 % of its {now} of memory. It should have {more}, by a live migration."
                    ),
                    vm(format!("memory: {{guest: {more}}}")),
                )
            }
            Self::Move { to } => {
                let owns = share.by_weight().unwrap_or(0);
                let node = share.pod.node.as_deref().unwrap_or_default();
                let why = match lacks(share) {
                    true => format!(
                        "by weight it owns {}, but node {node} has room for only {}",
                        MilliCpu(owns),
                        MilliCpu(share.fair())
                    ),
                    false => format!(
                        "on node {node} it waits for a processor at least 10 % of the time, and does not get what it holds"
                    ),
                };
                (
                    format!("It lacks CPU because of its node: {why}. Node {to} has room for it."),
                    format!(
                        "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstanceMigration\n\
                         metadata: {{generateName: {name}-, namespace: {namespace}}}\nspec: {{vmiName: {name}}}\n"
                    ),
                )
            }
        }
    }
}
