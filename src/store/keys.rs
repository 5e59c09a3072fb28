//! Secrets on the disk, and the key that signs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ring::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::queue::Seq;
use crate::store::codec::Put;
use crate::store::effect::{Effect, encode_effect};
use crate::store::record::{Kind, Stamp};

/// Signs sales in the workers, before they are committed, and the chain in the store.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Signer").field("public", &data_encoding::HEXLOWER.encode(&self.public)).finish()
    }
}

impl Signer {
    /// Reads a PKCS#8 Ed25519 key; the words say what is wrong with it.
    pub(crate) fn from_pkcs8(bytes: &[u8]) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
            .map_err(|rejected| format!("not an Ed25519 key in PKCS#8: {rejected}"))?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// The Ed25519 signature over `bytes`; about 40 µs, so callers make it in their own task.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        signature
    }

    /// The public key, as `status` and every export show it.
    pub const fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// The exact bytes that a document's signature covers: its kind, when and where it was accepted, its effect and body.
    pub fn document_bytes(kind: Kind, stamp: &Stamp, origin: &str, effect: &Effect, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(body.len() + origin.len() + 256);
        bytes.extend_from_slice(b"etims-gateway document v1\0");
        bytes.put_u8(kind.code());
        bytes.put_i64(stamp.wall_ms);
        bytes.extend_from_slice(&stamp.boot);
        bytes.put_u64(stamp.monotonic_ms);
        bytes.put_u8(u8::from(stamp.synchronised));
        bytes.put_long(origin.as_bytes());
        encode_effect(&mut bytes, effect);
        bytes.put_long(body);
        bytes
    }
}

/// The exact bytes that a checkpoint's signature covers: the journal, the record's number, and all that came before.
pub(crate) fn checkpoint_bytes(journal: &[u8; 16], seq: Seq, previous: &[u8; 32], body: &[u8]) -> Vec<u8> {
    chain_bytes(b"etims-gateway checkpoint v1\0", journal, seq, previous, body)
}

/// The exact bytes that the signature of a BASE covers: the same. No segment begins without it, whatever becomes of the
/// checkpoints.
pub(crate) fn base_bytes(journal: &[u8; 16], seq: Seq, previous: &[u8; 32], body: &[u8]) -> Vec<u8> {
    chain_bytes(b"etims-gateway base v1\0", journal, seq, previous, body)
}

fn chain_bytes(purpose: &[u8], journal: &[u8; 16], seq: Seq, previous: &[u8; 32], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 128);
    bytes.extend_from_slice(purpose);
    bytes.extend_from_slice(journal);
    bytes.put_u64(seq);
    bytes.extend_from_slice(previous);
    bytes.put_long(body);
    bytes
}

/// The exact bytes that the signature of a RETIRE covers: as a checkpoint's, and what leaves.
pub(crate) fn retire_bytes(
    journal: &[u8; 16],
    seq: Seq,
    previous: &[u8; 32],
    effect: &Effect,
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + effect.encoded_bound() + 128);
    bytes.extend_from_slice(b"etims-gateway retire v1\0");
    bytes.extend_from_slice(journal);
    bytes.put_u64(seq);
    bytes.extend_from_slice(previous);
    encode_effect(&mut bytes, effect);
    bytes.put_long(body);
    bytes
}

/// Whether `signature` over `bytes` was made with the key of `public_key`.
pub fn signature_holds(public_key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ring::signature::ED25519, public_key).verify(bytes, signature).is_ok()
}

/// A new Ed25519 key in PKCS#8.
pub(crate) fn new_signing_key() -> io::Result<Vec<u8>> {
    let random = ring::rand::SystemRandom::new();
    Ed25519KeyPair::generate_pkcs8(&random)
        .map(|document| document.as_ref().to_vec())
        .map_err(|_| io::Error::other("the system gives no random bytes"))
}

/// Writes a secret so that a power cut leaves either the old one or the new one whole: a file of mode 0600 beside it,
/// synced, renamed into place, the directory (made with mode 0700 if missing) synced.
pub fn write_secret(directory: &Path, name: &str, secret: &[u8]) -> io::Result<()> {
    if !directory.is_dir() {
        fs::DirBuilder::new().mode(0o700).create(directory)?;
        if let Some(parent) = directory.parent() {
            sync_directory(parent)?;
        }
    }
    let making = directory.join(format!(".{name}.making"));
    match fs::remove_file(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&making)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&making, directory.join(name))?;
    sync_directory(directory)
}

/// Reads a secret; `None` if there is no such file. An empty file is an error: a secret was meant to be there.
pub fn read_secret(directory: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(directory.join(name)) {
        Ok(secret) if secret.is_empty() => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"))
        }
        Ok(secret) => Ok(Some(secret)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory survive a power cut.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_private_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        assert_eq!(read_secret(&keys, "signing.key").unwrap(), None);
        write_secret(&keys, "signing.key", b"one").unwrap();
        write_secret(&keys, "signing.key", b"two").unwrap();
        assert_eq!(read_secret(&keys, "signing.key").unwrap(), Some(b"two".to_vec()));
        let mode = fs::metadata(keys.join("signing.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(keys.join("signing.key"), b"").unwrap();
        assert!(read_secret(&keys, "signing.key").is_err());
    }

    #[test]
    fn a_signature_covers_every_part() {
        let signer = Signer::from_pkcs8(&new_signing_key().unwrap()).unwrap();
        let stamp = Stamp { wall_ms: 1, boot: [2; 16], monotonic_ms: 3, synchronised: true };
        let bytes = Signer::document_bytes(Kind::Sale, &stamp, "tcp", &Effect::None, b"body");
        let signature = signer.sign(&bytes);
        assert!(signature_holds(&signer.public_key(), &bytes, &signature));
        for other in [
            Signer::document_bytes(Kind::Item, &stamp, "tcp", &Effect::None, b"body"),
            Signer::document_bytes(Kind::Sale, &Stamp { wall_ms: 2, ..stamp }, "tcp", &Effect::None, b"body"),
            Signer::document_bytes(
                Kind::Sale,
                &Stamp { synchronised: false, ..stamp },
                "tcp",
                &Effect::None,
                b"body",
            ),
            Signer::document_bytes(Kind::Sale, &stamp, "unix", &Effect::None, b"body"),
            Signer::document_bytes(
                Kind::Sale,
                &stamp,
                "tcp",
                &Effect::Bound { document: 1, number: 1 },
                b"body",
            ),
            Signer::document_bytes(Kind::Sale, &stamp, "tcp", &Effect::None, b"bodies"),
        ] {
            assert!(!signature_holds(&signer.public_key(), &other, &signature));
        }
    }
}
