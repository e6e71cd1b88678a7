//! Every kind of violation, planted, is found, and nothing else is; random histories of companies that keep to the
//! protocol pass.

use proptest::prelude::*;
use recarga_wire::audit::BranchCause;
use recarga_wire::instant;
use recarga_wire::trip::{StopState, TripStopAnswer};

use super::super::finding::Kind;
use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn operator(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn now() -> Timestamp {
    instant::parse("2026-12-01T10:00:00Z").unwrap()
}

fn transaction(coordinator: &str, counter: u64) -> TransactionId {
    let place = NAMES.iter().position(|name| *name == coordinator).unwrap();
    let store = StoreId(1 + place as u128);
    TransactionId { coordinator: operator(coordinator), store, epoch: 1, counter, nonce: u128::from(counter) }
}

// The stop of a trip at a company: its own hour, on the EVSE that bears the company's name.
fn stop(name: &str, hour: u64) -> HoldStop {
    let place = NAMES.iter().position(|one| *one == name).unwrap();
    let start = now() + Duration::from_secs(3600 * hour + 600 * place as u64);
    HoldStop {
        parada: u16::try_from(place).unwrap(),
        ponto_id: EvseId::new(&format!("evse-{name}")).unwrap(),
        janela_inicio: start,
        janela_fim: start + Duration::from_secs(600),
    }
}

fn branch(name: &str, transaction: &TransactionId, estado: BranchState, hour: u64) -> AuditBranch {
    let aborted = estado == BranchState::Abortada;
    AuditBranch {
        sessao: transaction.clone(),
        estado,
        causa: aborted.then_some(BranchCause::Coordenador),
        instante: None,
        coordenador: transaction.coordinator.clone(),
        veiculo_id: None,
        requisicao_id: None,
        participantes: if aborted { vec![] } else { NAMES.map(operator).to_vec() },
        reservas: if aborted { vec![] } else { vec![stop(name, hour)] },
        substitui: None,
        forcada: None,
    }
}

fn trip(transaction: &TransactionId, estado: TripState, hour: u64) -> AuditTrip {
    let stop = |name: &&str| {
        let HoldStop { parada, ponto_id, janela_inicio, janela_fim } = stop(name, hour);
        let estado = StopState::Confirmada;
        TripStopAnswer { parada, empresa: operator(name), ponto_id, janela_inicio, janela_fim, estado }
    };
    AuditTrip {
        viagem_id: recarga_reservation::TripId::new(&format!("trip-{}", transaction.counter)).unwrap(),
        sessao: transaction.clone(),
        estado,
        veiculo_id: recarga_reservation::VehicleId::new("carro-1").unwrap(),
        requisicao_id: recarga_reservation::RequestId::new(&transaction.counter.to_string()).unwrap(),
        decidida_em: now(),
        participantes: NAMES.map(operator).to_vec(),
        pendentes: vec![],
        perdidas: vec![],
        substitui: None,
        paradas: NAMES.iter().map(stop).collect(),
    }
}

// Three companies.
#[derive(Clone, Debug)]
struct Federation(Vec<Memory>);

impl Federation {
    fn new() -> Self {
        let memory = |(place, name): (usize, &&str)| Memory {
            operator: operator(name),
            store: StoreId(1 + place as u128),
            branches: vec![],
            trips: vec![],
        };
        Federation(NAMES.iter().enumerate().map(memory).collect())
    }

    // A trip that all three companies tell the same of.
    fn with(mut self, coordinator: &str, counter: u64, estado: TripState, hour: u64) -> Self {
        let transaction = transaction(coordinator, counter);
        let held = match estado {
            TripState::Confirmada | TripState::Mista => BranchState::Confirmada,
            TripState::Cancelada | TripState::Alterada => BranchState::Liberada,
        };
        for name in NAMES {
            self.of(name).branches.push(branch(name, &transaction, held, hour));
        }
        self.of(coordinator).trips.push(trip(&transaction, estado, hour));
        self
    }

    fn of(&mut self, name: &str) -> &mut Memory {
        self.0.iter_mut().find(|memory| memory.operator.as_str() == name).unwrap()
    }

    fn branch(&mut self, name: &str, counter: u64) -> &mut AuditBranch {
        self.of(name).branches.iter_mut().find(|one| one.sessao.counter == counter).unwrap()
    }

    fn trip(&mut self, coordinator: &str, counter: u64) -> &mut AuditTrip {
        self.of(coordinator).trips.iter_mut().find(|one| one.sessao.counter == counter).unwrap()
    }

    fn forget(&mut self, name: &str, counter: u64) {
        self.of(name).branches.retain(|one| one.sessao.counter != counter);
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|memory| memory.operator.as_str() != name);
        self
    }

    fn kinds(&self) -> Vec<Kind> {
        examine(&self.0, now()).findings.iter().map(|finding| finding.kind).collect()
    }
}

