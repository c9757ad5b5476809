//! The API servers of the Kubernetes versions that are tested: each is built when it is first asked for, and no sooner.

use std::{path::PathBuf, str::FromStr};

use anyhow::{Context, Error, Result};

use super::{BUNDLES, Bundle, KUBERNETES, Source, build_missing, cache_folder};

/// Those of earlier versions than the cluster's: the last patch release of each, oldest first.
const EARLIER: &[Bundle] = &[
    Bundle {
        name: PROGRAM,
        version: "v1.34.4",
        source: Source::Tools { module: "kube-apiserver-v1.34", rename: None },
        linker_flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4",
        programs: &[PROGRAM],
        minutes: 5,
    },
    Bundle {
        name: PROGRAM,
        version: "v1.35.4",
        source: Source::Tools { module: "kube-apiserver-v1.35", rename: None },
        linker_flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.35.4",
        programs: &[PROGRAM],
        minutes: 5,
    },
    Bundle {
        name: PROGRAM,
        version: "v1.36.3",
        source: Source::Tools { module: "kube-apiserver-v1.36", rename: None },
        linker_flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3",
        programs: &[PROGRAM],
        minutes: 5,
    },
];

const PROGRAM: &str = "kube-apiserver";

/// An API server, by its version.
#[derive(Clone, Copy, Debug)]
pub struct ApiServer(&'static Bundle);

impl ApiServer {
    /// The environment variable that tells a command inside which version it meets.
    pub const VARIABLE: &str = "WEIGHTEDSHARE_E2E_KUBERNETES";

    /// The one that a whole cluster has.
    pub fn of_cluster() -> Result<Self> {
        let of_cluster = all().find(|server| server.version() == KUBERNETES);
        of_cluster.with_context(|| format!("no module builds Kubernetes {KUBERNETES}"))
    }

    /// Its version, as it says it itself.
    pub fn version(self) -> &'static str {
        self.0.version
    }

    /// Builds it, if it is not in the cache yet.
    pub async fn ensure(self) -> Result<()> {
        build_missing(std::slice::from_ref(self.0)).await
    }

    /// Its path.
    pub fn program(self) -> Result<PathBuf> {
        Ok(cache_folder()?.join(self.0.folder()).join(PROGRAM))
    }

    /// The name that it is asked for by: `v1.36`.
    pub fn minor(self) -> &'static str {
        self.version().rsplit_once('.').map_or(self.version(), |(minor, _)| minor)
    }
}

impl FromStr for ApiServer {
    type Err = Error;

    fn from_str(minor: &str) -> Result<Self> {
        all().find(|server| server.minor() == minor).with_context(|| {
            let known: Vec<_> = all().map(Self::minor).collect();
            format!("it is one of {}", known.join(", "))
        })
    }
}

fn all() -> impl Iterator<Item = ApiServer> {
    let with_it = |bundle: &&Bundle| bundle.programs.contains(&PROGRAM);
    EARLIER.iter().chain(BUNDLES.iter().filter(with_it)).map(ApiServer)
}

#[cfg(test)]
mod tests {
    use super::{super::modules, *};

    #[test]
    fn each_is_what_its_module_builds_and_says_so() -> Result<()> {
        for ApiServer(bundle) in all() {
            let Source::Tools { module, .. } = bundle.source else { continue };
            let module = std::fs::read_to_string(modules().join(module).join("go.mod"))?;
            let required = format!("k8s.io/kubernetes {}", bundle.version);
            assert!(module.contains(&required), "{required}");
            assert!(bundle.linker_flags.ends_with(bundle.version), "{}", bundle.version);
        }
        Ok(())
    }

    #[test]
    fn they_are_found_by_their_minor_version() -> Result<()> {
        assert_eq!("v1.34".parse::<ApiServer>()?.version(), "v1.34.4");
        assert_eq!(ApiServer::of_cluster()?.version(), KUBERNETES);
        let unknown = "v1.33".parse::<ApiServer>().map_err(|error| error.to_string());
        assert_eq!(unknown.err().as_deref(), Some("it is one of v1.34, v1.35, v1.36, v1.37"));
        Ok(())
    }

    #[test]
    fn make_versions_tests_all_of_them() {
        let tested: Vec<_> = all().map(ApiServer::minor).collect();
        let line = format!("VERSIONS := {}\n", tested.join(" "));
        assert!(include_str!("../../../Makefile").contains(&line), "{line}");
    }
}
