//! Who calls, what they may do, and how often.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use recarga_reservation::{OperatorId, VehicleId};
use recarga_wire::{Problem, ProblemKind};
use tracing::warn;

use self::cars::Cars;
use self::renewal::Renewal;
use super::Fault;
use crate::app::Node;
use crate::config::Config;
use crate::peers::{Member, Peers};
use crate::server::Certified;
use crate::tls::is_in_name_of;
use crate::tokens::Tokens;

mod cars;
mod renewal;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Another company of the federation.
    Company(OperatorId),
    /// Somebody of this company.
    Operator,
    /// A driver's app with a token.
    Driver,
    /// A car, or an app that speaks for it, with the token of that car.
    Vehicle(VehicleId),
    /// Anyone.
    Anonymous,
}

/// What is known of callers.
#[derive(Debug)]
pub struct Access {
    companies: Peers,
    operator: Tokens,
    drivers: Tokens,
    cars: Cars,
    renewal: Renewal,
    by_company: Option<DefaultKeyedRateLimiter<OperatorId>>,
    by_address: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Access {
    /// As configured, and as the configuration has been changed since.
    pub fn new(config: &Config, companies: Peers) -> Self {
        let access = Self {
            companies,
            operator: Tokens::new(config.operator_tokens.clone()),
            drivers: Tokens::new(config.driver_tokens.clone()),
            cars: Cars::new(config.vehicle_tokens.clone()),
            renewal: Renewal::of(config),
            by_company: limiter(config.limits.peer_requests_per_second_max),
            by_address: limiter(config.limits.client_requests_per_second_max),
        };
        access.catch_up();
        access
    }

    /// Who calls, by the token presented; whether they call too often.
    ///
    /// # Errors
    /// An unknown token is refused even where none is needed: whoever presents one means to be known.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        address: SocketAddr,
        certified: &Certified,
    ) -> Result<Caller, Problem> {
        let caller = match headers.get(AUTHORIZATION) {
            None => Some(Caller::Anonymous),
            Some(value) => value.to_str().ok().and_then(bearer).and_then(|token| self.holder(token)),
        };
        if let Some(Caller::Company(company)) = &caller {
            self.check_certificate(company, address, certified)?;
        }
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

    // A token may have been overheard where it was used without TLS; the key of a certificate never travels.
    fn check_certificate(
        &self,
        company: &OperatorId,
        address: SocketAddr,
        certified: &Certified,
    ) -> Result<(), Problem> {
        let members = self.companies.all();
        let is_needed = members.get(company).is_some_and(Member::needs_certificate);
        let is_shown = || certified.0.as_ref().is_some_and(|shown| is_in_name_of(shown, company));
        if !is_needed || is_shown() {
            return Ok(());
        }
        warn!(%company, %address, certificate = certified.0.is_some(), "its token came without a certificate in its name");
        let detail = format!("o token de `{company}` só vale com um certificado em nome dela (TLS)");
        Err(Problem::new(ProblemKind::Unauthenticated, detail).at("Authorization"))
    }

    /// Forgets the callers that have been silent. To be called now and then.
    pub fn tidy(&self) {
        if let Some(limiter) = &self.by_address {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// Whether the operator has a token, without which nothing of the operator's is open.
    pub fn knows_operator(&self) -> bool {
        !self.operator.are_none()
    }

    /// Whether drivers' apps must present a token.
    pub fn knows_drivers(&self) -> bool {
        !self.drivers.are_none() || self.cars.are_known()
    }

    /// Whether there are files that may change.
    pub fn has_files(&self) -> bool {
        self.cars.have_file() || self.renewal.has_file()
    }

    /// The tokens of single cars.
    pub fn cars(&self) -> &Cars {
        &self.cars
    }

    // Every known token is compared, in constant time, so that the time taken tells nothing.
    fn holder(&self, token: &str) -> Option<Caller> {
        let mut holder = None;
        for (company, member) in &*self.companies.all() {
            if member.accepts.hold(token) {
                holder = Some(Caller::Company(company.clone()));
            }
        }
        if self.operator.hold(token) {
            holder = Some(Caller::Operator);
        }
        if self.drivers.hold(token) {
            holder = Some(Caller::Driver);
        }
        // Last, so that a token that opens more is only a car's where somebody made it one by mistake.
        self.cars.holder(token).map(Caller::Vehicle).or(holder)
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
            Caller::Operator | Caller::Driver | Caller::Vehicle(_) => {
                Err(Problem::of(ProblemKind::Forbidden).into())
            }
        }
    }

    /// Whether drivers' calls about all cars are open to this caller.
    ///
    /// # Errors
    /// They need a token that was not presented.
    pub fn check_driver(&self, access: &Access) -> Result<(), Fault> {
        match self {
            Caller::Operator | Caller::Driver => Ok(()),
            Caller::Anonymous | Caller::Company(_) if !access.knows_drivers() => Ok(()),
            Caller::Anonymous => Err(Problem::of(ProblemKind::Unauthenticated).at("Authorization").into()),
            Caller::Company(_) => Err(Problem::of(ProblemKind::Forbidden).into()),
            Caller::Vehicle(_) => {
                let detail = "o token de um carro só serve para os pedidos e as viagens dele";
                Err(Problem::new(ProblemKind::Forbidden, detail).into())
            }
        }
    }

    /// Whether drivers' calls about no car in particular are open to this caller.
    ///
    /// # Errors
    /// As [`Caller::check_driver`].
    pub fn check_driver_or_car(&self, access: &Access) -> Result<(), Fault> {
        if matches!(self, Caller::Vehicle(_)) { Ok(()) } else { self.check_driver(access) }
    }

    /// Whether the calls of some car are open to this caller: of which one, [`Caller::check_car`] says.
    ///
    /// # Errors
    /// They need a token that was not presented; where cars have tokens of their own, such a one.
    pub fn check_some_car(&self, access: &Access) -> Result<(), Fault> {
        match self {
            Caller::Operator | Caller::Vehicle(_) => Ok(()),
            _ if !access.cars.are_known() => self.check_driver(access),
            Caller::Anonymous => Err(Problem::of(ProblemKind::Unauthenticated).at("Authorization").into()),
            Caller::Driver | Caller::Company(_) => {
                let detail = "esta empresa exige o token do próprio carro em `Authorization`";
                Err(Problem::new(ProblemKind::Forbidden, detail).at("Authorization").into())
            }
        }
    }

    /// Whether the calls of a car are open to this caller. `field` says where the request names it.
    ///
    /// # Errors
    /// As [`Caller::check_some_car`]; also if it is another car that calls.
    pub fn check_car(&self, access: &Access, car: &VehicleId, field: &'static str) -> Result<(), Fault> {
        self.check_some_car(access)?;
        if self.is_another_car(car) {
            let detail = "o token apresentado é de outro carro; use o token do carro do pedido";
            return Err(Problem::new(ProblemKind::Forbidden, detail).at(field).into());
        }
        Ok(())
    }

    /// Whether a car calls, and not this one.
    pub fn is_another_car(&self, car: &VehicleId) -> bool {
        matches!(self, Caller::Vehicle(own) if own != car)
    }

    /// Whether the operator's own calls are open to this caller.
    ///
    /// # Errors
    /// Only the operator's token opens them.
    pub fn check_operator(&self) -> Result<(), Fault> {
        match self {
            Caller::Operator => Ok(()),
            Caller::Anonymous => Err(Problem::of(ProblemKind::Unauthenticated).at("Authorization").into()),
            Caller::Company(_) | Caller::Driver | Caller::Vehicle(_) => {
                Err(Problem::of(ProblemKind::Forbidden).into())
            }
        }
    }
}

/// Whether somebody at this very machine calls, by a name of it. A proxy on this machine speaks for somebody else, and
/// a page from elsewhere whose name was made to lead here calls this machine by that name.
#[derive(Clone, Copy, Debug)]
pub struct IsLocal(pub bool);

impl IsLocal {
    /// As a request looks.
    pub fn of(headers: &HeaderMap, address: SocketAddr) -> Self {
        const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        Self(
            address.ip().to_canonical().is_loopback()
                && host.is_some_and(is_loopback_name)
                && !FORWARDED.iter().any(|name| headers.contains_key(*name)),
        )
    }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whoever may read what is the operator's: the operator, or without a token anyone at this machine where the operator
/// has none.
#[derive(Clone, Copy, Debug)]
pub struct Reader;

impl Reader {
    /// Whether the caller is one.
    ///
    /// # Errors
    /// Why not.
    pub fn check(caller: &Caller, local: IsLocal, access: &Access) -> Result<Self, Fault> {
        let is_open = *caller == Caller::Anonymous && local.0 && !access.knows_operator();
        if is_open { Ok(Reader) } else { caller.check_operator().map(|()| Reader) }
    }
}

impl FromRequestParts<Arc<Node>> for Reader {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Fault> {
        let caller = parts.extensions.get().cloned().unwrap_or(Caller::Anonymous);
        Reader::check(&caller, IsLocal::from(&*parts), &node.access)
    }
}

impl From<&Parts> for IsLocal {
    fn from(parts: &Parts) -> Self {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        address.map_or(IsLocal(false), |ConnectInfo(address)| IsLocal::of(&parts.headers, *address))
    }
}

impl<S: Sync> FromRequestParts<S> for IsLocal {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(IsLocal::from(&*parts))
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

// One second's worth may come at once, twice as much in a burst.
fn limiter<K: Clone + Eq + std::hash::Hash>(per_second: u32) -> Option<DefaultKeyedRateLimiter<K>> {
    let rate = NonZeroU32::new(per_second)?;
    Some(RateLimiter::keyed(
        Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1))),
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_who_calls_this_machine_by_its_own_name_is_local() {
        let is_local = |address: &str, host: &'static str, more: Option<&'static str>| {
            let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            if let Some(name) = more {
                headers.insert(name, HeaderValue::from_static("10.1.2.3"));
            }
            IsLocal::of(&headers, address.parse().unwrap()).0
        };
        for host in ["127.0.0.1:8001", "localhost", "LOCALHOST:1", "[::1]:8001", "127.9.9.9"] {
            assert!(is_local("127.0.0.1:5", host, None), "{host}");
            assert!(is_local("[::1]:5", host, None), "{host}");
            assert!(!is_local("10.0.0.1:5", host, None), "{host} from elsewhere");
            assert!(!is_local("127.0.0.1:5", host, Some("x-forwarded-for")), "{host} through a proxy");
        }
        for host in ["evil.example:8001", "127.0.0.1.evil.example", "localhost.evil", "", "[::1", "10.0.0.1"]
        {
            assert_eq!(is_local("127.0.0.1:5", host, None), host == "[::1", "{host}");
        }
        assert!(is_local("[::ffff:127.0.0.1]:5", "localhost", None));
    }
}
