//! What can go wrong in a turn, in words that say what to do.

use kube::runtime::reflector::store::WriterDropped;

/// Why a turn did not end well. The pool is looked at again after a while that grows with each failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not a WeightedShare that this version can read.
    #[error(
        "the object cannot be read: {0}: correct it, or bring its CRD and the controller to one version"
    )]
    Unreadable(String),
    /// The status, the finalizer or a read failed.
    #[error("the API server did not {what} the WeightedShare: {source}")]
    Api {
        /// What was asked of it.
        what: &'static str,
        /// Its answer.
        source: kube::Error,
    },
    /// Some resizes got no answer.
    #[error("{count} resizes got no answer, the first: {first}")]
    Unreachable {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// It took longer than a turn may.
    #[error("the turn took longer than {0} s: is the API server slow?")]
    TooSlow(u64),
    /// A watch was dropped, which is the end of the process.
    #[error("the caches are gone: {0}")]
    Caches(#[from] WriterDropped),
}
