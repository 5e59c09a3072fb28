//! Salvage: what can be read of a damaged store becomes a new one. The source is only read.
//!
//! `source` finds every record that is as it was written: whole groups by their checksum, single records of broken groups by
//! the hash that the record after them carries, or by their own signature. `rewrite` writes them into a `new_journal` under
//! their old running numbers; what they say, also of documents whose own record is lost, becomes `knowledge`. Up to the first
//! loss the new journal has the same records, byte for byte, signed checkpoints included; from there on the chain is made
//! anew, and an empty RECOVERED record stands for each one that is lost.
//! `doubts` says what the losses leave unsure: nothing that KRA may have is sent again before its books were asked.
//! `known_index` may name what the journal lost. `run` does one after the other, in a `directory` inside the new store's,
//! whose content takes its place at the end; the keys (`secrets`) are copied.

mod directory;
mod doubts;
mod knowledge;
mod known_index;
mod new_journal;
mod report;
mod rewrite;
mod run;
mod secrets;
mod segment_bytes;
mod source;

pub use known_index::{Indexed, Known, ReadIndex, known_documents};
pub use report::{LostSale, SalvageError, Salvaged};
pub use run::salvage;
