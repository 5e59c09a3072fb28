//! The keys: without the signing key there is no new store; without the device's there is one that somebody must complete.

use std::fs;
use std::path::Path;

use super::report::{SalvageError, failed};
use super::source::Source;
use crate::store::genesis::{KEY_NAME, KEYS};
use crate::store::keys::{Signer, read_secret, write_secret};
use crate::store::secrets::key_in;

const DEVICE_KEY: &str = "cmc.key";

/// The key that signs, and its bytes.
pub(super) fn signing_key(dir: &Path) -> Result<(Vec<u8>, Signer), SalvageError> {
    let path = dir.join(KEYS).join(KEY_NAME);
    let fault = |what: String| SalvageError::Key { path: path.clone(), what };
    let key = match read_secret(&dir.join(KEYS), KEY_NAME) {
        Ok(Some(key)) => key,
        Ok(None) => return Err(fault("the signing key is missing".to_owned())),
        Err(error) => return Err(fault(error.to_string())),
    };
    let signer = Signer::from_pkcs8(&key).map_err(fault)?;
    Ok((key, signer))
}

/// The journal was made with this key, as far as is known.
pub(super) fn fits(dir: &Path, signer: &Signer, source: &Source) -> Result<(), SalvageError> {
    if source.public_key == [0; 32] || source.public_key == signer.public_key() {
        return Ok(());
    }
    let path = dir.join(KEYS).join(KEY_NAME);
    Err(SalvageError::Key { path, what: "this is another key".to_owned() })
}

/// All secrets but the signing key; a device key that is not right is left behind, and said.
pub(super) fn copy_secrets(
    dir: &Path,
    making: &Path,
    registered: bool,
    to_do: &mut Vec<String>,
) -> Result<(), SalvageError> {
    let (from, to) = (dir.join(KEYS), making.join(KEYS));
    let mut key_is_there = false;
    for entry in fs::read_dir(&from).map_err(failed("listing", &from))? {
        let path = entry.map_err(failed("listing", &from))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name == KEY_NAME || name.starts_with('.') || !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(failed("reading", &path))?;
        if name == DEVICE_KEY {
            match key_in(&path, &bytes) {
                Ok(Some(_)) => key_is_there = true,
                Ok(None) => continue,
                Err(error) => {
                    to_do.push(error.to_string());
                    continue;
                }
            }
        }
        write_secret(&to, &name, &bytes).map_err(failed("writing secrets in", &to))?;
    }
    if registered && !key_is_there {
        to_do.push(format!(
            "the device's key is not in the new store: put its file back from a backup as keys/{DEVICE_KEY}, or ask KRA \
             for a new key and write that there, alone on the first line; until then the gateway does not start"
        ));
    }
    if !registered {
        to_do.push(
            "the device's registration could not be read: if this device was registered, bring it back with `device adopt` \
             before it sells"
                .to_owned(),
        );
    }
    Ok(())
}
