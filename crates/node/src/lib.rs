//! One charging company's server.
//!
//! `app` wires; `api` and `mqtt` decode, call one service and encode; `coordinator`, `participant` and `termination`
//! are the services around the rules of [`recarga_reservation`]; `ledger` keeps memory and `store` in step; `peer`
//! reaches the other companies. Clock, store, listener and connector are injected: the same node runs in a simulator.

pub mod api;
pub mod app;
pub mod archive;
pub mod audit_log;
pub mod chronicle;
pub mod clock;
pub mod config;
pub mod coordinator;
pub mod decisions;
pub mod delivery;
pub mod events;
pub mod files;
pub mod greeting;
pub mod journeys;
pub mod ledger;
pub mod mailbox;
pub mod membership;
pub mod metrics;
pub mod mqtt;
pub mod network;
pub mod offer;
pub mod outgoing;
pub mod participant;
pub mod peer;
pub mod peers;
pub mod refusal;
pub mod replicas;
pub mod roads;
pub mod samples;
pub mod server;
pub mod store;
pub mod termination;
pub mod tidying;
pub mod tls;
pub mod tokens;
pub mod traces;
pub mod vehicles;
mod watched;