// Trip 1 of company a is confirmed, trip 2 of company b cancelled, and trip 3 of company c was changed into trip 4.
fn consistent() -> Federation {
    let mut all = Federation::new()
        .with("a", 1, TripState::Confirmada, 1)
        .with("b", 2, TripState::Cancelada, 1)
        .with("c", 3, TripState::Alterada, 2)
        .with("c", 4, TripState::Confirmada, 3);
    let old = Some(transaction("c", 3));
    all.trip("c", 4).substitui = old.clone();
    for name in NAMES {
        all.branch(name, 4).substitui = old.clone();
    }
    all
}

type Plant = fn(&mut Federation);

const PLANTS: &[(&str, &[Kind], Plant)] = &[
    ("nothing", &[], |_| {}),
    ("a participant aborted", &[Kind::CommittedButAborted], |all| {
        *all.branch("b", 1) = branch("b", &transaction("a", 1), BranchState::Abortada, 1);
    }),
    ("a participant forgot", &[Kind::CommittedButMissing], |all| all.forget("c", 1)),
    ("the coordinator's own part is missing", &[Kind::CommittedButMissing], |all| all.forget("a", 1)),
    ("a participant never voted", &[Kind::CommittedButSoft], |all| {
        all.branch("b", 1).estado = BranchState::Provisoria;
    }),
    ("given back without a cancellation", &[Kind::CommittedButReleased], |all| {
        all.branch("b", 1).estado = BranchState::Liberada;
    }),
    ("acknowledged too early", &[Kind::AcknowledgedButPrepared], |all| {
        all.branch("b", 1).estado = BranchState::Preparada;
    }),
    ("another window", &[Kind::DifferentStops], |all| all.branch("b", 1).reservas = vec![stop("b", 7)]),
    ("another window, also after a cancellation", &[Kind::DifferentStops], |all| {
        all.branch("b", 2).reservas = vec![stop("b", 7)];
    }),
    ("no window", &[Kind::DifferentStops], |all| all.branch("b", 1).reservas = vec![]),
    ("the trip does not go there", &[Kind::Stranger], |all| {
        let trip = all.trip("a", 1);
        trip.participantes.retain(|one| one.as_str() != "b");
        trip.paradas.retain(|one| one.empresa.as_str() != "b");
    }),
    ("no commit record", &[Kind::ConfirmedWithoutCommit; 3], |all| all.of("a").trips.clear()),
    ("no commit record of what was given back", &[Kind::ConfirmedWithoutCommit; 3], |all| {
        all.of("b").trips.clear();
    }),
    ("still reserved after a cancellation", &[Kind::CancelledButReserved], |all| {
        all.branch("c", 2).reservas = vec![stop("c", 1)];
        all.branch("c", 2).estado = BranchState::Confirmada;
        all.branch("c", 1).reservas = vec![stop("c", 8)];
        all.trip("a", 1).paradas[2].janela_inicio = stop("c", 8).janela_inicio;
        all.trip("a", 1).paradas[2].janela_fim = stop("c", 8).janela_fim;
    }),
    ("still reserved after a change", &[Kind::ReplacedButReserved], |all| {
        all.branch("b", 3).estado = BranchState::Confirmada;
    }),
    ("a change that moved every stop elsewhere, changed again", &[], |all| {
        all.branch("b", 3).estado = BranchState::Confirmada;
        all.branch("b", 3).reservas.clear();
        all.trip("c", 3).paradas.retain(|stop| stop.empresa.as_str() != "b");
    }),
    ("two versions of a trip are valid", &[Kind::ReplacedButValid], |all| {
        all.trip("c", 3).estado = TripState::Confirmada;
        for name in NAMES {
            all.branch(name, 3).estado = BranchState::Confirmada;
        }
    }),
    ("changed into nothing", &[Kind::ReplacedByNothing], |all| all.trip("c", 4).substitui = None),
    ("lost and reserved", &[Kind::LostButReserved], |all| {
        all.trip("a", 1).estado = TripState::Mista;
        all.trip("a", 1).perdidas = vec![operator("b")];
    }),
    ("booked twice", &[Kind::DoubleBooked], |all| {
        *all = all.clone().with("b", 9, TripState::Confirmada, 5);
        let clash = stop("c", 1);
        all.branch("c", 9).reservas = vec![clash.clone()];
        all.trip("b", 9).paradas[2].janela_inicio = clash.janela_inicio;
        all.trip("b", 9).paradas[2].janela_fim = clash.janela_fim;
    }),
    ("booked twice by a hold", &[Kind::DoubleBooked, Kind::InDoubt], |all| {
        all.of("c").branches.push(branch("c", &transaction("b", 9), BranchState::Preparada, 1));
    }),
    ("booked twice by one second", &[Kind::DoubleBooked, Kind::InDoubt], |all| {
        let mut late = branch("c", &transaction("b", 9), BranchState::Preparada, 1);
        late.reservas[0].janela_inicio = stop("c", 1).janela_fim - Duration::from_secs(1);
        late.reservas[0].janela_fim = stop("c", 2).janela_inicio;
        all.of("c").branches.push(late);
    }),
    ("booked next to each other", &[Kind::InDoubt], |all| {
        let mut next = branch("c", &transaction("b", 9), BranchState::Preparada, 1);
        next.reservas[0].janela_inicio = stop("c", 1).janela_fim;
        next.reservas[0].janela_fim = stop("c", 2).janela_inicio;
        all.of("c").branches.push(next);
    }),
    ("a vote without a decision", &[Kind::InDoubt; 2], |all| {
        for name in ["a", "b"] {
            all.of(name).branches.push(branch(name, &transaction("c", 9), BranchState::Preparada, 6));
        }
    }),
    ("a commit that one has not heard of", &[Kind::InDoubt, Kind::ConfirmOwed], |all| {
        all.trip("a", 1).pendentes = vec![operator("b")];
        all.branch("b", 1).estado = BranchState::Preparada;
    }),
    ("an acknowledgement that did not arrive", &[Kind::ConfirmOwed], |all| {
        all.trip("a", 1).pendentes = vec![operator("b"), operator("c")];
    }),
    ("a cancellation that one has not heard of", &[Kind::ReleaseOwed], |all| {
        *all = Federation::new().with("b", 2, TripState::Cancelada, 1);
        all.trip("b", 2).pendentes = vec![operator("c")];
        all.branch("c", 2).estado = BranchState::Confirmada;
    }),
    ("a change that one has not heard of", &[Kind::InDoubt, Kind::ConfirmOwed], |all| {
        // Its windows overlap the trip's own old ones, which is allowed until it is confirmed.
        all.trip("c", 4).pendentes = vec![operator("b")];
        all.branch("b", 3).estado = BranchState::Confirmada;
        let new = stop("b", 2);
        all.branch("b", 4).estado = BranchState::Preparada;
        all.branch("b", 4).reservas = vec![new.clone()];
        all.trip("c", 4).paradas[1].janela_inicio = new.janela_inicio;
        all.trip("c", 4).paradas[1].janela_fim = new.janela_fim;
    }),
    ("released heuristically after a commit", &[Kind::MixedOutcome], |all| {
        all.trip("a", 1).estado = TripState::Mista;
        all.trip("a", 1).perdidas = vec![operator("b")];
        *all.branch("b", 1) = branch("b", &transaction("a", 1), BranchState::Abortada, 1);
        all.branch("b", 1).causa = Some(BranchCause::Heuristica);
    }),
    (
        "released heuristically and the coordinator does not know yet",
        &[Kind::MixedOutcome, Kind::ConfirmOwed],
        |all| {
            all.trip("a", 1).pendentes = vec![operator("b")];
            *all.branch("b", 1) = branch("b", &transaction("a", 1), BranchState::Abortada, 1);
            all.branch("b", 1).causa = Some(BranchCause::Heuristica);
        },
    ),
    ("released heuristically, and aborted", &[Kind::HeuristicRelease], |all| {
        let mut released = branch("b", &transaction("c", 9), BranchState::Abortada, 6);
        released.causa = Some(BranchCause::Heuristica);
        all.of("b").branches.push(released);
    }),
    ("forgotten by one company, as it is long past", &[], |all| {
        for name in NAMES {
            let stop = &mut all.branch(name, 1).reservas[0];
            stop.janela_inicio = now() - Duration::from_secs(90_000);
            stop.janela_fim = now() - Duration::from_secs(89_000);
        }
        for stop in &mut all.trip("a", 1).paradas {
            stop.janela_inicio = now() - Duration::from_secs(90_000);
            stop.janela_fim = now() - Duration::from_secs(89_000);
        }
        all.forget("b", 1);
    }),
    ("a tombstone of somebody else's", &[], |all| {
        all.of("b").branches.push(branch("b", &transaction("c", 9), BranchState::Abortada, 6));
    }),
    ("a soft hold", &[], |all| {
        all.of("b").branches.push(branch("b", &transaction("c", 9), BranchState::Provisoria, 6));
    }),
];

