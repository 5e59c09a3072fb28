//! KRA's formats: our values to KRA's bytes and back; pure; the only home of KRA field names.
//!
//! Both formats read into one [`tree`] and are written by one body writer, so everything that knows a function
//! ([`sale`], [`initialise`], [`invoice_details`], [`lists`], [`probe`]) is blind to the format; long lists are read row by
//! row as they come. What an answer to a saving request
//! means is a table in [`result_code`]; where a function lives is a table in [`endpoint`]; what of both bodies may be kept
//! for a technician is decided in [`redact`].

mod body;
pub mod endpoint;
mod envelope;
mod frozen;
pub mod initialise;
pub mod invoice_details;
pub mod item;
mod json;
mod json_rows;
pub mod lists;
mod message;
mod named_field;
pub mod probe;
pub mod redact;
pub mod result_code;
pub mod sale;
mod scrub;
pub mod sign;
pub mod tree;
mod xml;
mod xml_rows;

pub use endpoint::{PathFault, Paths};
pub use envelope::Envelope;
pub use frozen::{Format, FrozenRequest, Function};
