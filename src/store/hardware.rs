//! The hardware a store is used on, as far as its service may read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::store::record::sha256;
use crate::store::standing::Identifier;

/// Identifiers that are remembered at most.
const MOST: usize = 64;

/// The machine's identifiers: CID and WWID of its own disks, the board's serial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hardware(BTreeMap<String, Vec<u8>>);

/// The machine's identifiers now, hashed. To be compared by name with those in
/// [`Store::genesis`](crate::store::Store::genesis); one that is on one side only says nothing.
pub fn hardware_identifiers() -> Vec<Identifier> {
    Hardware::of_this_machine().identifiers()
}

impl Hardware {
    pub(super) fn of_this_machine() -> Self {
        Self::below(Path::new("/sys"))
    }

    /// As this tree, laid out like `/sys`, tells.
    fn below(sys: &Path) -> Self {
        let mut found = Self::default();
        if let Ok(blocks) = fs::read_dir(sys.join("block")) {
            for block in blocks.flatten().filter(|block| is_built_in(&block.path())) {
                let disk = block.file_name().to_string_lossy().into_owned();
                for part in ["cid", "wwid"] {
                    found.add(format!("block/{disk}/{part}"), &block.path().join("device").join(part));
                }
            }
        }
        found.add("devicetree/serial-number".to_owned(), &sys.join("firmware/devicetree/base/serial-number"));
        found.add("dmi/product-uuid".to_owned(), &sys.join("class/dmi/id/product_uuid"));
        while found.0.len() > MOST {
            found.0.pop_last();
        }
        found
    }

    fn add(&mut self, name: String, path: &Path) {
        let Ok(value) = fs::read(path) else { return };
        // A device tree's texts end with a zero.
        let value = value.strip_suffix(b"\0").unwrap_or(&value).trim_ascii();
        if !value.is_empty() && name.len() <= 255 {
            self.0.insert(name, value.to_owned());
        }
    }

    /// As they are remembered.
    pub(super) fn identifiers(&self) -> Vec<Identifier> {
        let hashed =
            |(name, value): (&String, &Vec<u8>)| Identifier { name: name.clone(), hash: hash(name, value) };
        self.0.iter().map(hashed).collect()
    }

    /// The names of those that are remembered otherwise. A disk that only changed its letter is the same disk.
    pub(super) fn differs_from(&self, remembered: &[Identifier]) -> Vec<String> {
        let is_here = |known: &Identifier| {
            let part = known.name.rsplit('/').next();
            let alike = self.0.iter().filter(|(name, _)| {
                **name == known.name || known.name.starts_with("block/") && name.rsplit('/').next() == part
            });
            alike.into_iter().any(|(_, value)| hash(&known.name, value) == known.hash)
        };
        let both = remembered.iter().filter(|known| self.0.contains_key(&known.name));
        both.filter(|known| !is_here(known)).map(|known| known.name.clone()).collect()
    }
}

/// Not a stick or a card reader that comes and goes: those say nothing about the till.
fn is_built_in(block: &Path) -> bool {
    let removable = fs::read(block.join("removable")).is_ok_and(|flag| flag.trim_ascii() == b"1");
    let usb = fs::canonicalize(block).is_ok_and(|real| real.to_string_lossy().contains("/usb"));
    !removable && !usb
}

fn hash(name: &str, value: &[u8]) -> [u8; 32] {
    let mut bytes = format!("etims-gateway hardware v1\0{name}\0").into_bytes();
    bytes.extend_from_slice(value);
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(identifiers: &[(&str, &str)]) -> Hardware {
        Hardware(
            identifiers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_owned()))
                .collect(),
        )
    }

    #[test]
    fn only_what_is_on_both_sides_and_differs_counts() {
        let check = |then: &[(&str, &str)], now: &[(&str, &str)], expected: &[&str]| {
            let remembered = machine(then).identifiers();
            assert_eq!(machine(now).differs_from(&remembered), expected, "{then:?} and {now:?}");
        };
        let till = [("block/mmcblk0/cid", "A"), ("devicetree/serial-number", "7")];
        check(&till, &till, &[]);
        check(&[], &till, &[]);
        check(&till, &[], &[]);
        check(&till, &[("block/mmcblk0/cid", "A"), ("block/sda/wwid", "X")], &[]);
        check(
            &till,
            &[("block/mmcblk0/cid", "A"), ("devicetree/serial-number", "8")],
            &["devicetree/serial-number"],
        );
        check(
            &till,
            &[("block/mmcblk0/cid", "B"), ("devicetree/serial-number", "7")],
            &["block/mmcblk0/cid"],
        );
        // Two disks that found each other's letter.
        let two = [("block/sda/wwid", "A"), ("block/sdb/wwid", "B")];
        check(&two, &[("block/sda/wwid", "B"), ("block/sdb/wwid", "A")], &[]);
        check(&two, &[("block/sda/wwid", "B"), ("block/sdb/wwid", "C")], &["block/sda/wwid"]);
        // The same text of another sort is no disk.
        check(
            &[("block/sda/wwid", "A")],
            &[("block/sda/wwid", "Z"), ("block/sda/cid", "A")],
            &["block/sda/wwid"],
        );
    }

    #[test]
    fn only_built_in_disks_are_read() {
        let sys = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = sys.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("block/mmcblk0/device/cid", "15010038\n");
        file("block/mmcblk0/removable", "0\n");
        file("block/sda/device/wwid", "naa.5000\n");
        file("block/sda/removable", "1\n");
        file("devices/usb2/block/sdb/device/wwid", "naa.6000\n");
        std::os::unix::fs::symlink("../devices/usb2/block/sdb", sys.path().join("block/sdb")).unwrap();
        file("block/loop0/size", "0\n");
        file("block/vda/device/wwid", "\n");
        file("firmware/devicetree/base/serial-number", "10000000abcd\0");
        let found =
            machine(&[("block/mmcblk0/cid", "15010038"), ("devicetree/serial-number", "10000000abcd")]);
        assert_eq!(Hardware::below(sys.path()), found);
    }
}