#[test]
fn every_planted_violation_is_found_and_nothing_else() {
    for (name, expected, plant) in PLANTS {
        let mut all = consistent();
        plant(&mut all);
        assert_eq!(all.kinds(), *expected, "{name}");
    }
}

#[test]
fn without_the_coordinator_the_participants_must_agree() {
    let plants: &[(&str, &[Kind], Plant)] = &[
        ("nothing", &[], |_| {}),
        ("one aborted", &[Kind::Split], |all| {
            *all.branch("b", 1) = branch("b", &transaction("a", 1), BranchState::Abortada, 1);
        }),
        ("one forgot", &[Kind::Split], |all| all.forget("c", 1)),
        ("one never voted", &[Kind::Split], |all| all.branch("b", 1).estado = BranchState::Provisoria),
        ("one is in doubt", &[Kind::InDoubt], |all| all.branch("b", 1).estado = BranchState::Preparada),
        ("one has heard of a cancellation", &[Kind::HalfReleased], |all| {
            all.branch("b", 1).estado = BranchState::Liberada;
        }),
        ("one released heuristically", &[Kind::MixedOutcome], |all| {
            *all.branch("b", 1) = branch("b", &transaction("a", 1), BranchState::Abortada, 1);
            all.branch("b", 1).causa = Some(BranchCause::Heuristica);
        }),
    ];
    for (name, expected, plant) in plants {
        let mut all = consistent();
        plant(&mut all);
        let verdict = examine(&all.without("a").0, now());
        let kinds: Vec<Kind> = verdict.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, *expected, "{name}");
        assert_eq!(verdict.not_examined, [NotExamined::Company(operator("a"))], "{name}");
    }
}

