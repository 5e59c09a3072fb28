//! The disk below the state directory: what it is, how it is mounted, how full and how worn.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Settings;
use crate::gateway::ports::Wear;
use crate::store::disk_facts;

const SUBJECT: &str = "disk";
/// Flash of which more than this many tenths are used is to be replaced: the alert `disk_wear` goes by the same.
const WORN: u8 = 9;
/// Beyond what it was made for.
const WORN_OUT: u8 = 11;
const MIB: u64 = 1 << 20;

/// Where a file system is mounted, as `/proc/self/mountinfo` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mount {
    kind: String,
    source: String,
    /// Of the mount and of the file system.
    options: Vec<String>,
}

/// What there is to know.
#[derive(Clone, Debug, Default)]
struct Facts {
    mount: Mount,
    free: u64,
    min_free: u64,
    reserve: u64,
    /// Names that can still be made; `None` where they are not counted.
    names_left: Option<u64>,
    wear: Option<Wear>,
}

/// Looks at the disk of the state directory, or of the nearest one above it that is there.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let Some(dir) = settings.state_dir.ancestors().find_map(|dir| fs::canonicalize(dir).ok()) else {
        return vec![Finding::fail(SUBJECT, "it cannot be looked at", "run doctor with sudo")];
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let stat = match rustix::fs::statvfs(&dir) {
        Ok(stat) => stat,
        Err(error) => {
            return vec![Finding::fail(
                SUBJECT,
                format!("{}: {error}", dir.display()),
                "run doctor with sudo",
            )];
        }
    };
    judge(&Facts {
        mount: mount_of(&dir, &mounts).unwrap_or_default(),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        min_free: settings.storage.min_free,
        reserve: settings.storage.reserve,
        names_left: (stat.f_files > 0).then_some(stat.f_favail),
        wear: disk_facts(&dir).wear,
    })
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![file_system(&facts.mount)];
    findings.extend(options(&facts.mount));
    findings.push(room(facts));
    findings.push(wear(facts.wear.as_ref()));
    findings
}

fn file_system(mount: &Mount) -> Finding {
    let Mount { kind, source, .. } = mount;
    let found = format!("{kind} on {source}");
    match kind.as_str() {
        "ext4" | "xfs" => Finding::ok(SUBJECT, found),
        "tmpfs" | "ramfs" => Finding::fail(
            SUBJECT,
            format!("{found}: every sale is gone when the power is"),
            "set state_dir to a directory on the till's disk",
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" => Finding::fail(
            SUBJECT,
            format!("{found}: a disk elsewhere is not there when the line is down"),
            "set state_dir to a directory on the till's own disk",
        ),
        "vfat" | "exfat" | "ntfs" | "ntfs3" | "fuseblk" | "msdos" => Finding::fail(
            SUBJECT,
            format!("{found}: it does not keep what was synced through a power cut"),
            "set state_dir to a directory on ext4 or xfs",
        ),
        "" => {
            Finding::warn(SUBJECT, "the kind of file system is not known", "ext4 and xfs are what was tried")
        }
        _ => Finding::warn(
            SUBJECT,
            format!("{found}: rewriting a file may need room there, so a full disk is met sooner"),
            "ext4 and xfs are what was tried",
        ),
    }
}

/// Options by which a sync is not one, or nothing can be written.
fn options(mount: &Mount) -> Vec<Finding> {
    let has = |name: &str| mount.options.iter().any(|option| option == name);
    let mut findings = Vec::new();
    if has("ro") {
        findings.push(Finding::fail(
            SUBJECT,
            "it is mounted read-only: no sale can be taken",
            "dmesg says why, often a worn flash; look at it before `mount -o remount,rw`",
        ));
    }
    for option in ["nobarrier", "barrier=0"] {
        if has(option) {
            findings.push(Finding::fail(
                SUBJECT,
                format!("it is mounted with {option}: what was synced may be lost in a power cut"),
                "take the option out of /etc/fstab and mount it again",
            ));
        }
    }
    findings
}

fn room(facts: &Facts) -> Finding {
    let Facts { free, min_free, reserve, names_left, .. } = *facts;
    let found = format!("{} MiB free; below {} MiB no sale is taken", free / MIB, min_free / MIB);
    let advice =
        "make room: `du -xh / | sort -h | tail`; the journal of systemd: journalctl --vacuum-size=200M";
    if names_left.is_some_and(|left| left < 1000) {
        return Finding::fail(
            SUBJECT,
            "hardly any new file can be made (df -i)",
            "remove files that nobody needs",
        );
    }
    if free < min_free {
        Finding::fail(SUBJECT, found, advice)
    } else if free < min_free.saturating_add(reserve).saturating_add(64 * MIB) {
        Finding::warn(SUBJECT, found, advice)
    } else {
        Finding::ok(SUBJECT, found)
    }
}

