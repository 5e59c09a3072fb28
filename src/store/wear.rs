//! How large the disk below the state directory is, how worn, and what the index takes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::gateway::ports::{DiskFacts, Wear};

/// Everything about the disk below `dir`, a state directory. Reads directories and sysfs; blocks.
pub fn disk_facts(dir: &Path) -> DiskFacts {
    let stat = rustix::fs::statvfs(dir).ok();
    DiskFacts {
        total_bytes: stat.map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize)),
        index_bytes: size_below(&dir.join("sled")),
        wear: wear_of(dir, Path::new("/sys")),
    }
}

fn size_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It has gone between the two looks.
        Err(_) => 0,
    });
    sizes.sum()
}

/// The wear of the eMMC that `dir` is on; `None` where it is on something else.
fn wear_of(dir: &Path, sys: &Path) -> Option<Wear> {
    let device = fs::metadata(dir).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    wear_at(&fs::canonicalize(sys.join(format!("dev/block/{major}:{minor}"))).ok()?)
}

/// Of a block device in sysfs: a partition's disk is the directory above it.
fn wear_at(block: &Path) -> Option<Wear> {
    let disk = block.ancestors().take(2).find(|place| place.join("device/life_time").exists())?;
    let life = fs::read_to_string(disk.join("device/life_time")).ok()?;
    let mut areas = life.split_whitespace().map(hexadecimal);
    let pre_eol = fs::read_to_string(disk.join("device/pre_eol_info")).unwrap_or_default();
    Some(Wear {
        device: disk.file_name()?.to_string_lossy().into_owned(),
        life_time: [areas.next().flatten()?, areas.next().flatten().unwrap_or(0)],
        pre_eol: hexadecimal(pre_eol.trim()).unwrap_or(0),
    })
}

fn hexadecimal(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emmc_and_its_partition() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("mmcblk0");
        fs::create_dir_all(disk.join("device")).unwrap();
        fs::create_dir_all(disk.join("mmcblk0p2")).unwrap();
        fs::write(disk.join("device/life_time"), "0x02 0x0b\n").unwrap();
        fs::write(disk.join("device/pre_eol_info"), "0x01\n").unwrap();
        let expected = Some(Wear { device: "mmcblk0".into(), life_time: [2, 11], pre_eol: 1 });
        assert_eq!(wear_at(&disk), expected);
        assert_eq!(wear_at(&disk.join("mmcblk0p2")), expected);
        fs::remove_file(disk.join("device/pre_eol_info")).unwrap();
        assert_eq!(wear_at(&disk).unwrap().pre_eol, 0);
        fs::write(disk.join("device/life_time"), "nonsense").unwrap();
        assert_eq!(wear_at(&disk), None);
    }

    #[test]
    fn what_is_no_emmc_has_no_wear() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(wear_at(dir.path()), None);
        fs::create_dir(dir.path().join("sled")).unwrap();
        fs::write(dir.path().join("sled/db"), [0; 1000]).unwrap();
        let facts = disk_facts(dir.path());
        assert_eq!(facts.index_bytes, 1000);
        assert!(facts.total_bytes > 0);
    }
}
