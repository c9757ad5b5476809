//! The resource pools of a vSphere cluster as a tree of pools: manifests to read, change and apply. Pure.

mod export;
mod hierarchy;
#[cfg(test)]
mod tests;

use std::{fmt::Write, path::PathBuf};

use clap::{Args, value_parser};
use export::ResourcePool;
use hierarchy::Hierarchy;

use crate::{api::label_name, share::MilliCpu, simulate::read::FileError};

/// The largest weight that a member can have.
const MOST: u64 = 10_000;

/// The export to convert.
#[derive(Args, Clone, Debug)]
pub struct FromVsphereArguments {
    /// The file, or - for the standard input.
    ///
    /// PowerCLI writes it: Get-Cluster NAME | Get-ResourcePool | Export-Csv -NoTypeInformation pools.csv
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The CPU that the tree divides, in cores: 64, 1500m.
    #[arg(long, value_name = "CORES")]
    pub cpu: MilliCpu,
    /// The MHz of a core, for reservations and limits.
    ///
    /// Those that vSphere counted with are the CpuTotalMhz of a host, divided by its NumCpu (Get-VMHost).
    #[arg(long, value_name = "MHZ", value_parser = value_parser!(u64).range(1..=1_000_000))]
    pub core_mhz: Option<u64>,
    /// The name of the tree. Default: that of the vSphere cluster.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// The manifests, as YAML: the tree, and for each pool without pools inside a namespace with one pool of all its machines.
/// `text` is the file, and `file` its name, for errors.
///
/// # Errors
/// The first thing that is wrong with the file.
pub fn manifests(
    arguments: &FromVsphereArguments,
    file: &str,
    text: &[u8],
) -> Result<String, FileError> {
    let pools = export::read(file, text)?;
    let core = Core { file, mhz: arguments.core_mhz };
    let hierarchy = Hierarchy::of(file, pools, arguments.name.as_deref())?;
    let mut text = head(&hierarchy, &core);
    let branches: Vec<usize> =
        (0..hierarchy.pools.len()).filter(|at| hierarchy.is_branch(*at)).collect();
    for branch in std::iter::once(None).chain(branches.into_iter().map(Some)) {
        text += &tree(&hierarchy, branch, arguments.cpu, &core)?;
    }
    for leaf in (0..hierarchy.pools.len()).filter(|at| !hierarchy.is_branch(*at)) {
        text += &namespace(&hierarchy, leaf);
    }
    Ok(text)
}

/// What a core of vSphere's is.
struct Core<'f> {
    file: &'f str,
    mhz: Option<u64>,
}

impl Core<'_> {
    /// MHz in millicores, to the nearest, and at least one.
    fn millicores(&self, pool: &ResourcePool, mhz: u64) -> Result<MilliCpu, FileError> {
        let Some(core) = self.mhz.map(u128::from) else {
            let problem = format!(
                "{} has a reservation or limit of {mhz} MHz: say with --core-mhz how many MHz a core has",
                pool.name
            );
            return Err(FileError::line(self.file, pool.line, &problem));
        };
        let millicores = (u128::from(mhz) * 1000 + core / 2) / core;
        Ok(MilliCpu(u64::try_from(millicores).unwrap_or(u64::MAX).max(1)))
    }
}

/// Where it comes from, and what is to be looked at.
fn head(hierarchy: &Hierarchy, core: &Core) -> String {
    let Hierarchy { pools, root, .. } = hierarchy;
    let mut text = format!(
        "# From {}: {} resource pools of vSphere, as the tree {root}.",
        core.file,
        pools.len()
    );
    if let Some(mhz) = core.mhz {
        let _ = write!(text, " A core is {mhz} MHz.");
    }
    text.push('\n');
    if pools.iter().any(|pool| pool.bounds_memory) {
        text += "# Memory is left out, also what is reserved and limited of it: the memory of a machine is never taken away.\n";
    }
    let branches = (0..pools.len()).filter(|at| hierarchy.is_branch(*at));
    let branches: Vec<String> = branches.map(|at| in_comment(&pools[at].name)).collect();
    if !branches.is_empty() {
        let _ = writeln!(
            text,
            "# An export shows no machines. Those directly in {} need a namespace of their own: add it as a member.",
            branches.join(" or ")
        );
    }
    text
}

