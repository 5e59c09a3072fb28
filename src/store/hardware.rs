//! The hardware a store was made on, as far as its service may read it.

use std::fs;
use std::path::Path;

use crate::store::record::sha256;
use crate::store::standing::Identifier;

/// The machine's identifiers now, hashed: disks' CID and WWID, the board's serial. To be compared by name with those in
/// [`Store::genesis`](crate::store::Store::genesis); one that is on one side only says nothing.
pub fn hardware_identifiers() -> Vec<Identifier> {
    let mut found = Vec::new();
    if let Ok(blocks) = fs::read_dir("/sys/block") {
        for block in blocks.flatten() {
            let disk = block.file_name().to_string_lossy().into_owned();
            for part in ["cid", "wwid"] {
                add(&mut found, format!("block/{disk}/{part}"), &block.path().join("device").join(part));
            }
        }
    }
    for (name, path) in [
        ("devicetree/serial-number", "/sys/firmware/devicetree/base/serial-number"),
        ("dmi/product-uuid", "/sys/class/dmi/id/product_uuid"),
    ] {
        add(&mut found, name.to_owned(), Path::new(path));
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.truncate(64);
    found
}

fn add(found: &mut Vec<Identifier>, name: String, path: &Path) {
    let Ok(value) = fs::read(path) else { return };
    let value = value.trim_ascii();
    if value.is_empty() || name.len() > 255 {
        return;
    }
    let mut bytes = format!("etims-gateway hardware v1\0{name}\0").into_bytes();
    bytes.extend_from_slice(value);
    found.push(Identifier { name, hash: sha256(&bytes) });
}