fn wear(wear: Option<&Wear>) -> Finding {
    let Some(wear) = wear else {
        return Finding::ok("wear", "the disk tells nothing of its wear (only eMMC does)");
    };
    let used = wear.life_time.into_iter().max().unwrap_or(0);
    let found = match used {
        0 => format!("{} does not say how much of its life is used", wear.device),
        WORN_OUT.. => format!("{} is beyond the life it was made for", wear.device),
        _ => format!("{} has used up to {} % of its life", wear.device, u32::from(used) * 10),
    };
    let advice = "replace the flash, or the till: stop the daemon, copy state_dir whole, then `device moved`";
    match (used, wear.pre_eol) {
        (WORN_OUT.., _) | (_, 3..) => Finding::fail("wear", found, advice),
        (WORN.., _) | (_, 2) => Finding::warn("wear", found, advice),
        _ => Finding::ok("wear", found),
    }
}

/// The mount that a directory is on: of those at or above it the deepest, of two at one place the later.
fn mount_of(dir: &Path, mountinfo: &str) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (place, file_system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(4);
        let point = PathBuf::from(unescaped(place.next()?));
        let mut file_system = file_system.split(' ');
        let (kind, source) = (file_system.next()?.to_owned(), unescaped(file_system.next()?));
        let options = [place.next()?, file_system.next()?].join(",").split(',').map(str::to_owned).collect();
        dir.starts_with(&point).then(|| (point.components().count(), Mount { kind, source, options }))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, mount)| mount)
}

/// The kernel writes blanks and the like as `\040`.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const MOUNTS: &str = "\
21 1 179:2 / / rw,relatime shared:1 - ext4 /dev/mmcblk0p2 rw,errors=remount-ro
22 21 0:5 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,size=10k
23 21 8:1 / /var/my\\040disk ro,relatime shared:3 - vfat /dev/sda1 rw,sync
24 21 8:2 / /var/lib rw - ext4 /dev/sdb1 rw,nobarrier
";

    #[test]
    fn the_deepest_mount_is_the_one() {
        let check = |dir: &str, kind: &str, source: &str| {
            let mount = mount_of(Path::new(dir), MOUNTS).unwrap();
            assert_eq!((mount.kind.as_str(), mount.source.as_str()), (kind, source), "{dir}");
        };
        check("/home", "ext4", "/dev/mmcblk0p2");
        check("/run/etims", "tmpfs", "tmpfs");
        check("/running", "ext4", "/dev/mmcblk0p2");
        check("/var/my disk/state", "vfat", "/dev/sda1");
        check("/var/lib/etims-gateway", "ext4", "/dev/sdb1");
        assert_eq!(mount_of(Path::new("/x"), ""), None);
        let options = mount_of(Path::new("/var/lib/x"), MOUNTS).unwrap();
        assert_eq!(super::options(&options).len(), 1, "nobarrier");
        let options = mount_of(Path::new("/var/my disk"), MOUNTS).unwrap();
        assert!(super::options(&options)[0].found.contains("read-only"));
        assert!(
            super::options(&mount_of(Path::new("/"), MOUNTS).unwrap()).is_empty(),
            "errors=remount-ro is none"
        );
    }

    #[test]
    fn kinds_of_file_systems() {
        for (kind, level) in [
            ("ext4", Level::Ok),
            ("xfs", Level::Ok),
            ("btrfs", Level::Warn),
            ("overlay", Level::Warn),
            ("", Level::Warn),
            ("tmpfs", Level::Fail),
            ("nfs4", Level::Fail),
            ("vfat", Level::Fail),
        ] {
            let mount = Mount { kind: kind.to_owned(), ..Mount::default() };
            assert_eq!(file_system(&mount).level, level, "{kind}");
        }
    }

    #[test]
    fn room_that_is_left() {
        for (free, names, level) in [
            (10_000, Some(10_000), Level::Ok),
            (10_000, None, Level::Ok),
            (140, None, Level::Warn),
            (63, None, Level::Fail),
            (10_000, Some(5), Level::Fail),
        ] {
            let facts = Facts {
                free: free * MIB,
                min_free: 64 * MIB,
                reserve: 16 * MIB,
                names_left: names,
                ..Facts::default()
            };
            assert_eq!(room(&facts).level, level, "{free} MiB, {names:?} names");
        }
    }

    #[test]
    fn how_worn_it_is() {
        for (life_time, pre_eol, level) in [
            ([1, 1], 1, Level::Ok),
            ([0, 0], 0, Level::Ok),
            ([1, 9], 1, Level::Warn),
            ([1, 1], 2, Level::Warn),
            ([11, 1], 1, Level::Fail),
            ([1, 1], 3, Level::Fail),
        ] {
            let it = Wear { device: "mmcblk0".to_owned(), life_time, pre_eol };
            assert_eq!(wear(Some(&it)).level, level, "{life_time:?} {pre_eol}");
        }
        assert_eq!(wear(None).level, Level::Ok);
    }
}
