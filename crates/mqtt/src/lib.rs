//! MQTT as this network needs it: a client whose acknowledgements are the caller's, and a broker for the demo.
//!
//! No guarantee of MQTT held end to end in every broker and client that was tried, so the guarantee is the node's
//! record; what is here keeps its word about the last hop only. Why these two libraries: `docs/decisions/mqtt.md`.

pub mod broker;
pub mod link;
