//! Every company, and everybody else, at every hold of every company, in every state that a hold can be in.

use serde_json::{Value, json};

use crate::callers::{COMPANIES, Caller, HERE, everybody, start};
use crate::support::bodies::{self, session_of, trip, with};
use crate::support::http::Call;
use crate::support::{TestNode, token};

const STATES: [&str; 6] = ["desconhecida", "provisoria", "preparada", "confirmada", "liberada", "abortada"];

/// What is done, and what its coordinator is answered in each of [`STATES`].
const ACTIONS: [(Action, [u16; 6]); 6] = [
    (Action::Hold, [201, 201, 201, 201, 409, 409]),
    (Action::Change, [409, 409, 409, 201, 409, 409]),
    (Action::Confirm, [409, 409, 200, 200, 200, 409]),
    (Action::Abort, [200, 200, 200, 409, 409, 200]),
    (Action::Release, [200, 409, 200, 200, 200, 409]),
    (Action::Inquire, [200, 200, 200, 200, 200, 200]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Hold,
    /// A hold of the caller's own that replaces this one.
    Change,
    Confirm,
    Abort,
    Release,
    Inquire,
}

/// A hold of a window that nobody else wants.
struct Subject {
    number: u32,
    coordinator: &'static str,
    partner: &'static str,
    state: &'static str,
}

impl Subject {
    fn session(&self) -> String {
        session_of(self.coordinator, self.number)
    }

    fn body(&self) -> Value {
        let evse = ["A-1", "A-2", "A-4"][self.number as usize % 3];
        let from = i64::from(self.number) * 20;
        let body =
            with(&bodies::hold(self.number, evse, from, from + 20), "sessao", Some(json!(self.session())));
        let body = with(&body, "coordenador", Some(json!(self.coordinator)));
        let body = with(&body, "depositos", Some(json!([])));
        with(&body, "participantes", Some(json!([self.coordinator, HERE, self.partner])))
    }

    /// The operation and its body, truthful but for who sends it.
    fn operation(&self, action: Action, caller: Caller) -> (&'static str, Value) {
        let about = json!({"sessao": self.session(), "coordenador": self.coordinator});
        match action {
            Action::Hold => ("reserva-temporaria", self.body()),
            Action::Change => {
                let changer = if let Caller::Company(name) = caller { name } else { self.coordinator };
                let change = Subject { number: self.number + 10_000, coordinator: changer, ..*self };
                let body = with(&change.body(), "reservas", Some(json!([])));
                ("reserva-temporaria", with(&body, "substitui", Some(json!(self.session()))))
            }
            Action::Confirm => ("confirmar-reserva", about),
            Action::Abort => ("cancelar-reserva", about),
            Action::Release => ("cancelar-reserva", with(&about, "motivo", Some(json!("viagem-cancelada")))),
            Action::Inquire => ("consultar-transacao", json!({"sessao": self.session()})),
        }
    }

    /// The same alone, several times where it can be said in several ways, and in a batch.
    fn calls(&self, action: Action, caller: Caller) -> Vec<Call> {
        let (operation, body) = self.operation(action, caller);
        let alone = match operation {
            "consultar-transacao" => vec![Call::get(&format!("/transacoes/{}", self.session()))],
            "cancelar-reserva" => {
                let member = |name: &str| {
                    body[name].as_str().map_or(String::new(), |value| format!("&{name}={value}"))
                };
                let query: String = ["sessao", "coordenador", "motivo"].map(member).concat();
                let path = format!("/cancelar-reserva?{}", query.trim_start_matches('&'));
                vec![Call::delete("/cancelar-reserva").json(&body), Call::delete(&path)]
            }
            other => vec![Call::post(&format!("/{other}"), &body)],
        };
        let batch = json!({"operacoes": [{"operacao": operation, "corpo": body}]});
        let calls = alone.into_iter().chain([Call::post("/lote", &batch)]);
        calls.map(|call| caller.sign(call)).collect()
    }

    async fn reach_its_state(&self, node: &TestNode) {
        let coordinator = Caller::Company(self.coordinator);
        let soft = with(&self.body(), "tipo", Some(json!("provisoria")));
        if self.state == "provisoria" {
            node.send(coordinator.sign(Call::post("/reserva-temporaria", &soft))).await.expect(201);
        }
        let path: &[Action] = match self.state {
            "preparada" => &[Action::Hold],
            "confirmada" => &[Action::Hold, Action::Confirm],
            "liberada" => &[Action::Hold, Action::Confirm, Action::Release],
            "abortada" => &[Action::Abort],
            _ => &[],
        };
        for &action in path {
            let answer = node.send(self.calls(action, coordinator).remove(0)).await;
            assert!(answer.status < 300, "{action:?}: {}", answer.text());
        }
    }

    /// Whether the caller may do this, whatever comes of it.
    fn is_open(&self, action: Action, caller: Caller) -> bool {
        let Caller::Company(name) = caller else { return false };
        // Nobody knows who takes part in what is not here; whoever has the session's 128 random bits is told "no".
        let no_secret = matches!(self.state, "desconhecida" | "abortada");
        name == self.coordinator || action == Action::Inquire && (name == self.partner || no_secret)
    }
}

/// Of the one operation, also inside a batch.
async fn status_of(node: &TestNode, call: Call) -> u16 {
    let is_batch = call.path == "/lote";
    let answer = node.send(call).await;
    if !is_batch || answer.status != 200 {
        return answer.status;
    }
    let status = answer.json()["resultados"][0]["status"].as_u64();
    status.and_then(|status| u16::try_from(status).ok()).expect("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_its_coordinator_moves_a_hold() {
    let node = start().await;
    let (mut number, mut refused) = (0, 0);
    for (place, &coordinator) in COMPANIES.iter().enumerate() {
        let partner = COMPANIES[(place + 1) % COMPANIES.len()];
        for (column, state) in STATES.iter().enumerate() {
            for (action, expected) in ACTIONS {
                number += 1;
                let subject = Subject { number, coordinator, partner, state };
                subject.reach_its_state(&node).await;
                let before = node.audit().await;
                for caller in everybody().into_iter().filter(|&caller| !subject.is_open(action, caller)) {
                    for call in subject.calls(action, caller) {
                        let what =
                            format!("{action:?} by {caller:?} of {coordinator}'s, {state}: {}", call.path);
                        assert_eq!(status_of(&node, call).await, caller.refusal(), "{what}");
                        refused += 1;
                    }
                }
                assert_eq!(node.audit().await, before, "{action:?}, refused, of {coordinator}'s, {state}");
                let call = subject.calls(action, Caller::Company(coordinator)).pop().unwrap();
                let status = status_of(&node, call).await;
                assert_eq!(status, expected[column], "{action:?} by its coordinator, {state}");
            }
        }
    }
    println!("{refused} calls refused, as they must be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_the_company_itself() {
    let node = start().await;
    let body = trip("pedido", "carro", &[(HERE, "A-1", 0, 60)]);
    let booked = node.send(Caller::Driver.sign(Call::post("/viagens", &body))).await.expect(201);
    let before = node.audit().await;
    let session = before.0[0]["sessao"].as_str().expect("its own branch").to_owned();
    let about = json!({"sessao": session, "coordenador": HERE});
    let mut hold = with(&bodies::hold(1, "A-1", 0, 60), "sessao", Some(json!(session)));
    hold = with(&hold, "coordenador", Some(json!(HERE)));
    for caller in everybody() {
        let mut change = with(&bodies::hold(2, "A-2", 0, 60), "substitui", Some(json!(session)));
        if let Caller::Company(name) = caller {
            change = with(&change, "sessao", Some(json!(session_of(name, 2))));
            change = with(&change, "coordenador", Some(json!(name)));
            change = with(&change, "participantes", Some(json!([name, HERE])));
            change = with(&change, "depositos", Some(json!([])));
        }
        for call in [
            Call::post("/reserva-temporaria", &hold),
            Call::post("/reserva-temporaria", &change),
            Call::post("/confirmar-reserva", &about),
            Call::delete("/cancelar-reserva").json(&about),
            Call::delete("/cancelar-reserva").json(&with(&about, "motivo", Some(json!("viagem-cancelada")))),
            Call::get(&format!("/transacoes/{session}")),
        ] {
            let what = format!("{} {} by {caller:?}", call.method, call.path);
            let answer = node.send(caller.sign(call)).await;
            assert_eq!(answer.status, caller.refusal(), "{what}: {}", answer.text());
        }
        let trip = format!("/viagens/{}", booked["viagem_id"].as_str().unwrap());
        for call in [Call::get(&trip), Call::put(&trip, &body), Call::delete(&trip)] {
            if !matches!(caller, Caller::Driver | Caller::Operator) {
                assert_eq!(
                    node.send(caller.sign(call)).await.status,
                    caller.refusal(),
                    "{trip} by {caller:?}"
                );
            }
        }
    }
    assert_eq!(node.audit().await, before, "nothing was done");
}

// A company signs as itself and claims in the body that the session is its own, or that it is the session's coordinator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_claim_in_the_body_opens_nothing() {
    let node = start().await;
    let subject = Subject { number: 1, coordinator: "empresa-b", partner: "empresa-c", state: "confirmada" };
    subject.reach_its_state(&node).await;
    let before = node.audit().await;
    for claim in ["empresa-b", "empresa-c", "empresa-d", HERE, "ninguem"] {
        for (action, _) in ACTIONS.into_iter().filter(|(action, _)| *action != Action::Inquire) {
            for thief in ["empresa-c", "empresa-d"] {
                let (operation, body) = subject.operation(action, Caller::Company(thief));
                let body = with(&body, "coordenador", Some(json!(claim)));
                let path = format!("/{operation}");
                let call = if operation == "cancelar-reserva" {
                    Call::delete(&path).json(&body)
                } else {
                    Call::post(&path, &body)
                };
                let answer = node.send(call.token(&token(thief, HERE))).await;
                assert!(
                    matches!(answer.status, 403 | 422),
                    "{thief} as {claim}, {action:?}: {}",
                    answer.text()
                );
            }
        }
    }
    assert_eq!(node.audit().await, before, "nothing was done");
}
