//! The first start: a signing key, a journal with its GENESIS. Interrupted at any point, it can be done again.
//!
//! The journal is made beside its place and renamed into it, so that a journal without a readable GENESIS is always damage.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ring::rand::SecureRandom;

use crate::store::codec::length_u64;
use crate::store::committer::{own_record, signed_base};
use crate::store::disk::{Disk, RealDisk, write_zeros};
use crate::store::group::{HEADER, Header, Sums, seal};
use crate::store::hardware::hardware_identifiers;
use crate::store::journal::segment_name;
use crate::store::keys::{Signer, new_signing_key, read_secret, sync_directory, write_secret};
use crate::store::options::Options;
use crate::store::record::{Kind, encode_record, sha256};
use crate::store::standing::{Base, Genesis, Standing};

/// The signing key's file, in the directory of secrets.
pub(crate) const KEY_NAME: &str = "signing.key";
/// The directory of secrets.
pub(crate) const KEYS: &str = "keys";
const MAKING: &str = "journal.making";

/// An earlier first start was interrupted, before anything could have been acknowledged.
pub(crate) fn was_interrupted(dir: &Path) -> bool {
    dir.join(MAKING).is_dir()
}

/// Makes key and journal; the last step is the rename that makes the store be there.
pub(crate) fn make(dir: &Path, journal: &Path, options: &Options) -> io::Result<()> {
    let making = dir.join(MAKING);
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    fs::create_dir(&making)?;
    sync_directory(dir)?;
    let key = match &options.signing_key {
        Some(key) => key.clone(),
        None => own_key(dir)?,
    };
    let signer = Signer::from_pkcs8(&key).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk { directory: making.clone() });
    write_first_segment(&*disk, &signer, options)?;
    fs::rename(&making, journal)?;
    sync_directory(dir)
}

fn own_key(dir: &Path) -> io::Result<Vec<u8>> {
    let keys = dir.join(KEYS);
    if let Some(key) = read_secret(&keys, KEY_NAME)? {
        return Ok(key);
    }
    let key = new_signing_key()?;
    write_secret(&keys, KEY_NAME, &key)?;
    Ok(key)
}

/// Makes the first segment, with BASE and GENESIS in one synced group.
pub(crate) fn write_first_segment(disk: &dyn Disk, signer: &Signer, options: &Options) -> io::Result<()> {
    let mut journal = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut journal)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let public_key = signer.public_key();
    let base = Base { segment: 1, declared: options.segment_size, public_key, standing: Standing::default() };
    let genesis = Genesis { journal, public_key, hardware: hardware_identifiers() };

    let mut buffer = vec![0; HEADER];
    let head = (0, [0; 32]);
    let base = signed_base(options, signer, &journal, head, &base);
    encode_record(&mut buffer, 1, &head.1, &base, None);
    let previous = sha256(&buffer[HEADER..]);
    encode_record(&mut buffer, 2, &previous, &own_record(options, Kind::Genesis, genesis.encode()), None);
    let header = Header {
        journal,
        epoch: 0,
        number: 1,
        first_seq: 1,
        count: 2,
        length: 0,
        previous: head.1,
        sums: Sums::default(),
    };
    seal(&mut buffer, header);

    let file = disk.create(&segment_name(1))?;
    file.write_at(&buffer, 0)?;
    write_zeros(&*file, length_u64(buffer.len()), u64::from(options.segment_size))?;
    file.sync_data()?;
    disk.sync_names()
}
