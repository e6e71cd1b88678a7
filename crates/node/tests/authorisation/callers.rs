//! Everybody who may call `empresa-a`.

use crate::support::http::Call;
use crate::support::{OPERATOR, Plan, STRANGER, TestNode, start_among, token};

/// The node that is called.
pub const HERE: &str = "empresa-a";
/// The companies that it knows.
pub const COMPANIES: [&str; 4] = ["empresa-b", "empresa-c", "empresa-d", STRANGER];
/// What a driver's app presents.
const DRIVER: &str = "driver-token";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Nobody,
    /// With a header that is no token of anybody; as text, so that every form of it is a row.
    Unknown(&'static str),
    Driver,
    Operator,
    Company(&'static str),
}

/// All of them. The last ones present what `empresa-a` itself, or somebody in another direction, would present.
pub fn everybody() -> Vec<Caller> {
    let unknown = [
        "Bearer ",
        "Bearer guess",
        "Bearer token-empresa-a-empresa-b",
        "Bearer token-empresa-a-empresa-a",
        "Bearer token-empresa-b-empresa-a token-empresa-b-empresa-a",
        "Basic dG9rZW4tZW1wcmVzYS1iLWVtcHJlc2EtYTo=",
        "token-empresa-b-empresa-a",
    ];
    let mut all = vec![Caller::Nobody, Caller::Driver, Caller::Operator];
    all.extend(unknown.map(Caller::Unknown));
    all.extend(COMPANIES.map(Caller::Company));
    all
}

impl Caller {
    pub fn sign(self, call: Call) -> Call {
        match self {
            Caller::Nobody => call,
            Caller::Unknown(header) => call.header("authorization", header.as_bytes()),
            Caller::Driver => call.token(DRIVER),
            Caller::Operator => call.token(OPERATOR),
            Caller::Company(name) => call.token(&token(name, HERE)),
        }
    }

    /// What is answered to somebody who is known, or not, and has no business here.
    pub fn refusal(self) -> u16 {
        if matches!(self, Caller::Nobody | Caller::Unknown(_)) { 401 } else { 403 }
    }
}

/// A node that knows all of them.
pub async fn start() -> TestNode {
    let operator = format!("driver_tokens = [\"{DRIVER}\"]");
    start_among(&COMPANIES[..3], Plan { operator, ..Plan::default() }).await
}

/// A node that asks drivers for no token.
pub async fn start_open() -> TestNode {
    // The driver's token is unknown there, as any other.
    start_among(&COMPANIES[..3], Plan::default()).await
}
