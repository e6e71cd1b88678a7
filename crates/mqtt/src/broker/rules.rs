//! Who may connect to the embedded broker, and who may say and hear what.

use std::collections::{HashMap, HashSet};
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::broker::events::{BrokerEventHandler, ClientDisconnectEvent, ClientPublishEvent, PublishAction};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use tracing::{debug, warn};

use super::{Account, BrokerError, BrokerOptions};

/// How client ids begin that the broker makes up for clients that bring none.
const ASSIGNED_ID_PREFIX: &str = "auto-";
/// The protocol level of MQTT 5 in a CONNECT packet; 3.1.1 is 4.
const MQTT_5: u8 = 5;

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The broker's "user id" is the company's name or the car's id; the two never meet, because no car may
/// call itself by a company's name.
pub(super) struct Rules {
    companies: HashMap<String, String>,
    cars: HashMap<String, String>,
    cars_need_password: bool,
    cars_may_read_server_answers: bool,
    /// Client ids connected with MQTT 3.1.1. The library answers their forbidden QoS 1 publications with an
    /// acknowledgement in the form of MQTT 5, at which strict clients break the connection and send the
    /// same again, for ever. So for them the publication is let through here and swallowed one step later
    /// ([`Rules::on_client_publish`]), which is answered in their own form.
    old_clients: Mutex<HashSet<String>>,
}

impl Rules {
    pub(super) fn new(options: &BrokerOptions) -> Result<Self, BrokerError> {
        let rules = Self {
            companies: accounts(&options.companies)?,
            cars: accounts(&options.cars)?,
            cars_need_password: options.cars_need_password,
            cars_may_read_server_answers: options.cars_may_read_server_answers,
            old_clients: Mutex::default(),
        };
        match rules.cars.keys().find(|car| rules.owner(car).is_some()) {
            Some(car) => Err(BrokerError::Account { name: car.clone(), why: "the name is a company's" }),
            None => Ok(rules),
        }
    }

    /// The user id of a client, or why it is refused.
    fn identify(
        &self,
        client_id: &str,
        username: Option<&str>,
        password: &[u8],
    ) -> Result<String, ReasonCode> {
        let name = username.unwrap_or(client_id);
        if !is_id(name) {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        let assigned = client_id.starts_with(ASSIGNED_ID_PREFIX);
        if let Some(known) = self.companies.get(name) {
            if username.is_none() || !same(known.as_bytes(), password) {
                return Err(ReasonCode::BadUsernameOrPassword);
            }
            // A second connection with the same client id ends the first: nobody may take another's id.
            let own = assigned || self.owner(client_id) == Some(name);
            return if own { Ok(name.to_owned()) } else { Err(ReasonCode::ClientIdentifierNotValid) };
        }
        if (name != client_id && !assigned) || self.owner(name).is_some() {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        match self.cars.get(name) {
            Some(known) if !same(known.as_bytes(), password) => Err(ReasonCode::BadUsernameOrPassword),
            None if self.cars_need_password => Err(ReasonCode::BadUsernameOrPassword),
            _ => Ok(name.to_owned()),
        }
    }

    fn may_publish(&self, user: &str, topic: &str) -> bool {
        if self.companies.contains_key(user) {
            return is_company_topic(user, topic);
        }
        matches!(levels(topic)[..], ["veiculo", id, "status" | "requisicao"] if id == user)
    }

    fn may_subscribe(&self, user: &str, filter: &str) -> bool {
        if self.companies.contains_key(user) {
            return is_company_topic(user, mqtt5::strip_shared_subscription_prefix(filter));
        }
        match levels(filter)[..] {
            ["veiculo", id, "resposta"] => id == user,
            ["servidor", _, "resposta"] => self.cars_may_read_server_answers,
            _ => false,
        }
    }

    /// The user id of a client that may connect, also as far as its last will goes.
    fn admit(&self, connect: &ConnectPacket) -> Result<String, ReasonCode> {
        let password = connect.password.as_deref().unwrap_or_default();
        let user = self.identify(&connect.client_id, connect.username.as_deref(), password)?;
        if connect.will.as_ref().is_some_and(|will| !self.may_publish(&user, &will.topic)) {
            return Err(ReasonCode::NotAuthorized);
        }
        if connect.protocol_version < MQTT_5 {
            self.old_clients().insert(connect.client_id.clone());
        } else {
            self.old_clients().remove(&connect.client_id);
        }
        Ok(user)
    }

    fn old_clients(&self) -> MutexGuard<'_, HashSet<String>> {
        // A set is whole whenever the lock is free, whoever panicked.
        self.old_clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The company to which a client id belongs; the longest name wins (`rota` and `rota-norte`).
    fn owner(&self, client_id: &str) -> Option<&str> {
        let owns = |name: &&str| {
            client_id
                .strip_prefix(*name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
        };
        self.companies.keys().map(String::as_str).filter(owns).max_by_key(|name| name.len())
    }
}

impl AuthProvider for Rules {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        client: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        Box::pin(ready(Ok(match self.admit(connect) {
            Ok(user) => AuthResult::success_with_user(user),
            Err(reason) => {
                warn!(%client, id = connect.client_id, user = connect.username, ?reason, "MQTT client refused");
                AuthResult::fail(reason)
            }
        })))
    }

    fn authorize_publish<'a>(
        &'a self,
        client_id: &str,
        user: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        let allowed = user.is_some_and(|user| self.may_publish(user, topic));
        Box::pin(ready(allowed || self.old_clients().contains(client_id)))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(ready(user.is_some_and(|user| self.may_subscribe(user, filter))))
    }
}

impl BrokerEventHandler for Rules {
    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Answer<'a, PublishAction> {
        let allowed = event.user_id.as_ref().is_some_and(|user| self.may_publish(user, &event.topic));
        if !allowed {
            debug!(id = &*event.client_id, topic = &*event.topic, "MQTT publication swallowed");
        }
        Box::pin(ready(if allowed { PublishAction::Continue } else { PublishAction::Handled }))
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Answer<'a, ()> {
        self.old_clients().remove(&*event.client_id);
        Box::pin(ready(()))
    }
}

