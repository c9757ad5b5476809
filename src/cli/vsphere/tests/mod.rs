use std::path::PathBuf;

use super::{FromVsphereArguments, manifests};
use crate::cli::{
    manifests::{Manifests, parse},
    plan::Plan,
};

/// A cluster with nested pools, as Windows PowerShell writes it.
const POOLS: &str = "\
#TYPE VMware.VimAutomation.ViCore.Impl.V1.Inventory.ResourcePoolImpl
\"Id\",\"Name\",\"Parent\",\"ParentId\",\"CpuSharesLevel\",\"NumCpuShares\",\"CpuReservationMHz\",\"CpuExpandableReservation\",\"CpuLimitMHz\",\"MemLimitGB\"
\"r-1\",\"Resources\",\"West 1\",\"c-1\",\"Normal\",\"4000\",\"100000\",\"True\",\"100000\",\"-1\"
\"r-2\",\"Production\",\"Resources\",\"r-1\",\"High\",\"8000\",\"26000\",\"True\",\"-1\",\"-1\"
\"r-3\",\"Test\",\"Resources\",\"r-1\",\"Normal\",\"4000\",\"0\",\"False\",\"52000\",\"16.5\"
\"r-4\",\"Web\",\"Production\",\"r-2\",\"Custom\",\"30000\",\"0\",\"True\",\"-1\",\"-1\"
\"r-5\",\"DB\",\"Production\",\"r-2\",\"Custom\",\"10000\",\"1\",\"False\",\"1\",\"-1\"
\"r-6\",\"Web\",\"Test\",\"r-3\",\"Low\",\"2000\",\"0\",\"False\",\"-1\",\"-1\"
";

fn converted(text: &str) -> Result<String, String> {
    let arguments = FromVsphereArguments {
        file: PathBuf::new(),
        cpu: "64".parse().unwrap(),
        core_mhz: Some(2600),
        name: None,
    };
    manifests(&arguments, "pools.csv", text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn nested_pools_become_a_tree() {
    let yaml = converted(POOLS).unwrap();
    assert_eq!(yaml, include_str!("nested.yaml"));
    // With a semicolon, and without what names a pool beyond its name and its cluster.
    let bare = POOLS.replace(',', ";").replace("16.5", "16,5").replace("ParentId", "Other");
    let renamed = bare.replace("\"Web\";\"Test\"", "\"Front\";\"Test\"");
    let yaml = converted(&renamed).unwrap();
    assert!(yaml.contains("{name: \"front\", weight: 2000, namespaces: [\"front\"]}"), "{yaml}");
}

#[test]
fn what_comes_out_can_be_applied() {
    let yaml = converted(POOLS).unwrap();
    let objects = parse("tree.yaml", &yaml).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(objects.len(), 3 + 3 + 3);
    let plan = Plan::of(&Manifests::sort(objects).unwrap().looked());
    let trees: Vec<_> = plan.trees.iter().map(|it| (&*it.name, it.fault.is_none())).collect();
    assert_eq!(trees, [("west-1", true), ("production", true), ("test", true)]);
    assert_eq!(plan.pools.len(), 3);
}

#[test]
fn a_part_of_a_cluster_is_a_tree_too() {
    let part = "Name,Parent,NumCpuShares,CpuReservationMHz,CpuLimitMHz\n\"a\nb: 1\",_,4000,0,-1\n";
    let yaml = converted(part).unwrap();
    assert!(yaml.contains("kind: ClusterWeightedShare\nmetadata: {name: \"vsphere\"}"), "{yaml}");
    // What is in the file stays in its comment.
    assert!(yaml.contains("  # a\\nb: 1: 4000 shares (Custom)\n"), "{yaml}");
    assert!(yaml.contains("namespaces: [\"a-b--1\"]"), "{yaml}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let wrong = |text: &str, what: &str| {
        let error = converted(text).unwrap_err();
        assert!(error.contains(what), "{error}");
    };
    let head = "Name,Parent,NumCpuShares,CpuReservationMHz,CpuLimitMHz,CpuExpandableReservation\n";
    let rows = |rows: &str| format!("{head}{rows}");
    wrong("", "pools.csv, line 1: it is empty: write the file with: Get-ResourcePool");
    wrong(head, "line 2: no resource pools follow");
    wrong("Name,Parent\na,b\n", "line 1: there is no column NumCpuShares");
    wrong("\u{feff}Name,Parent\na\n", "line 1: there is no column NumCpuShares");
    wrong(&rows("a,b,c,0,-1,True\n"), "line 2, column 3 (NumCpuShares): \"c\" is not a whole");
    wrong(&rows("a,b,1,0,1.5,True\n"), "line 2, column 5 (CpuLimitMHz): \"1.5\"");
    wrong(&rows("a,b,1,0,-1,maybe\n"), "line 2, column 6 (CpuExpandableReservation): \"maybe\"");
    wrong(&rows(",b,1,0,-1,True\n"), "line 2, column 1 (Name): it is empty");
    wrong(&rows("a,b,1\n"), "line 2: it has 3 columns, but the first line has 6");
    wrong(&rows("a,b,1,0,-1,\nc,d,1,0,-1,\n"), "line 3: c is in d, and pools before it are in b");
    wrong(&rows("a,b,1,0,-1,\nb,a,1,0,-1,\n"), "line 2: a is inside itself");
    wrong(
        &rows("a,x,1,0,-1,\na,x,1,0,-1,\nb,a,1,0,-1,\n"),
        "line 4: b is in a, but two pools have that name (lines 2 and 3)",
    );
    wrong(&rows("Resources,b,1,0,-1,\n"), "b has no resource pools");
    wrong(&rows("生,b,1,0,-1,\n"), "line 2: \"生\" makes no name");
    wrong(&rows("a b,x,1,0,-1,\na_b,x,1,0,-1,\n"), "line 3: \"a_b\" makes no name");
    let utf16 = manifests(
        &FromVsphereArguments {
            file: PathBuf::new(),
            cpu: "1".parse().unwrap(),
            core_mhz: None,
            name: None,
        },
        "pools.csv",
        &[0xff, 0xfe, b'N', 0],
    );
    assert!(utf16.unwrap_err().to_string().contains("Export-Csv -Encoding UTF8"));
}

#[test]
fn mhz_need_the_mhz_of_a_core() {
    let arguments = FromVsphereArguments {
        file: PathBuf::new(),
        cpu: "1".parse().unwrap(),
        core_mhz: None,
        name: Some("Company".into()),
    };
    let convert = |rows: &str| {
        let text = format!("Name,Parent,NumCpuShares,CpuReservationMHz,CpuLimitMHz\n{rows}");
        manifests(&arguments, "pools.csv", text.as_bytes()).map_err(|error| error.to_string())
    };
    assert!(convert("a,b,1,0,-1\n").unwrap().contains("metadata: {name: \"company\"}"));
    let error = convert("a,b,1,0,-1\nc,b,1,500,-1\n").unwrap_err();
    assert!(
        error.contains("line 3: c has a reservation or limit of 500 MHz: say with --core-mhz"),
        "{error}"
    );
}
