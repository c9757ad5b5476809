//! Converts what other systems export. Prints manifests.

use std::{
    fs,
    io::{self, Read},
};

use weightedshare::cli::vsphere::{FromVsphereArguments, manifests};

use crate::live::say;

/// Converts the resource pools of a vSphere cluster.
pub fn from_vsphere(arguments: &FromVsphereArguments) -> Result<(), String> {
    let (name, text) = match arguments.file.as_os_str() == "-" {
        true => {
            let mut text = Vec::new();
            ("standard input".to_owned(), io::stdin().read_to_end(&mut text).map(|_| text))
        }
        false => (arguments.file.display().to_string(), fs::read(&arguments.file)),
    };
    let text = text.map_err(|error| format!("{name} cannot be read: {error}"))?;
    say(&manifests(arguments, &name, &text).map_err(|error| error.to_string())?)
}
