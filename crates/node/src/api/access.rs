//! Who calls, what they may do, and how often.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use recarga_reservation::OperatorId;
use recarga_wire::{Problem, ProblemKind};
use subtle::ConstantTimeEq;

use super::Fault;
use crate::config::{Config, Secret};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Another company of the federation.
    Company(OperatorId),
    /// Somebody of this company.
    Operator,
    /// A driver's app with a token.
    Driver,
    /// Anyone.
    Anonymous,
}

/// What is known of callers.
#[derive(Debug)]
pub struct Access {
    companies: Vec<(OperatorId, Secret)>,
    operator: Option<Secret>,
    drivers: Vec<Secret>,
    by_company: Option<DefaultKeyedRateLimiter<OperatorId>>,
    by_address: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Access {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self {
            companies: config.peers.iter().map(|peer| (peer.id.clone(), peer.accepts.clone())).collect(),
            operator: config.operator_token.clone(),
            drivers: config.driver_tokens.clone(),
            by_company: limiter(config.limits.peer_requests_per_second_max),
            by_address: limiter(config.limits.client_requests_per_second_max),
        }
    }

    /// Who calls, by the token presented; whether they call too often.
    ///
    /// # Errors
    /// An unknown token is refused even where none is needed: whoever presents one means to be known.
    pub fn identify(&self, headers: &HeaderMap, address: SocketAddr) -> Result<Caller, Problem> {
        let caller = match headers.get(AUTHORIZATION) {
            None => Some(Caller::Anonymous),
            Some(value) => value.to_str().ok().and_then(bearer).and_then(|token| self.holder(token)),
        };
        let within = match &caller {
            Some(Caller::Company(company)) => {
                self.by_company.as_ref().is_none_or(|limiter| limiter.check_key(company).is_ok())
            }
            _ => self.by_address.as_ref().is_none_or(|limiter| limiter.check_key(&address.ip()).is_ok()),
        };
        if !within {
            return Err(Problem::of(ProblemKind::TooManyRequests));
        }
        caller.ok_or_else(|| Problem::of(ProblemKind::Unauthenticated).at("Authorization"))
    }

    /// Forgets the callers that have been silent. To be called now and then.
    pub fn tidy(&self) {
        if let Some(limiter) = &self.by_address {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// Whether drivers' apps must present a token.
    pub fn knows_drivers(&self) -> bool {
        !self.drivers.is_empty()
    }

    // Every known token is compared, in constant time, so that the time taken tells nothing.
    fn holder(&self, token: &str) -> Option<Caller> {
        let mut holder = None;
        for (company, secret) in &self.companies {
            if same(token, secret) {
                holder = Some(Caller::Company(company.clone()));
            }
        }
        if self.operator.as_ref().is_some_and(|secret| same(token, secret)) {
            holder = Some(Caller::Operator);
        }
        for secret in &self.drivers {
            if same(token, secret) {
                holder = Some(Caller::Driver);
            }
        }
        holder
    }
}

impl Caller {
    /// The company that calls.
    ///
    /// # Errors
    /// Somebody else calls.
    pub fn company(&self) -> Result<&OperatorId, Fault> {
        match self {
            Caller::Company(company) => Ok(company),
            Caller::Anonymous => Err(Problem::of(ProblemKind::Unauthenticated).at("Authorization").into()),
            Caller::Operator | Caller::Driver => Err(Problem::of(ProblemKind::Forbidden).into()),
        }
    }

    /// Whether drivers' calls are open to this caller.
    ///
    /// # Errors
    /// They need a token that was not presented.
    pub fn check_driver(&self, access: &Access) -> Result<(), Fault> {
        match self {
            Caller::Operator | Caller::Driver => Ok(()),
            Caller::Anonymous | Caller::Company(_) if !access.knows_drivers() => Ok(()),
            Caller::Anonymous => Err(Problem::of(ProblemKind::Unauthenticated).at("Authorization").into()),
            Caller::Company(_) => Err(Problem::of(ProblemKind::Forbidden).into()),
        }
    }

    /// Whether the operator's own calls are open to this caller.
    ///
    /// # Errors
    /// Only the operator's token opens them.
    pub fn check_operator(&self) -> Result<(), Fault> {
        match self {
            Caller::Operator => Ok(()),
            Caller::Anonymous => Err(Problem::of(ProblemKind::Unauthenticated).at("Authorization").into()),
            Caller::Company(_) | Caller::Driver => Err(Problem::of(ProblemKind::Forbidden).into()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(parts.extensions.get().cloned().unwrap_or(Caller::Anonymous))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn same(token: &str, secret: &Secret) -> bool {
    token.as_bytes().ct_eq(secret.expose().as_bytes()).into()
}

// One second's worth may come at once, twice as much in a burst.
fn limiter<K: Clone + Eq + std::hash::Hash>(per_second: u32) -> Option<DefaultKeyedRateLimiter<K>> {
    let rate = NonZeroU32::new(per_second)?;
    Some(RateLimiter::keyed(
        Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1))),
    ))
}
