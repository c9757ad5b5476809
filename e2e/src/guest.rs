//! A virtual machine as a container image: QEMU, a kernel, and a guest that counts its work.
//!
//! The guest runs one busy loop, and says on its console, which is the container's log, how far it has come and how often its
//! kernel took the processor from it, about once in a second of its own. One is 100,000 rounds of a loop. Its clock is of no account: seconds are measured outside, by
//! the time stamps of the log.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{
    cpio::Cpio,
    image::{Image, Layer, busybox_layer},
    packages::{self, GUEST, beginning_with},
    shared_libraries,
};

/// The image of a pod that is a virtual machine, with one virtual CPU. The variable `MEMORY` of its container is how much
/// memory it has in MiB (128 if there is none); QEMU itself takes about 100 MiB more. With `PINNED`, all of it stays on
/// the last CPU of the node.
pub const IMAGE: &str = "weightedshare.dev/e2e/guest:1";

/// The first process in the guest.
const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t tmpfs tmp /tmp
read -r boot < /proc/sys/kernel/random/boot_id
$b mkfifo /tmp/pause
reached=0
: > /tmp/reached
/counter > /tmp/reached &
counter=$!
while :; do
  # There is nothing in it at first.
  read -r now < /tmp/reached && reached=$now
  while read -r what now; do
    case $what in nonvoluntary_ctxt_switches:) switches=$now ;; esac
  done < /proc/$counter/status
  echo "guest $boot count $reached switches $switches"
  # Sleeps a second, and starts no process for it.
  read -t 1 -r pause <> /tmp/pause
done
"#;

/// What the virtual CPU does: it counts down from 100,000, adds one to a decimal number, writes that number over what
/// its output says, and begins again. In machine code, as a loop of an interpreter is much in an emulator: the guest with
/// the smaller share of a CPU finds its caches cold more often, and would do less in a second of CPU time.
const COUNTER: &[&[u8]] = &[
    b"\xb9\xa0\x86\x01\x00",         //    mov $100000, %ecx
    b"\xff\xc9",                     // 1: dec %ecx
    b"\x75\xfc",                     //    jnz 1b
    b"\x48\x8d\x35\x3e\x00\x00\x00", //    lea number+15(%rip), %rsi
    b"\x80\x3e\x39",                 // 2: cmpb $'9', (%rsi)
    b"\x75\x08",                     //    jne 3f
    b"\xc6\x06\x30",                 //    movb $'0', (%rsi)
    b"\x48\xff\xce",                 //    dec %rsi
    b"\xeb\xf3",                     //    jmp 2b
    b"\x80\x0e\x10",                 // 3: orb $0x10, (%rsi), which makes a digit of a space
    b"\xfe\x06",                     //    incb (%rsi)
    b"\x48\x8d\x35\x16\x00\x00\x00", //    lea number(%rip), %rsi
    b"\xb8\x12\x00\x00\x00",         //    mov $18, %eax: pwrite64
    b"\xbf\x01\x00\x00\x00",         //    mov $1, %edi
    b"\xba\x11\x00\x00\x00",         //    mov $17, %edx
    b"\x45\x31\xd2",                 //    xor %r10d, %r10d
    b"\x0f\x05",                     //    syscall
    b"\xeb\xc1",                     //    jmp to the first
    b"               0\n",           // number
];

/// The first process in the container, which becomes QEMU: that ends when it is told to. The clock of the guest counts its
/// instructions: if it counted seconds, what its ticks take would not depend on the share that it gets, and weigh more on
/// who has the smaller one.
const RUN: &str = r#"[ -z "$PINNED" ] || taskset -p $(printf %x $((1 << ($(nproc) - 1)))) $$
exec qemu-system-x86_64 -L /usr/share/qemu \
  -nodefaults -no-user-config -no-reboot -display none -monitor none -serial stdio \
  -machine pc,hpet=off -accel tcg,tb-size=64 -icount shift=1,sleep=off -m "${MEMORY:-128}" \
  -kernel /boot/vmlinuz -initrd /boot/initramfs \
  -append "console=ttyS0 quiet panic=-1 nokaslr mitigations=off nowatchdog noautogroup random.trust_cpu=on \
tsc=reliable clocksource=tsc"
"#;

/// What the emulated machine starts with, and where packages have it.
const FIRMWARE: &[&str] = &[
    "usr/share/seabios/bios-256k.bin",
    "usr/share/qemu/kvmvapic.bin",
    "usr/share/qemu/linuxboot.bin",
    "usr/share/qemu/linuxboot_dma.bin",
];
const QEMU: &str = "usr/bin/qemu-system-x86_64";
/// Parts of QEMU that it loads when it runs.
const MODULES: &str = "usr/lib/x86_64-linux-gnu/qemu";
/// The image [`IMAGE`]: some 80 MiB, so that only tests that need it import it.
///
/// # Errors
/// On a machine that is not x86_64, or where what it is made of was not fetched.
pub fn image() -> Result<Image> {
    if !cfg!(target_arch = "x86_64") {
        bail!("tests with virtual machines take an x86_64 machine");
    }
    let root = GUEST.folder().context(
        "what virtual machines are made of is missing: run `e2e build` (on Debian or Ubuntu)",
    )?;
    let mut layer = busybox_layer()?;
    let mut binaries = vec![root.join(QEMU)];
    add(&mut layer, &root, QEMU, 0o755)?;
    if let Some(module) = beginning_with(&root.join(MODULES).join("accel-tcg-x86_64.so")) {
        let path = module.strip_prefix(&root)?.display().to_string();
        add(&mut layer, &root, &path, 0o644)?;
        binaries.push(module);
    }
    for path in shared_libraries::of(&root, &binaries)?.values() {
        let content = read(path)?;
        let name = path.file_name().context("a library without a name")?.to_string_lossy();
        layer.file(&shared_libraries::place(&name), 0o755, content)?;
    }
    for path in FIRMWARE {
        let content = read(&root.join(path))?;
        let name = path.rsplit('/').next().unwrap_or(path);
        layer.file(&format!("usr/share/qemu/{name}"), 0o644, content)?;
    }
    let kernel = beginning_with(&root.join("boot/vmlinuz-")).context("there is no kernel")?;
    layer.file("boot/vmlinuz", 0o644, read(&kernel)?)?;
    layer.file("boot/initramfs", 0o644, initramfs()?)?;
    Ok(Image::new(IMAGE, layer)?.entrypoint(&["/bin/sh", "-c", RUN]))
}