fn accounts(list: &[Account]) -> Result<HashMap<String, String>, BrokerError> {
    let mut accounts = HashMap::with_capacity(list.len());
    for Account { name, password } in list {
        if !is_id(name) {
            return Err(BrokerError::Account { name: name.clone(), why: "it is not an id" });
        }
        if accounts.insert(name.clone(), password.clone()).is_some() {
            return Err(BrokerError::Account { name: name.clone(), why: "it appears twice" });
        }
    }
    Ok(accounts)
}

/// Whether a topic, or everything a filter matches, lies under `veiculo/` or `servidor/{company}/`.
fn is_company_topic(company: &str, topic: &str) -> bool {
    match levels(topic)[..] {
        ["veiculo", ..] => true,
        ["servidor", owner, ..] => owner == company,
        _ => false,
    }
}

/// The first three levels of a topic, and the rest in one piece if there is a rest.
fn levels(topic: &str) -> Vec<&str> {
    topic.splitn(4, '/').collect()
}

fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Compares without telling by its duration how much of a guess was right.
fn same(known: &[u8], given: &[u8]) -> bool {
    known.len() == given.len() && known.iter().zip(given).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Account {
        Account { name: name.into(), password: format!("{name}-pw") }
    }

    fn rules(change: impl FnOnce(&mut BrokerOptions)) -> Rules {
        let companies = vec![account("empresa-a"), account("empresa-b"), account("empresa-a-sul")];
        let mut options = BrokerOptions::new(([127, 0, 0, 1], 0).into(), companies);
        change(&mut options);
        Rules::new(&options).unwrap()
    }

    #[test]
    fn who_may_connect() {
        let rules = rules(|o| o.cars = vec![account("carro-9")]);
        let who = |id: &str, user: Option<&str>, pw: &str| rules.identify(id, user, pw.as_bytes()).ok();
        let cases: [(&str, Option<&str>, &str, Option<&str>); 16] = [
            ("empresa-a", Some("empresa-a"), "empresa-a-pw", Some("empresa-a")),
            ("empresa-a.2", Some("empresa-a"), "empresa-a-pw", Some("empresa-a")),
            ("auto-77", Some("empresa-a"), "empresa-a-pw", Some("empresa-a")),
            ("empresa-a", Some("empresa-a"), "wrong", None),
            ("empresa-a", Some("empresa-a"), "", None),
            ("empresa-a", None, "", None),
            ("empresa-b", Some("empresa-a"), "empresa-a-pw", None),
            ("empresa-a-sul-1", Some("empresa-a"), "empresa-a-pw", None),
            ("carro-1", Some("empresa-a"), "empresa-a-pw", None),
            ("carro-1", None, "", Some("carro-1")),
            ("carro-1", Some("carro-1"), "", Some("carro-1")),
            ("auto-77", Some("carro-1"), "", Some("carro-1")),
            ("carro-1", Some("carro-2"), "", None),
            ("empresa-a.x", None, "", None),
            ("carro-9", None, "", None),
            ("carro-9", Some("carro-9"), "carro-9-pw", Some("carro-9")),
        ];
        for (id, user, password, expected) in cases {
            assert_eq!(who(id, user, password).as_deref(), expected, "{id} as {user:?}");
        }
        for bad in ["", "a/b", "#", "+", "-a", "ção", &"x".repeat(65)] {
            assert!(who(bad, None, "").is_none(), "{bad:?}");
        }
    }

    #[test]
    fn cars_without_password_can_be_refused() {
        let rules = rules(|o| (o.cars_need_password, o.cars) = (true, vec![account("carro-9")]));
        assert!(rules.identify("carro-1", None, b"").is_err());
        assert!(rules.identify("carro-9", Some("carro-9"), b"carro-9-pw").is_ok());
    }

    #[test]
    fn who_may_say_and_hear_what() {
        let rules = rules(|_| {});
        let private = self::rules(|o| o.cars_may_read_server_answers = false);
        // (user, topic or filter, may publish, may subscribe)
        let cases = [
            ("carro-1", "veiculo/carro-1/status", true, false),
            ("carro-1", "veiculo/carro-1/requisicao", true, false),
            ("carro-1", "veiculo/carro-1/resposta", false, true),
            ("carro-1", "veiculo/carro-2/resposta", false, false),
            ("carro-1", "veiculo/carro-2/requisicao", false, false),
            ("carro-1", "veiculo/carro-1/status/x", false, false),
            ("carro-1", "veiculo/carro-1/status/", false, false),
            ("carro-1", "veiculo/carro-1/#", false, false),
            ("carro-1", "veiculo/+/resposta", false, false),
            ("carro-1", "$share/g/veiculo/carro-1/resposta", false, false),
            ("carro-1", "servidor/empresa-a/resposta", false, true),
            ("carro-1", "servidor/#", false, false),
            ("carro-1", "#", false, false),
            ("carro-1", "$SYS/#", false, false),
            ("empresa-a", "veiculo/carro-1/resposta", true, true),
            ("empresa-a", "veiculo/#", true, true),
            ("empresa-a", "$share/empresa-a/veiculo/+/requisicao", false, true),
            ("empresa-a", "servidor/empresa-a/resposta", true, true),
            ("empresa-a", "servidor/empresa-b/resposta", false, false),
            ("empresa-a", "servidor/+/resposta", false, false),
            ("empresa-a", "+/carro-1/resposta", false, false),
            ("empresa-a", "#", false, false),
        ];
        for (user, topic, publish, subscribe) in cases {
            assert_eq!(rules.may_publish(user, topic), publish, "{user} publishes {topic}");
            assert_eq!(rules.may_subscribe(user, topic), subscribe, "{user} subscribes {topic}");
        }
        assert!(!private.may_subscribe("carro-1", "servidor/empresa-a/resposta"));
    }

    #[test]
    fn a_bad_account_is_refused_by_name() {
        let start = |companies| Rules::new(&BrokerOptions::new(([127, 0, 0, 1], 0).into(), companies));
        let text =
            |result: Result<Rules, BrokerError>| result.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(text(start(vec![account("a/b")])).contains("'a/b' cannot be an MQTT account"));
        assert!(text(start(vec![account("a"), account("a")])).contains("twice"));
    }
}
