//! What the store promises, tried from outside: on real files, and on a disk whose power can be cut.

mod credits;
mod damage;
mod everyday;
mod forged;
mod forward;
mod full_disk;
pub(in crate::store) mod harness;
mod killed;
mod looking_back;
mod old_age;
mod old_age_model;
mod old_damage;
mod power_cut;
mod prints;
mod retain;
mod shelf;
