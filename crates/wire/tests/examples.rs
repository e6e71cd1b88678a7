//! The examples of the wire contract, letter for letter, each through the rule types and back.

#![expect(clippy::unwrap_used, reason = "in a test a failure to unwrap is the report")]

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{
    AbortCause, Branch, Firmness, Outcome, Reason, Refusal, Stage, StoreId, TimeWindow, Timestamp, Trip,
    TripId, Unacceptable, Vote,
};
use recarga_wire::availability::{AvailabilityAnswer, AvailabilityQuery, PointState, into_stations};
use recarga_wire::batch::{AnswerBody, BatchAnswer, BatchRequest, Operation, OperationAnswer};
use recarga_wire::hold::{HoldAnswer, HoldRequest};
use recarga_wire::peer::{Answer, Asked, Unclear, read_confirmed, read_outcome, read_vote};
use recarga_wire::problem::Stops;
use recarga_wire::session::{
    CancelReason, CancelRequest, ConfirmRequest, InquiryAnswer, SessionAnswer, SessionState,
};
use recarga_wire::trip::{TripAnswer, TripBody};
use recarga_wire::vehicle::{
    AnswerState, VehicleAnswer, VehicleRequestBody, VehicleStatus, VehicleView, Wish, decode_request, salvage,
};
use recarga_wire::version::Version;
use recarga_wire::{Problem, ProblemKind, decode, decode_query, encode, instant};
use serde_json::{Value, json};

const SESSION: &str = "empresa-a.0123456789abcdef0123456789abcdef.3.17.fedcba9876543210fedcba9876543210";

fn hold_example() -> Value {
    json!({"sessao":SESSION,"coordenador":"empresa-a","requisicao_id":"r-1",
        "participantes":["empresa-a","empresa-b","empresa-c"],
        "depositos":[{"empresa":"empresa-c","deposito":"0000000000000000000000000000000c"}],"tipo":"preparada","validade_s":30,
        "prioridade":"2026-12-01T10:59:58.120Z",
        "veiculo":{"veiculo_id":"carro-42","plugue":"IEC_62196_T2_COMBO"},
        "reservas":[{"parada":2,"ponto_id":"B-MCZ-03-1","janela_inicio":"2026-12-01T14:00:00Z",
            "janela_fim":"2026-12-01T14:40:00Z"}]})
}

