//! The gateway's promises, tried on the real binary: a till on its sockets, a KRA of its own, a disk after a kill.
//! A module for each promise. Nothing here knows the inside.

#![allow(clippy::unwrap_used, reason = "`unwrap` is how a test says that this must hold")]

mod follower;
mod harness;
mod kra;
mod mount;
mod pty;
mod sale;
mod standings;
mod till;

mod alerts;
mod api_log;
mod boundaries;
mod clock;
mod codes;
mod commands;
mod config;
mod credit_notes;
mod damage;
mod demo;
mod device;
mod disk_failure;
mod disk_full;
mod doctor;
mod events;
mod export;
mod fault_matrix;
mod guard;
mod health;
mod holds;
mod items;
mod limits;
mod line;
mod lost_answers;
mod metrics;
mod one_sync;
mod operators;
mod order;
mod patience;
mod power_cut;
mod proofs;
mod receipts;
mod refusals;
mod registration;
mod reload;
mod replaces;
mod sales;
mod salvage;
mod secrets;
mod serial;
mod series;
mod shutdown;
mod store;
mod tls;
mod twins;
mod watchdog;
mod webhooks;
