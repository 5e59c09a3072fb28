//! `store init`: an empty store on a till that is new.

use std::path::Path;

use super::run::{exit_of, load};
use super::{Exit, say};
use crate::daemon;

/// Makes it, once.
pub fn store_init(config: Option<&Path>) -> Exit {
    let Some(settings) = load(config) else { return Exit::Configuration };
    let dir = settings.state_dir.display();
    match daemon::make_store(&settings) {
        Ok(true) => {
            say(&format!("an empty store was made in {dir}"));
            Exit::Ok
        }
        Ok(false) => {
            say(&format!("there is a store in {dir} already: nothing was changed"));
            Exit::Ok
        }
        Err(error) => {
            eprintln!("etims-gateway: {error}");
            exit_of(&error)
        }
    }
}
