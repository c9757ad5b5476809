//! The table of resizes: what containers have before and after.

use weightedshare::share::{PerResource, Resource};

/// The request and the limit of one resource, in millicores or mebibytes.
pub type Amounts = (u64, Option<u64>);

/// The CPU and the memory of one container.
pub type Shape = PerResource<Amounts>;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// What each container has before and after.
    pub before: Vec<Shape>,
    pub after: Vec<Shape>,
    /// A resize restarts the containers.
    pub restarts: bool,
}

pub const NAMES: [&str; 3] = ["c0", "c1", "c2"];

fn up(amount: u64) -> u64 {
    amount * 3 / 2
}

fn down(amount: u64) -> u64 {
    amount * 3 / 4
}

fn same(amount: u64) -> u64 {
    amount
}

/// A way in which an amount moves, with its name.
pub type Way = (&'static str, fn(u64) -> u64);

pub const WAYS: [Way; 3] = [("up", up), ("same", same), ("down", down)];

/// 24 rows: CPU and memory, each up, down or not, of one container, of one that restarts, of three.
pub fn guaranteed() -> Vec<Row> {
    let sure =
        |cpu: u64, memory: u64| Shape { cpu: (cpu, Some(cpu)), memory: (memory, Some(memory)) };
    let mut rows = Vec::new();
    for (cpu_name, cpu) in WAYS {
        for (memory_name, memory) in WAYS {
            if (cpu_name, memory_name) == ("same", "same") {
                continue;
            }
            let (before, after) = (sure(20, 48), sure(cpu(20), memory(48)));
            for (kind, n, restarts) in
                [("one", 1, false), ("restarting", 1, true), ("three", 3, false)]
            {
                rows.push(Row {
                    name: format!("sure-{kind}-cpu-{cpu_name}-memory-{memory_name}"),
                    // Of three, the second goes the other way and the third not at all.
                    before: [before, after, before][..n].to_vec(),
                    after: [after, before, before][..n].to_vec(),
                    restarts,
                });
            }
        }
    }
    rows
}

/// 28 rows: requests and limits, alone and together, without limits, with limits that are added, of three containers, of
/// containers that restart.
pub fn burstable() -> Vec<Row> {
    const BEFORE: Shape = Shape { cpu: (20, Some(40)), memory: (48, Some(96)) };
    const BARE: Shape = Shape { cpu: (20, None), memory: (48, None) };
    let row = |name: &str, before: Shape, change: &dyn Fn(&mut Shape), restarts| {
        let mut after = before;
        change(&mut after);
        let name = format!("burst-{name}");
        Row { name, before: vec![before], after: vec![after], restarts }
    };
    let limit = |amounts: &mut Amounts, way: fn(u64) -> u64| amounts.1 = amounts.1.map(way);
    let mut rows = Vec::new();
    for (way_name, way) in [WAYS[0], WAYS[2]] {
        for resource in Resource::ALL {
            let name = |what: &str| format!("{resource}-{what}-{way_name}");
            let both = |shape: &mut Shape| {
                shape[resource].0 = way(shape[resource].0);
                limit(&mut shape[resource], way);
            };
            rows.push(row(
                &name("request"),
                BEFORE,
                &|it| it[resource].0 = way(it[resource].0),
                false,
            ));
            rows.push(row(&name("limit"), BEFORE, &|it| limit(&mut it[resource], way), false));
            rows.push(row(&name("both"), BEFORE, &both, false));
            rows.push(row(&name("bare"), BARE, &|it| it[resource].0 = way(it[resource].0), false));
            rows.push(row(&name("restarting"), BEFORE, &both, true));
        }
        let all = |shape: &mut Shape| {
            for resource in Resource::ALL {
                shape[resource].0 = way(shape[resource].0);
                limit(&mut shape[resource], way);
            }
        };
        rows.push(row(&format!("all-{way_name}"), BEFORE, &all, false));
        rows.push(row(&format!("all-restarting-{way_name}"), BEFORE, &all, true));
    }
    for resource in Resource::ALL {
        rows.push(row(
            &format!("{resource}-limit-added"),
            BARE,
            &|it| it[resource].1 = Some(2 * it[resource].0),
            false,
        ));
        let mut moved = BEFORE;
        moved[resource].0 = up(moved[resource].0);
        rows.push(Row {
            name: format!("burst-{resource}-three"),
            before: vec![BEFORE, moved, BARE],
            after: vec![moved, BEFORE, BARE],
            restarts: false,
        });
    }
    rows
}

/// In the units of the API: millicores, bytes.
pub fn units(resource: Resource, amount: u64) -> u64 {
    match resource {
        Resource::Cpu => amount,
        Resource::Memory => amount << 20,
    }
}

/// The rows of the tier `test`: each kind of pod and of change once. The others vary the resource and the direction.
pub const IN_TEST: [&str; 13] = [
    "sure-one-cpu-up-memory-down",
    "sure-restarting-cpu-down-memory-up",
    "sure-three-cpu-up-memory-same",
    "burst-cpu-request-up",
    "burst-memory-limit-up",
    "burst-cpu-both-down",
    "burst-memory-both-up",
    "burst-memory-bare-down",
    "burst-memory-restarting-up",
    "burst-all-down",
    "burst-all-restarting-up",
    "burst-cpu-limit-added",
    "burst-memory-three",
];