#[test]
fn another_database_of_the_coordinator_proves_nothing_and_is_named() {
    let mut all = consistent();
    all.of("a").store = StoreId(99);
    all.of("a").trips.clear();
    let verdict = examine(&all.0, now());
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.not_examined, [NotExamined::Database(operator("a"), StoreId(1))]);
}

#[test]
fn the_verdict_follows_from_the_worst_that_was_found() {
    let holds = |plant: &str| {
        let mut all = consistent();
        PLANTS.iter().find(|(name, ..)| *name == plant).unwrap().2(&mut all);
        let verdict = examine(&all.0, now());
        (verdict.holds(), verdict.has(Class::Violation), verdict.has(Class::Unsettled))
    };
    assert_eq!(holds("nothing"), (true, false, false));
    assert_eq!(holds("released heuristically, and aborted"), (true, false, false));
    assert_eq!(holds("a vote without a decision"), (false, false, true));
    assert_eq!(holds("booked twice"), (false, true, false));
    assert_eq!(holds("released heuristically after a commit"), (false, false, false));
    let counts = examine(&consistent().0, now()).counts;
    assert_eq!((counts.trips_confirmed, counts.trips_cancelled, counts.trips_changed), (2, 1, 1));
    assert_eq!((counts.companies, counts.transactions, counts.stops), (3, 4, 6));
}

