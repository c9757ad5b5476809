//! An archive that the kernel unpacks at its start: cpio, format `newc`.

/// An archive in the making.
#[derive(Default)]
pub(crate) struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    /// Adds a directory.
    pub(crate) fn directory(&mut self, path: &str) {
        self.add(path, 0o040_755, (0, 0), b"");
    }

    /// Adds a file with these permissions.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: impl AsRef<[u8]>) {
        self.add(path, 0o100_000 | permissions, (0, 0), content.as_ref());
    }

    /// Adds the console, so that the first process has an output.
    pub(crate) fn console(&mut self) {
        self.add("dev/console", 0o020_600, (5, 1), b"");
    }

    /// `mode` with the kind of file, `device` as major and minor.
    fn add(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let name = path.len() + 1;
        let numbers = [self.entries, mode, 0, 0, 1, 0].into_iter().map(u64::from).chain([
            content.len() as u64,
            0,
            0,
            device.0.into(),
            device.1.into(),
            name as u64,
            0,
        ]);
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_for_the_kernel() {
        let mut archive = Cpio::default();
        archive.file("init", 0o755, b"hello");
        let bytes = archive.finish();
        let header = "070701\
            00000001000081ed00000000000000000000000100000000\
            0000000500000000000000000000000000000000\
            0000000500000000init\0\0";
        assert!(bytes.starts_with(header.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(&bytes[header.len()..header.len() + 14], b"hello\0\0\x00070701");
        assert!(bytes.len().is_multiple_of(4));
        let end = String::from_utf8_lossy(&bytes);
        assert!(end.trim_end_matches('\0').ends_with("TRAILER!!!"), "{end}");
    }
}