/// The boot id of a guest and how far its loops have come, if a line of its log says so. Another boot id is another
/// boot.
pub fn count(line: &str) -> Option<(&str, u64)> {
    told(line).map(|(boot, count, _)| (boot, count))
}

/// The same, and how often the guest's kernel took the processor from the loop so far.
pub fn told(line: &str) -> Option<(&str, u64, u64)> {
    // With `--timestamps`, the time is before it.
    let (_, told) = line.split_once("guest ")?;
    let (boot, told) = told.trim_end().split_once(" count ")?;
    let (count, switches) = told.split_once(" switches ")?;
    let whole =
        boot.len() == 36 && boot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if whole { Some((boot, count.parse().ok()?, switches.parse().ok()?)) } else { None }
}

fn add(layer: &mut Layer, root: &Path, path: &str, mode: u32) -> Result<()> {
    layer.file(path, mode, read(&root.join(path))?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// The guest's files.
fn initramfs() -> Result<Vec<u8>> {
    let busybox = packages::find("busybox").context("there is no busybox: run `e2e build`")?;
    let mut archive = Cpio::default();
    for folder in ["bin", "dev", "proc", "tmp"] {
        archive.directory(folder);
    }
    archive.console();
    archive.file("bin/busybox", 0o755, read(&busybox)?);
    archive.file("counter", 0o755, program(&COUNTER.concat()));
    archive.file("init", 0o755, INIT);
    Ok(archive.finish())
}

/// A program of nothing but this code, in memory that it may write to.
fn program(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u16 = 64 + 56;
    let whole = u64::from(HEADERS) + code.len() as u64;
    let mut elf = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // An executable, for x86_64, in version 1; it begins after the headers, and has no sections.
    put(&mut elf, &[2, 62], &[1], &[BASE + u64::from(HEADERS), 64, 0]);
    put(&mut elf, &[], &[0], &[]);
    put(&mut elf, &[64, 56, 1, 0, 0, 0], &[], &[]);
    // One segment to load, all of the file, to be read, written and run.
    put(&mut elf, &[], &[1, 7], &[0, BASE, BASE, whole, whole, 0x1000]);
    elf.extend_from_slice(code);
    elf
}

fn put(bytes: &mut Vec<u8>, short: &[u16], middle: &[u32], long: &[u64]) {
    bytes.extend(short.iter().flat_map(|it| it.to_le_bytes()));
    bytes.extend(middle.iter().flat_map(|it| it.to_le_bytes()));
    bytes.extend(long.iter().flat_map(|it| it.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use std::process::Command;

    use super::*;

    const BOOT: &str = "7148f82b-ff8c-4d96-b3f5-a938bcfb1615";

    #[test]
    fn a_line_of_the_log_is_counted_whatever_is_around_it() {
        let line = format!("guest {BOOT} count 321100 switches 7");
        assert_eq!(told(&line), Some((BOOT, 321_100, 7)));
        assert_eq!(count(&line), Some((BOOT, 321_100)));
        assert_eq!(count(&format!("{line}\r")), Some((BOOT, 321_100)));
        assert_eq!(count(&format!("2026-11-25T23:10:00.5Z {line}\r\n")), Some((BOOT, 321_100)));
    }

    #[test]
    fn other_lines_and_half_ones_are_not() {
        for line in [
            "",
            "guest ",
            "[    0.377165] PCI: Fatal: No config space access function found",
            "guest 7148f82b count 3",
            &format!("guest {BOOT} count"),
            &format!("guest {BOOT} count "),
            &format!("guest {BOOT} count 32x switches 7"),
            &format!("guest {BOOT} count 321100"),
            &format!("guest {BOOT} count 321100 switches "),
            &format!("guest {BOOT} cou"),
        ] {
            assert_eq!(count(line), None, "{line}");
        }
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn the_counter_writes_a_number_that_grows() -> Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let folder = std::env::temp_dir().join(format!("counter-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (program, number) = (folder.join("counter"), folder.join("number"));
        std::fs::write(&program, super::program(&COUNTER.concat()))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        let mut counter = Command::new(&program).stdout(std::fs::File::create(&number)?).spawn()?;
        let began = std::time::Instant::now();
        let mut reached = 0;
        // Beyond 100, so that digits were carried.
        while reached <= 100 && began.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let told = std::fs::read_to_string(&number)?;
            let now = told.trim().parse().unwrap_or(0);
            assert!(now >= reached, "{now} after {reached}");
            reached = now;
        }
        counter.kill()?;
        counter.wait()?;
        std::fs::remove_dir_all(&folder)?;
        assert!(reached > 100, "{reached}");
        Ok(())
    }
}
