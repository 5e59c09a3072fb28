//! The bytes of a damaged journal's segments, as far as they can be had; nothing is written.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use crate::store::codec::length_u64;
use crate::store::disk::{Disk, DiskFile};
use crate::store::group::BLOCK;
use crate::store::journal::segment_name;
use crate::store::pack::{CHUNK, Pack, pack_name};

/// The first bytes of a zstd frame.
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The journal's directory, which nothing is written to.
pub(super) struct ReadOnly(pub(super) PathBuf);

impl Disk for ReadOnly {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            found.push((name, entry.metadata()?.len()));
        }
        Ok(found)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }

    fn create(&self, _name: &str) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl ReadOnly {
    /// A segment's bytes as far as they can be had, zeros in place of the rest; and what is wrong.
    pub(super) fn load(&self, segment: u32) -> (Vec<u8>, Option<String>) {
        let plain = self.0.join(segment_name(segment));
        if plain.exists() {
            return match fs::read(&plain) {
                Ok(bytes) => (bytes, None),
                Err(error) => (Vec::new(), Some(format!("{}: {error}", plain.display()))),
            };
        }
        let name = pack_name(segment);
        let path = self.0.join(&name);
        let mut wrong = None;
        match Pack::open_named(self, &name, segment) {
            Ok(pack) => {
                let mut bytes = vec![0; usize::try_from(pack.span().end).unwrap_or(0)];
                for (index, chunk) in bytes.chunks_mut(CHUNK).enumerate() {
                    if let Err(error) = pack.read_at(chunk, length_u64(index * CHUNK)) {
                        chunk.fill(0);
                        wrong.get_or_insert_with(|| format!("{}: {error}", path.display()));
                    }
                }
                (bytes, wrong)
            }
            Err(error) => {
                let wrong = Some(format!("{}: {error}", path.display()));
                (fs::read(&path).map_or_else(|_| Vec::new(), |packed| frames(&packed)), wrong)
            }
        }
    }
}

/// The chunks of a compressed segment whose table is lost, one after the other; zeros for one that cannot be unpacked. A
/// chunk is whole blocks, so groups after a lost one still begin where groups may begin.
fn frames(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = BLOCK;
    while let Some(rest) = packed.get(at..) {
        let Some(start) = rest.windows(FRAME.len()).position(|window| window == FRAME) else { break };
        let frame = &rest[start..];
        let length = zstd::zstd_safe::find_frame_compressed_size(frame).ok();
        let unpacked = length.and_then(|length| zstd::bulk::decompress(frame.get(..length)?, CHUNK).ok());
        match (length, unpacked) {
            (Some(length), Some(mut chunk)) => {
                chunk.resize(CHUNK, 0);
                out.append(&mut chunk);
                at += start + length;
            }
            _ => {
                out.resize(out.len() + CHUNK, 0);
                at += start + FRAME.len();
            }
        }
    }
    out
}