fn trip_example() -> Value {
    json!({"requisicao_id":"r-1","veiculo":{"veiculo_id":"carro-42"},"paradas":[
        {"empresa":"empresa-b","ponto_id":"B-1","janela_inicio":"2026-12-01T14:00:00Z","janela_fim":"2026-12-01T14:40:00Z"},
        {"empresa":"empresa-a","ponto_id":"A-1","janela_inicio":"2026-12-01T16:00:00Z","janela_fim":"2026-12-01T16:40:00Z"}]})
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn at(text: &str) -> Timestamp {
    instant::parse(text).unwrap()
}

fn window(start: &str, end: &str) -> TimeWindow {
    TimeWindow::new(at(start), at(end)).unwrap()
}

fn trip(stage: Stage) -> Trip {
    let body: TripBody = serde_json::from_value(trip_example()).unwrap();
    let request = Arc::new(body.into_request(None).unwrap());
    Trip {
        id: TripId::new("fedcba9876543210fedcba9876543210").unwrap(),
        transaction: SESSION.parse().unwrap(),
        participants: request.stops().iter().map(|stop| stop.operator.clone()).collect(),
        request,
        decided: at("2026-12-01T11:00:00.007Z"),
        stage,
        lost: [].into(),
        replaces: None,
    }
}

#[test]
fn a_hold_is_asked_for_and_voted_on() {
    let request: HoldRequest = decode(&bytes(&hold_example())).unwrap();
    let (hold, firmness, valid_for) = request.into_hold().unwrap();
    assert_eq!((firmness, valid_for), (Firmness::Prepared, Duration::from_secs(30)));
    assert_eq!(hold.stores, [("empresa-c".parse().unwrap(), StoreId(12))].into());
    assert_eq!(hold.stops[0].window, window("2026-12-01T14:00:00Z", "2026-12-01T14:40:00Z"));
    assert_eq!(value(&encode(&HoldRequest::new(&hold, firmness, valid_for))), hold_example());

    let operator = "empresa-b".parse().unwrap();
    let expires = at("2026-12-01T11:00:30Z");
    let answer = encode(&HoldAnswer::new(&hold, firmness, &operator, StoreId(7), expires));
    assert_eq!(
        value(&answer),
        json!({"sessao":SESSION,"voto":"sim","empresa":"empresa-b",
            "deposito":"00000000000000000000000000000007","expira_em":"2026-12-01T11:00:30Z",
            "reservas":[{"reserva_id":"fedcba9876543210fedcba9876543210-2","parada":2,"ponto_id":"B-MCZ-03-1",
                "janela_inicio":"2026-12-01T14:00:00Z","janela_fim":"2026-12-01T14:40:00Z"}]})
    );
    let asked = Asked { operator: &operator, transaction: &hold.transaction };
    let yes = Vote::Yes { expires, store: StoreId(7) };
    assert_eq!(read_vote(asked, 201, &answer), Ok(yes));
    let stranger = "empresa-c".parse().unwrap();
    let wrong_host = Asked { operator: &stranger, ..asked };
    assert_eq!(read_vote(wrong_host, 201, &answer), Err(Unclear::Mismatched));
    let soft = encode(&HoldAnswer::new(&hold, Firmness::Soft, &operator, StoreId(7), expires));
    assert_eq!(read_vote(asked, 201, &soft), Err(Unclear::NotAVote));
}

#[test]
fn nothing_but_an_explicit_no_is_a_no() {
    let (hold, ..) = serde_json::from_value::<HoldRequest>(hold_example()).unwrap().into_hold().unwrap();
    let operator = "empresa-b".parse().unwrap();
    let asked = Asked { operator: &operator, transaction: &hold.transaction };
    let refusal = Refusal::at(2, Reason::Held);
    let problem = Problem::from_refusal(&refusal, Stops::OfHold(&hold.stops));
    assert_eq!(problem.field.as_deref(), Some("reservas[0].janela_inicio"));
    let no = encode(&problem.clone().as_vote());
    assert_eq!(read_vote(asked, 409, &no), Ok(Vote::No(refusal)));
    for (status, body) in [
        (409, encode(&problem)),
        (500, no.clone()),
        (200, no.clone()),
        (201, b"{}".to_vec()),
        (404, b"<html>".to_vec()),
        (409, br#"{"tipo":"um-tipo-do-futuro","voto":"nao"}"#.to_vec()),
        (403, encode(&Problem::of(ProblemKind::Forbidden).as_vote())),
    ] {
        let read = read_vote(asked, status, &body);
        assert!(read.is_err(), "{status} {}: {read:?}", String::from_utf8_lossy(&body));
        let outcome = read_outcome(asked, status, &body);
        assert!(!matches!(outcome, Ok(Ok(_))), "{status}: {outcome:?}");
    }
}

#[test]
fn sessions_are_confirmed_cancelled_and_asked_about() {
    let body = json!({"sessao":SESSION,"coordenador":"empresa-a"});
    let transaction = decode::<ConfirmRequest>(&bytes(&body)).unwrap().into_transaction().unwrap();
    assert_eq!(value(&encode(&ConfirmRequest::new(&transaction))), body);
    let cancel: CancelRequest = decode(&bytes(&body)).unwrap();
    assert_eq!(cancel.into_transaction().unwrap(), (transaction.clone(), CancelReason::Aborto));
    let query = format!("sessao={SESSION}&coordenador=empresa-a&motivo=viagem-cancelada");
    let cancel: CancelRequest = decode_query(&query).unwrap();
    assert_eq!(cancel, CancelRequest::new(&transaction, CancelReason::ViagemCancelada));
    let cancel: CancelRequest = decode_query(&format!("sessao={SESSION}")).unwrap();
    assert_eq!(cancel.into_transaction().unwrap().1, CancelReason::Aborto);

    let operator = "empresa-b".parse().unwrap();
    let asked = Asked { operator: &operator, transaction: &transaction };
    let answer = encode(&SessionAnswer::new(&transaction, SessionState::Confirmada, &operator));
    assert_eq!(value(&answer), json!({"sessao":SESSION,"estado":"confirmada","empresa":"empresa-b"}));
    assert_eq!(read_confirmed(asked, 200, &answer), Ok(Ok(())));
    let lost = encode(&Problem::from(Unacceptable::ReleasedHeuristically));
    assert_eq!(read_confirmed(asked, 409, &lost), Ok(Err(Unacceptable::ReleasedHeuristically)));
    let cancelled = encode(&SessionAnswer::new(&transaction, SessionState::Cancelada, &operator));
    assert!(read_confirmed(asked, 200, &cancelled).is_err());
    assert!(read_confirmed(asked, 404, b"not here").is_err());

    for (outcome, word) in [
        (Outcome::Pending, "pendente"),
        (Outcome::Commit, "confirmada"),
        (Outcome::Abort, "abortada"),
        (Outcome::InDoubt, "em_duvida"),
    ] {
        let answer = encode(&InquiryAnswer::new(&transaction, outcome, &operator, StoreId(7)));
        assert_eq!(value(&answer)["estado"], word);
        assert_eq!(read_outcome(asked, 200, &answer), Ok(Ok((outcome, StoreId(7)))));
    }
}

#[test]
fn a_bad_operation_spoils_only_its_own_place_in_a_batch() {
    let session = json!({"sessao":SESSION});
    let batch = json!({"operacoes":[
        {"operacao":"reserva-temporaria","corpo":hold_example()},
        {"operacao":"reserva-temporaria","corpo":{"sessao":1}},
        {"operacao":"confirmar-reserva","corpo":session},
        {"operacao":"voar","corpo":null},
        {"operacao":"cancelar-reserva","corpo":[]},
        {"corpo":session,"operacao":"consultar-transacao"}]});
    let operations = recarga_wire::batch::decode_batch(&bytes(&batch)).unwrap().operations;
    let told = |operation: &Result<Operation, Problem>| match operation {
        Ok(_) => (None, None),
        Err(problem) => (Some(problem.kind.code()), problem.field.clone()),
    };
    assert_eq!(
        operations.iter().map(told).collect::<Vec<_>>(),
        [
            (None, None),
            (Some("campo-invalido"), Some("sessao".into())),
            (None, None),
            (Some("campo-invalido"), Some("operacao".into())),
            (Some("corpo-invalido"), None),
            (None, None),
        ]
    );
    let good: Vec<Operation> = operations.into_iter().flatten().collect();
    let sent = encode(&BatchRequest::new(good.iter().map(|one| (one.clone(), None)), Version::OWN));
    assert!(!String::from_utf8_lossy(&sent).contains("rastros"), "nobody collects traces");
    let again = recarga_wire::batch::decode_batch(&sent).unwrap();
    assert_eq!(again.operations.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), good);
    assert_eq!(again.traces, vec![None; good.len()]);
    let traced = ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"].map(str::to_owned).map(Some);
    let traces = traced.into_iter().chain(std::iter::repeat(None)).take(good.len());
    let sent = encode(&BatchRequest::new(good.iter().cloned().zip(traces.clone()), Version::FIRST));
    assert!(
        !String::from_utf8_lossy(&sent).contains("rastros"),
        "an older program refuses what it does not know"
    );
    let sent = encode(&BatchRequest::new(good.iter().cloned().zip(traces.clone()), Version::WITH_TRACES));
    let again = recarga_wire::batch::decode_batch(&sent).unwrap();
    assert_eq!(again.traces, traces.collect::<Vec<_>>());

    let operator = "empresa-b".parse().unwrap();
    let done = SessionAnswer::new(&SESSION.parse().unwrap(), SessionState::Confirmada, &operator);
    let problem = Problem::of(ProblemKind::Held).as_vote();
    let answer = BatchAnswer { resultados: vec![OperationAnswer::new(200, done), problem.clone().into()] };
    let sent = encode(&answer);
    let raw = recarga_wire::batch::decode_batch_answer(&sent, 2).unwrap();
    assert_eq!((raw[0].status, raw[1].status), (200, 409));
    let Answer::Raw(refused) = raw[1].body else { panic!("{raw:?}") };
    assert_eq!(decode::<Problem>(refused), Ok(problem.clone()));
    assert!(matches!(&answer.resultados[1].corpo, AnswerBody::Problem(told) if *told == problem));
    assert!(recarga_wire::batch::decode_batch_answer(&sent, 3).is_err());
}

#[test]
fn a_trip_is_told_as_it_stands() {
    let committed = Stage::Committed { unacknowledged: ["empresa-b".parse().unwrap()].into() };
    let answer = value(&encode(&TripAnswer::new(&trip(committed))));
    assert_eq!(
        answer,
        json!({"viagem_id":"fedcba9876543210fedcba9876543210","estado":"confirmada","requisicao_id":"r-1",
            "veiculo_id":"carro-42","servidor":"empresa-a","sessao":SESSION,
            "decidida_em":"2026-12-01T11:00:00.007Z","paradas":[
            {"parada":0,"empresa":"empresa-b","ponto_id":"B-1","janela_inicio":"2026-12-01T14:00:00Z",
                "janela_fim":"2026-12-01T14:40:00Z","estado":"a_confirmar"},
            {"parada":1,"empresa":"empresa-a","ponto_id":"A-1","janela_inicio":"2026-12-01T16:00:00Z",
                "janela_fim":"2026-12-01T16:40:00Z","estado":"confirmada"}]})
    );
    let told = |trip: &Trip| {
        let answer = TripAnswer::new(trip);
        let words = serde_json::to_value((answer.estado, answer.paradas[0].estado)).unwrap();
        assert_eq!(decode::<TripAnswer>(&encode(&answer)), Ok(answer));
        words
    };
    let mut mixed = trip(Stage::Settled);
    mixed.lost.insert("empresa-b".parse().unwrap());
    assert_eq!(told(&mixed), json!(["mista", "perdida"]));
    assert_eq!(told(&trip(Stage::Cancelled { unreleased: [].into() })), json!(["cancelada", "liberada"]));
    assert_eq!(told(&trip(Stage::Replaced)), json!(["alterada", "liberada"]));
}

#[test]
fn the_idempotency_key_may_stand_in_the_header() {
    let mut without = trip_example();
    without.as_object_mut().unwrap().remove("requisicao_id");
    let read = |body: &Value, header| {
        let request = decode::<TripBody>(&bytes(body)).unwrap().into_request(header);
        request.map(|request| request.key().request.to_string()).map_err(|problem| problem.kind.code())
    };
    assert_eq!(read(&trip_example(), None), Ok("r-1".into()));
    assert_eq!(read(&trip_example(), Some("r-1")), Ok("r-1".into()));
    assert_eq!(read(&without, Some("\"r-2\"")), Ok("r-2".into()));
    assert_eq!(read(&trip_example(), Some("r-2")), Err("campo-invalido"));
    assert_eq!(read(&without, Some("r 2")), Err("campo-invalido"));
    assert_eq!(read(&without, None), Err("campo-ausente"));
}

#[test]
fn the_same_wish_in_other_words() {
    let car = "carro-42".parse().unwrap();
    let read = |text: &str| decode_request(text.as_bytes(), &car).unwrap().wish;
    let journey = |more: &str| {
        read(&format!(
            r#"{{"requisicao_id":"r-1","veiculo":{{"veiculo_id":"carro-42"}},"origem":"Recife","destino":"Natal","modelo":"byd-dolphin"{more}}}"#
        ))
    };
    let terse = journey(r#","bateria_pct":60"#);
    for more in [
        r#","bateria_pct":60.0"#,
        r#","bateria_pct":6e1,"servidor":"empresa-b","expira_em":"2026-12-01T11:05:00Z""#,
        r#","bateria_pct":60,"preferencia":"mais_rapida","via":[],"evitar_empresas":[],"alternativas":0,"saida":null"#,
        r#","bateria_pct":60,"reserva_pct":10,"velocidade_kmh":90,"temperatura_c":27,"paradas_max":12,"espera_max_min":120"#,
    ] {
        assert!(journey(more).is_same(&terse) && terse.is_same(&journey(more)), "{more}");
    }
    for more in [
        r#","bateria_pct":61"#,
        r#","bateria_pct":60,"reserva_pct":11"#,
        r#","bateria_pct":60,"paradas_max":11"#,
        r#","bateria_pct":60,"saida":"2026-12-01T11:05:00Z""#,
        r#","bateria_pct":60,"via":["João Pessoa"]"#,
    ] {
        assert!(!journey(more).is_same(&terse), "{more}");
    }
    let stops = trip_example();
    let elsewhere = stops.to_string().replace("T11:00:00Z", "T08:00:00-03:00");
    assert!(read(&stops.to_string()).is_same(&read(&elsewhere)));
    assert!(!read(&stops.to_string()).is_same(&terse));
}

#[test]
fn a_car_asks_and_is_answered() {
    let car = "carro-42".parse().unwrap();
    let mut body = trip_example();
    body["servidor"] = json!("empresa-c");
    body["expira_em"] = json!("2026-12-01T11:05:00Z");
    let request = decode::<VehicleRequestBody>(&bytes(&body)).unwrap().into_request(&car).unwrap();
    assert_eq!(request.coordinator().map(ToString::to_string), Some("empresa-c".into()));
    let Wish::Book(trip_request) = &request.wish else { panic!("{request:?}") };
    let again = VehicleRequestBody::book(trip_request, request.operator.clone(), request.expires);
    assert_eq!(value(&encode(&again)), body);

    let named = decode::<VehicleRequestBody>(&bytes(&trip_example())).unwrap().into_request(&car).unwrap();
    assert_eq!(named.coordinator().map(ToString::to_string), Some("empresa-b".into()), "of the first stop");
    let cancel = br#"{"requisicao_id":"r-2","cancelar":"fedcba98"}"#;
    let cancel = decode::<VehicleRequestBody>(cancel).unwrap().into_request(&car).unwrap();
    assert_eq!(cancel.coordinator(), None);
    assert_eq!(cancel.wish, Wish::Cancel("fedcba98".parse().unwrap()));

    let booked = |stage| VehicleAnswer::booked(&trip(stage), "r-1".parse().unwrap());
    let confirmed = booked(Stage::Settled);
    assert_eq!(decode::<VehicleAnswer>(&encode(&confirmed)).as_ref(), Ok(&confirmed));
    let cancelled = booked(Stage::Cancelled { unreleased: [].into() });
    assert_eq!((confirmed.estado, cancelled.estado), (AnswerState::Confirmada, AnswerState::Cancelada));
    let problem = Problem::new(ProblemKind::Booked, "ocupado").at("paradas[1].janela_inicio").at_stop(1);
    let problem =
        Problem { free: [window("2026-12-01T15:00:00Z", "2026-12-01T15:40:00Z")].into(), ..problem };
    let refused = VehicleAnswer::refused(car, None, "empresa-a".parse().unwrap(), problem);
    assert_eq!(
        value(&encode(&refused)),
        json!({"veiculo_id":"carro-42","servidor":"empresa-a","estado":"recusada","motivo":{
            "type":"/problemas/ponto-reservado","tipo":"ponto-reservado","status":409,
            "title":"Ponto já reservado nesta janela","detail":"ocupado",
            "campo":"paradas[1].janela_inicio","parada":1,
            "livres":[{"inicio":"2026-12-01T15:00:00Z","fim":"2026-12-01T15:40:00Z"}]},"paradas":[]})
    );
    assert_eq!(decode::<VehicleAnswer>(&encode(&refused)), Ok(refused));
}

#[test]
fn a_status_is_kept_with_the_time_of_its_arrival() {
    let status = json!({"veiculo_id":"carro-42","latitude":-12.98,"longitude":-38.46,"bateria_pct":71.5,
        "velocidade_kmh":80.0,"autonomia_km":240.0,"instante":"2026-12-01T11:00:00Z","estado":"dirigindo"});
    let read: VehicleStatus = decode(&bytes(&status)).unwrap();
    assert_eq!(value(&encode(&read)), status);
    let view = VehicleView { status: read, recebido_em: at("2026-12-01T11:00:00.250Z") };
    assert_eq!(value(&encode(&view))["recebido_em"], "2026-12-01T11:00:00.250Z");
    assert_eq!(decode::<VehicleView>(&encode(&view)), Ok(view));
}

#[test]
fn the_ids_are_salvaged_from_a_broken_request() {
    let broken = br#"{"requisicao_id" : "r-1", "veiculo":{"veiculo_id":"carro-42","plugue":7},"paradas":["#;
    let salvaged = salvage(broken);
    assert_eq!(salvaged.request.unwrap().as_str(), "r-1");
    assert_eq!(salvaged.vehicle.unwrap().as_str(), "carro-42");
    assert_eq!(salvage(br#"{"requisicao_id":7,"veiculo_id":"a/b"}"#), Default::default());
}

#[test]
fn availability_is_asked_for_and_offered() {
    let query = "de=2026-12-01T11:00:00Z&ate=2026-12-01T09:00:00-03:00&uf=BA&plugue=CHADEMO&potencia_min_kw=50\
                 &ponto_id=A-1&lat=-12.98&lon=-38.46&raio_km=&limite=10&cursor=A-0";
    let asked = AvailabilityQuery::decode(query).unwrap();
    assert_eq!(asked.until, Some(at("2026-12-01T12:00:00Z")));
    assert_eq!(AvailabilityQuery::decode(&asked.encode()), Ok(asked));
    assert_eq!(AvailabilityQuery::decode(""), Ok(AvailabilityQuery::default()));

    let offer = json!({"empresa":"empresa-a","revisao":1842,"pontos":[{"ponto_id":"A-SSA-01-1",
        "estacao_id":"A-SSA-01","nome":"Shopping da Bahia","cidade":"Salvador","uf":"BA","latitude":-12.98,
        "longitude":-38.46,"fuso":"America/Bahia",
        "conectores":[{"conector_id":"1","plugue":"IEC_62196_T2_COMBO","potencia_kw":60.0}],
        "preco_kwh":2.10,"taxa_ativacao":2.0,"estado":"disponivel",
        "livres":[{"inicio":"2026-12-01T11:00:00Z","fim":"2026-12-01T14:00:00Z"}]}],"proximo":"A-SSA-01-1"});
    let answer: AvailabilityAnswer = decode(&bytes(&offer)).unwrap();
    assert_eq!(answer.pontos[0].estado, PointState::Disponivel);
    assert_eq!(answer.pontos[0].livres, [window("2026-12-01T11:00:00Z", "2026-12-01T14:00:00Z")]);
    assert_eq!(value(&encode(&answer)), offer);

    let mut twin = answer.pontos[0].ponto.clone();
    twin.ponto_id = "A-SSA-01-2".parse().unwrap();
    let stations = into_stations([answer.pontos[0].ponto.clone(), twin]);
    assert_eq!((stations.len(), stations[0].evses.len()), (1, 2));
    let point = recarga_wire::availability::Point::new(&stations[0], &stations[0].evses[0]);
    assert_eq!(point, answer.pontos[0].ponto);
}

#[test]
fn an_audit_page_tells_what_is_remembered() {
    use recarga_wire::audit::{AuditBranch, AuditPage, AuditTrip};
    use recarga_wire::event::{Event, EventBody, HoldEvent};
    let (hold, ..) = serde_json::from_value::<HoldRequest>(hold_example()).unwrap().into_hold().unwrap();
    let (transaction, hold) = (hold.transaction.clone(), Arc::new(hold));
    let at = at("2026-12-01T11:00:00Z");
    let branches = [
        Branch::Held { hold: hold.clone(), expires: at },
        Branch::Prepared { hold: hold.clone() },
        Branch::Confirmed { hold: hold.clone() },
        Branch::Released { hold: hold.clone() },
        Branch::Aborted { cause: AbortCause::Heuristic, at, hold: Some(hold) },
        Branch::Aborted { cause: AbortCause::VotedNo, at, hold: None },
    ];
    let page = AuditPage {
        empresa: "empresa-b".parse().unwrap(),
        deposito: StoreId(7),
        ramos: branches.iter().map(|branch| AuditBranch::new(&transaction, branch)).collect(),
        viagens: vec![AuditTrip::new(&trip(Stage::Settled))],
        proximo: None,
    };
    let told = value(&encode(&page));
    let words: Vec<_> =
        told["ramos"].as_array().unwrap().iter().map(|branch| branch["estado"].clone()).collect();
    assert_eq!(
        json!(words),
        json!(["provisoria", "preparada", "confirmada", "liberada", "abortada", "abortada"])
    );
    assert_eq!(told["ramos"][5]["causa"], "voto_nao");
    assert_eq!(decode::<AuditPage>(&encode(&page)), Ok(page));

    for body in [
        EventBody::Viagem(TripAnswer::new(&trip(Stage::Settled))),
        EventBody::Reserva(HoldEvent::new(&transaction, &branches[0])),
    ] {
        let event = Event { id: 9, instante: at, fato: body };
        let told = value(&encode(&event));
        assert_eq!(told["evento"], event.fato.name());
        assert_eq!(decode::<Event>(&encode(&event)), Ok(event));
    }
}

#[test]
fn every_reference_of_the_schemas_resolves() {
    use utoipa::OpenApi;
    let document = serde_json::to_value(recarga_wire::schema::Messages::openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let references: Vec<_> = text.split("\"#/components/schemas/").skip(1).collect();
    assert!(references.len() > 50);
    for reference in references {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}