/// A ClusterWeightedShare for the pools inside a pool, or at the top.
fn tree(
    hierarchy: &Hierarchy,
    branch: Option<usize>,
    cpu: MilliCpu,
    core: &Core,
) -> Result<String, FileError> {
    let name = branch.map_or(&hierarchy.root, |at| &hierarchy.names[at]);
    let mut text = format!(
        "---\napiVersion: weightedshare.dev/v1alpha1\nkind: ClusterWeightedShare\nmetadata: {{name: {name:?}}}\nspec:\n"
    );
    if branch.is_none() {
        let _ = writeln!(text, "  capacity: {{cpu: \"{cpu}\"}}");
    }
    let shares = hierarchy.inside(branch).map(|at| hierarchy.pools[at].shares);
    let most = shares.max().unwrap_or_default();
    if most > MOST {
        let _ = writeln!(text, "  # Weights are shares times {MOST} / {most}: {MOST} is the most.");
    }
    text += "  members:\n";
    for at in hierarchy.inside(branch) {
        text += &member(hierarchy, at, most.max(MOST), core)?;
    }
    Ok(text)
}

/// A pool as a member of the tree above it. `most` shares are the largest weight.
fn member(hierarchy: &Hierarchy, at: usize, most: u64, core: &Core) -> Result<String, FileError> {
    let pool = &hierarchy.pools[at];
    let weight =
        (u128::from(pool.shares) * u128::from(MOST) + u128::from(most) / 2) / u128::from(most);
    let mut reason = format!("{} shares ({})", pool.shares, in_comment(&pool.level));
    let mut text = format!("  - {{name: {:?}, weight: {}", label_name(&pool.name), weight.max(1));
    let mut min = MilliCpu(0);
    if pool.reservation > 0 {
        min = core.millicores(pool, pool.reservation)?;
        let _ = write!(reason, ", reservation {} MHz", pool.reservation);
        let _ = write!(text, ", min: {{cpu: \"{min}\"}}");
    }
    if let Some(limit) = pool.limit {
        let max = core.millicores(pool, limit)?.max(min);
        let _ = write!(reason, ", limit {limit} MHz");
        let _ = write!(text, ", max: {{cpu: \"{max}\"}}");
    }
    if pool.expandable {
        text += ", expandable: true";
    }
    let name = &hierarchy.names[at];
    let _ = match hierarchy.is_branch(at) {
        true => writeln!(text, ", clusterWeightedShare: {{name: {name:?}}}}}"),
        false => writeln!(text, ", namespaces: [{name:?}]}}"),
    };
    Ok(format!("  # {}: {reason}\n{text}", in_comment(&pool.name)))
}

/// A text of the file on one line.
fn in_comment(text: &str) -> String {
    text.escape_debug().to_string()
}

/// The namespace of a pool without pools inside, and the pool of all machines there.
fn namespace(hierarchy: &Hierarchy, at: usize) -> String {
    let (pool, name, tree) = (&hierarchy.pools[at], &hierarchy.names[at], hierarchy.tree_of(at));
    let mut text = format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name:?}}}\n\
         ---\napiVersion: weightedshare.dev/v1alpha1\nkind: WeightedShare\nmetadata: {{name: machines, namespace: {name:?}}}\n\
         spec:\n  # Nothing is changed: the status shows what would be. Remove this line when you like what you see.\n  \
         mode: Observe\n  capacityFrom: {{clusterWeightedShare: {{name: {tree:?}}}}}\n"
    );
    if pool.expandable {
        text += "  expandable: true\n";
    }
    text += "  members:\n  # Normal shares: 1000 for each virtual CPU. Add a member for machines with others.\n  \
             - {name: machines, weight: 1000, weightPer: VCPU, selector: {}}\n";
    text
}