// What can become of a trip whose companies keep to the protocol, seen at any moment.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Settled(TripState),
    // Decided, and these of the other companies have not acknowledged or have not even heard.
    Owed { cancelled: bool, unheard: u8, unacknowledged: u8 },
    // Not committed: what each company has.
    Undecided([Option<BranchState>; 3]),
}

fn fate() -> impl Strategy<Value = Fate> {
    let held = prop_oneof![
        Just(None),
        Just(Some(BranchState::Preparada)),
        Just(Some(BranchState::Provisoria)),
        Just(Some(BranchState::Abortada)),
    ];
    prop_oneof![
        3 => Just(Fate::Settled(TripState::Confirmada)),
        1 => Just(Fate::Settled(TripState::Cancelada)),
        2 => (any::<bool>(), 0u8..4, 0u8..4)
            .prop_map(|(cancelled, unheard, more)| Fate::Owed {
                cancelled,
                unheard,
                unacknowledged: unheard | more
            }),
        2 => prop::array::uniform3(held).prop_map(Fate::Undecided),
    ]
}

fn live(all: Federation, number: u64, coordinator: &str, fate: Fate) -> Federation {
    let hour = number + 1;
    match fate {
        Fate::Settled(state) => all.with(coordinator, number, state, hour),
        Fate::Owed { cancelled, unheard, unacknowledged } => {
            let state = if cancelled { TripState::Cancelada } else { TripState::Confirmada };
            let mut all = all.with(coordinator, number, state, hour);
            let others: Vec<&str> = NAMES.iter().copied().filter(|name| *name != coordinator).collect();
            for (bit, name) in others.into_iter().enumerate() {
                if unheard & 1 << bit != 0 {
                    let before = if cancelled { BranchState::Confirmada } else { BranchState::Preparada };
                    all.branch(name, number).estado = before;
                }
                if unacknowledged & 1 << bit != 0 {
                    all.trip(coordinator, number).pendentes.push(operator(name));
                }
            }
            all
        }
        Fate::Undecided(held) => {
            let mut all = all;
            for (name, state) in NAMES.iter().zip(held) {
                if let Some(state) = state {
                    all.of(name).branches.push(branch(name, &transaction(coordinator, number), state, hour));
                }
            }
            all
        }
    }
}

proptest! {
    #[test]
    fn consistent_histories_pass(fates in prop::collection::vec((0usize..3, fate()), 0..12), absent in 0usize..4) {
        let mut all = Federation::new();
        let mut settled = true;
        for (number, (coordinator, fate)) in (1u64..).zip(&fates) {
            all = live(all, number, NAMES[*coordinator], *fate);
            settled &= match fate {
                Fate::Settled(_) => true,
                Fate::Owed { unacknowledged, .. } => *unacknowledged == 0,
                Fate::Undecided(held) => !held.contains(&Some(BranchState::Preparada)),
            };
        }
        let whole = examine(&all.0, now());
        prop_assert!(whole.of(Class::Violation).next().is_none(), "{:?}", whole.findings);
        prop_assert_eq!(whole.holds(), settled, "{:?}", whole.findings);
        // With less at hand less can be said, but nothing is made up.
        if let Some(name) = NAMES.get(absent) {
            let part = examine(&all.without(name).0, now());
            prop_assert!(part.of(Class::Violation).next().is_none(), "{:?}", part.findings);
        }
    }
}
