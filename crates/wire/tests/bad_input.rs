//! Bad input: for each field what can be wrong with it, and which problem names it. Nothing panics.

#![expect(clippy::unwrap_used, reason = "in a test a failure to unwrap is the report")]

use proptest::prelude::*;
use recarga_wire::availability::{AvailabilityAnswer, AvailabilityQuery};
use recarga_wire::batch::decode_batch;
use recarga_wire::hold::{HoldAnswer, HoldRequest};
use recarga_wire::journey::CarBody;
use recarga_wire::panel::ServiceBody;
use recarga_wire::session::{CancelRequest, ConfirmRequest, InquiryAnswer};
use recarga_wire::topic::Topic;
use recarga_wire::trip::{TripBody, TripsParams};
use recarga_wire::vehicle::{VehicleAnswer, VehicleRequestBody, VehicleStatus, salvage};
use recarga_wire::{Problem, ProblemKind, decode, decode_query};

const HOLD: &str = r#"{"sessao":"a.0123456789abcdef0123456789abcdef.3.17.fedcba9876543210fedcba9876543210","coordenador":"a","requisicao_id":"r-1","participantes":["a","b"],"tipo":"preparada","validade_s":30,"prioridade":"2026-12-01T10:59:58.120Z","veiculo":{"veiculo_id":"carro-42","plugue":"CHADEMO"},"reservas":[{"parada":0,"ponto_id":"B-1","janela_inicio":"2026-12-01T14:00:00Z","janela_fim":"2026-12-01T14:40:00Z"},{"parada":2,"ponto_id":"B-2","janela_inicio":"2026-12-01T16:00:00Z","janela_fim":"2026-12-01T16:40:00Z"}]}"#;
const TRIP: &str = r#"{"requisicao_id":"r-1","veiculo":{"veiculo_id":"carro-42"},"paradas":[{"empresa":"b","ponto_id":"B-1","janela_inicio":"2026-12-01T14:00:00Z","janela_fim":"2026-12-01T14:40:00Z"},{"empresa":"a","ponto_id":"A-1","janela_inicio":"2026-12-01T16:00:00Z","janela_fim":"2026-12-01T16:40:00Z"}]}"#;
const STATUS: &str = r#"{"veiculo_id":"carro-42","latitude":-12.98,"longitude":-38.46,"bateria_pct":71.5,"velocidade_kmh":80,"autonomia_km":240,"instante":"2026-12-01T11:00:00Z"}"#;
const CONFIRM: &str = r#"{"sessao":"a.0123456789abcdef0123456789abcdef.3.17.fedcba9876543210fedcba9876543210","coordenador":"a"}"#;

fn hold(body: &[u8]) -> Result<(), Problem> {
    decode::<HoldRequest>(body)?.into_hold().map(drop)
}

fn trip(body: &[u8]) -> Result<(), Problem> {
    decode::<TripBody>(body)?.into_request(None).map(drop)
}

fn status(body: &[u8]) -> Result<(), Problem> {
    decode::<VehicleStatus>(body)?.check_topic(&"carro-42".parse().unwrap())
}

fn request(body: &[u8]) -> Result<(), Problem> {
    decode::<VehicleRequestBody>(body)?.into_request(&"carro-42".parse().unwrap()).map(drop)
}

fn confirm(body: &[u8]) -> Result<(), Problem> {
    decode::<ConfirmRequest>(body)?.into_transaction().map(drop)
}

fn query(text: &[u8]) -> Result<(), Problem> {
    AvailabilityQuery::decode(&String::from_utf8_lossy(text)).map(drop)
}

fn check(
    read: fn(&[u8]) -> Result<(), Problem>,
    good: &str,
    rows: &[(&str, &str, &str, &str, &str)], // what is replaced, by what, tipo, campo, part of the detail
) {
    assert_eq!(read(good.as_bytes()), Ok(()), "{good}");
    for (from, to, code, field, detail) in rows {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        let Err(problem) = read(bad.as_bytes()) else { panic!("accepted: {bad}") };
        let told = (problem.kind.code(), problem.field.as_deref().unwrap_or_default());
        assert_eq!(told, (*code, *field), "{to}: {problem}");
        assert!(problem.detail.contains(detail), "{to}: {problem}");
        assert!(problem.detail.len() < 1200, "{to}: {problem}");
    }
}

#[test]
fn holds() {
    let long = format!("\"{}\"", "x".repeat(65));
    let many = format!("[{}]", vec!["\"a\""; 33].join(","));
    let stores = |known: &[&str]| {
        let known = known
            .iter()
            .map(|one| format!(r#"{{"empresa":"{one}","deposito":"000000000000000000000000000000ab"}}"#));
        format!(",\"depositos\":[{}],\"tipo\"", known.collect::<Vec<_>>().join(","))
    };
    let (stranger, twice) = (stores(&["c"]), stores(&["b", "b"]));
    let malformed = stores(&["b"]).replace("ab\"", "AB\"");
    check(
        hold,
        HOLD,
        &[
            ("\"coordenador\":\"a\",", "", "campo-ausente", "coordenador", "acrescente"),
            (
                "\"coordenador\":\"a\"",
                "\"coordenador\":\"b\"",
                "campo-invalido",
                "coordenador",
                "coordenada por `a`",
            ),
            (
                "\"coordenador\":\"a\"",
                "\"coordenador\":null",
                "campo-invalido",
                "coordenador",
                "um identificador",
            ),
            ("\"sessao\"", "\"session\"", "campo-desconhecido", "session", "sessao, coordenador"),
            ("\"sessao\":\"a.0", "\"sessao\":\"a.X", "campo-invalido", "sessao", "não é uma sessão"),
            ("\"r-1\"", "\"\"", "campo-invalido", "requisicao_id", "vazio"),
            ("\"r-1\"", "\"r/1\"", "campo-invalido", "requisicao_id", "'/'"),
            ("\"r-1\"", &long, "campo-invalido", "requisicao_id", "65 caracteres"),
            ("\"r-1\"", "\"-r\"", "campo-invalido", "requisicao_id", "'-'"),
            ("\"r-1\"", "17", "campo-invalido", "requisicao_id", "`17`"),
            ("\"r-1\"", "\"r-1\",\"requisicao_id\":\"r-2\"", "campo-invalido", "requisicao_id", "duas vezes"),
            ("[\"a\",\"b\"]", "[\"a\",\"b+\"]", "campo-invalido", "participantes[1]", "'+'"),
            ("[\"a\",\"b\"]", "[]", "campo-invalido", "participantes", "1 a 32"),
            ("[\"a\",\"b\"]", &many, "campo-invalido", "participantes", "1 a 32"),
            ("[\"a\",\"b\"]", "\"a\"", "campo-invalido", "participantes", "uma lista"),
            (",\"tipo\"", ",\"depositos\":{},\"tipo\"", "campo-invalido", "depositos", "uma lista"),
            (",\"tipo\"", &stranger, "campo-invalido", "depositos[0].empresa", "não está em `participantes`"),
            (",\"tipo\"", &twice, "campo-invalido", "depositos[1].empresa", "mais de uma vez"),
            (",\"tipo\"", &malformed, "campo-invalido", "depositos[0].deposito", "depósito"),
            ("\"preparada\"", "\"firme\"", "campo-invalido", "tipo", "preparada, provisoria"),
            ("\"preparada\"", "1", "campo-invalido", "tipo", "um texto"),
            (":30,", ":0,", "campo-invalido", "validade_s", "1 a 3600"),
            (":30,", ":3601,", "campo-invalido", "validade_s", "1 a 3600"),
            (":30,", ":-1,", "campo-invalido", "validade_s", "inteiro"),
            (":30,", ":1.5,", "campo-invalido", "validade_s", "inteiro"),
            (":30,", ":\"30\",", "campo-invalido", "validade_s", "inteiro"),
            (":30,", ":1e999,", "campo-invalido", "validade_s", "grande demais"),
            ("58.120Z", "58.120", "campo-invalido", "prioridade", "fuso"),
            ("2026-12-01T10", "1 de dezembro", "campo-invalido", "prioridade", "RFC 3339"),
            ("\"CHADEMO\"", "\"chademo\"", "campo-invalido", "veiculo.plugue", "IEC_62196_T2_COMBO"),
            ("\"carro-42\"", "\"carro 42\"", "campo-invalido", "veiculo.veiculo_id", "' '"),
            ("\"veiculo_id\"", "\"placa\"", "campo-desconhecido", "veiculo.placa", "veiculo_id, plugue"),
            (
                "{\"veiculo_id\":\"carro-42\",\"plugue\":\"CHADEMO\"}",
                "[\"carro-42\",\"CHADEMO\"]",
                "campo-invalido",
                "veiculo",
                "um objeto JSON",
            ),
        ],
    );
}

#[test]
fn stops_of_holds() {
    let stop = r#"{"parada":0,"ponto_id":"B-1","janela_inicio":"2026-12-01T14:00:00Z","janela_fim":"2026-12-01T14:40:00Z"}"#;
    let stops = format!("\"reservas\":[{},", vec![stop; 16].join(","));
    check(
        hold,
        HOLD,
        &[
            ("\"parada\":2", "\"parada\":0", "campo-invalido", "reservas[1].parada", "reservas[0]"),
            ("\"parada\":2", "\"parada\":16", "campo-invalido", "reservas[1].parada", "0 a 15"),
            ("\"parada\":2", "\"parada\":70000", "campo-invalido", "reservas[1].parada", "inteiro"),
            ("\"parada\":2,", "", "campo-ausente", "reservas[1].parada", "acrescente"),
            ("\"B-2\"", "\"B#2\"", "campo-invalido", "reservas[1].ponto_id", "'#'"),
            ("T16:40:00Z", "T15:40:00Z", "janela-invertida", "reservas[1].janela_fim", "posterior"),
            ("T16:40:00Z", "T16:00:00Z", "janela-invertida", "reservas[1].janela_fim", "vazia"),
            ("T16:40:00Z", "T25:00:00Z", "campo-invalido", "reservas[1].janela_fim", "não existe"),
            (
                "T16:00:00Z",
                "T14:30:00Z",
                "paradas-sobrepostas",
                "reservas[1].janela_inicio",
                "reservas[0] e reservas[1]",
            ),
            ("\"reservas\":[", &stops, "paradas-demais", "reservas", "1 a 16"),
            ("\"reservas\":[", "\"substitui\":\"x\",\"reservas\":[", "campo-invalido", "substitui", "sessão"),
            ("}]}", "}],\"obs\":1}", "campo-desconhecido", "obs", "os campos são"),
        ],
    );
    let empty = format!("{}[]}}", &HOLD[..HOLD.find("[{").unwrap()]);
    assert_eq!(hold(empty.as_bytes()).unwrap_err().kind, ProblemKind::StopCount);
    let session = &HOLD[HOLD.find("\"a.").unwrap()..HOLD.find(",\"coord").unwrap()];
    let leaves = empty.replace("[]", &format!("[],\"substitui\":{session}"));
    assert_eq!(hold(leaves.as_bytes()), Ok(()), "a change may move every stop elsewhere");
}

#[test]
fn trips_and_requests_of_cars() {
    let rows = [
        ("\"requisicao_id\":\"r-1\",", "", "campo-ausente", "requisicao_id", "requisicao_id"),
        ("\"r-1\"", "{}", "campo-invalido", "requisicao_id", "um objeto"),
        ("\"empresa\":\"b\"", "\"empresa\":\"\"", "campo-invalido", "paradas[0].empresa", "vazio"),
        ("\"empresa\":\"b\",", "", "campo-ausente", "paradas[0].empresa", "acrescente"),
        ("\"ponto_id\":\"A-1\"", "\"ponto\":\"A-1\"", "campo-desconhecido", "paradas[1].ponto", "ponto_id"),
        ("T16:00:00Z", "T16:00:00", "campo-invalido", "paradas[1].janela_inicio", "-03:00"),
        ("T16:40:00Z", "T10:40:00Z", "janela-invertida", "paradas[1].janela_fim", "posterior"),
        (
            "T16:00:00Z",
            "T14:39:59Z",
            "paradas-sobrepostas",
            "paradas[1].janela_inicio",
            "paradas[0] e paradas[1]",
        ),
        ("[{", "[[],{", "campo-invalido", "paradas[0]", "uma lista"),
        ("[{", "[7,{", "campo-invalido", "paradas[0]", "`7`"),
    ];
    check(trip, TRIP, &rows);
    check(request, TRIP, &rows);
    check(
        request,
        TRIP,
        &[
            ("carro-42", "carro-43", "campo-invalido", "veiculo.veiculo_id", "`carro-42`"),
            (
                "\"requisicao_id\"",
                "\"cancelar\":\"v-1\",\"requisicao_id\"",
                "campo-invalido",
                "paradas",
                "dois pedidos",
            ),
            (
                "\"requisicao_id\"",
                "\"expira_em\":5,\"requisicao_id\"",
                "campo-invalido",
                "expira_em",
                "RFC 3339",
            ),
            ("\"veiculo\":{\"veiculo_id\":\"carro-42\"},", "", "campo-ausente", "veiculo", "cancelar"),
        ],
    );
    let stops = &TRIP[TRIP.find("[{").unwrap()..TRIP.len() - 1];
    for (body, code) in [
        (TRIP.replace(stops, "[]"), "paradas-demais"),
        (TRIP.replace(stops, "null"), "campo-invalido"),
        (TRIP.replace(stops, &format!("[{}]", [&stops[1..stops.len() - 1]; 9].join(","))), "paradas-demais"),
    ] {
        let problem = trip(body.as_bytes()).unwrap_err();
        assert_eq!((problem.kind.code(), problem.field.as_deref()), (code, Some("paradas")), "{problem}");
    }
}

#[test]
fn statuses_and_sessions() {
    check(
        status,
        STATUS,
        &[
            ("carro-42", "carro-43", "campo-invalido", "veiculo_id", "`carro-42`"),
            ("-12.98", "-90.1", "campo-invalido", "latitude", "-90 a 90"),
            ("-38.46", "181", "campo-invalido", "longitude", "-180 a 180"),
            ("71.5", "100.5", "campo-invalido", "bateria_pct", "0 a 100"),
            ("71.5", "NaN", "corpo-invalido", "", "linha 1"),
            ("71.5", "null", "campo-invalido", "bateria_pct", "um número"),
            ("71.5", "1e400", "campo-invalido", "bateria_pct", "grande demais"),
            (":80", ":401", "campo-invalido", "velocidade_kmh", "0 a 400"),
            (":240", ":-1", "campo-invalido", "autonomia_km", "0 a 5000"),
            ("\"instante\"", "\"estado\":\"voando\",\"instante\"", "campo-invalido", "estado", "dirigindo"),
        ],
    );
    check(
        confirm,
        CONFIRM,
        &[
            (
                "\"coordenador\":\"a\"",
                "\"coordenador\":\"b\"",
                "campo-invalido",
                "coordenador",
                "use este nome",
            ),
            ("\"a\"}", "\"a\",\"motivo\":\"aborto\"}", "campo-desconhecido", "motivo", "os campos são"),
        ],
    );
    let problem = decode_query::<CancelRequest>("sessao=x").unwrap_err();
    assert_eq!((problem.kind, problem.field.as_deref()), (ProblemKind::InvalidField, Some("sessao")));
    let problem = decode_query::<TripsParams>("requisicao_id=r-1").unwrap_err();
    assert_eq!((problem.kind, problem.field.as_deref()), (ProblemKind::MissingField, Some("veiculo_id")));
}

// Values of a wrong form, which the JSON reader takes for the end of the JSON.
#[test]
fn curves_and_states() {
    let car = r#"{"nome":"x","bateria_kwh":50,"potencia_cc_kw":100,"potencia_ca_kw":11,"plugues":["CHADEMO"],"autonomia_km":400,"ciclo":"WLTP","massa_kg":1500,"area_arrasto_m2":0.6,"curva":[[0,50],[80,30]]}"#;
    let bad = "campo-invalido";
    #[rustfmt::skip]
    let rows = [
        ("[80,30]", "[80,30,3]", bad, "curva[1]", "não tem a forma esperada"),
        ("[80,30]", "[80]", bad, "curva[1]", "a lista tem 1 valores, mas se espera uma lista de 2 valores"),
        ("[80,30]", "80", bad, "curva[1]", "veio o número `80`, mas se espera uma lista de 2 valores"),
        ("[80,30]", "[\"a\",30]", bad, "curva[1][0]", "se espera um número"),
        ("\"WLTP\"", "null", bad, "ciclo", "null"),
    ];
    check(|body| decode::<CarBody>(body).map(drop), car, &rows);
    #[rustfmt::skip]
    let rows = [
        ("\"inoperante\"", "null", bad, "estado", "null"),
        ("\"inoperante\"", "1", bad, "estado", "veio o número `1`"),
        ("\"inoperante\"", "[]", bad, "estado", "veio uma lista"),
        ("\"inoperante\"", "{}", bad, "estado", "veio um objeto"),
        ("\"inoperante\"", "\"quebrado\"", bad, "estado", "use um de: disponivel, inoperante"),
    ];
    check(|body| decode::<ServiceBody>(body).map(drop), r#"{"estado":"inoperante"}"#, &rows);
}

#[test]
fn queries() {
    let good = "de=2026-12-01T11:00:00Z&ate=2026-12-01T12:00:00Z&uf=BA&plugue=CHADEMO&potencia_min_kw=50\
                &ponto_id=A-1&lat=-12.98&lon=-38.46&raio_km=10&limite=10&cursor=x&alterados_desde=7";
    check(
        query,
        good,
        &[
            ("11:00:00Z", "13:00:00Z", "janela-invertida", "ate", "posterior"),
            ("11:00:00Z", "11:00", "campo-invalido", "de", "fuso"),
            ("uf=BA", "uf=Bahia", "campo-invalido", "uf", "duas letras"),
            ("CHADEMO", "tomada", "campo-invalido", "plugue", "CHADEMO"),
            ("=50", "=NaN", "campo-invalido", "potencia_min_kw", "0 a"),
            ("=50", "=-1", "campo-invalido", "potencia_min_kw", "0 a"),
            ("A-1", "A%2F1", "campo-invalido", "ponto_id", "'/'"),
            ("-12.98", "-91", "campo-invalido", "lat", "-90 a 90"),
            ("lat=-12.98&", "", "campo-ausente", "lat", "junto"),
            ("lon=-38.46&", "", "campo-ausente", "lon", "junto"),
            ("limite=10", "limite=0", "campo-invalido", "limite", "1 a 500"),
            ("limite=10", "limite=501", "campo-invalido", "limite", "1 a 500"),
            ("desde=7", "desde=-7", "campo-invalido", "alterados_desde", "`revisao`"),
            ("limite=10", "limites=10", "campo-desconhecido", "limites", "limite"),
            ("limite=10", "limite=10&limite=10", "campo-invalido", "limite", "duas vezes"),
        ],
    );
}

#[test]
fn bodies_that_are_not_json() {
    let deep = "[".repeat(10_000);
    let bodies: [(&[u8], &str); 11] = [
        (b"", "acaba"),
        (b"   ", "acaba"),
        (b"{", "acaba"),
        (b"{\"sessao\":\"\xff\"}", "byte 11 "),
        (b"[]", "um objeto JSON"),
        (b"null", "um objeto JSON"),
        (b"\"{}\"", "um objeto JSON"),
        (b"{'sessao':1}", "aspas"),
        (b"{\"sessao\" 1}", "linha 1, coluna 11"),
        (b"{\"sessao\":\"\n\"}", "controle"),
        (b"{\"sessao\":\"\\q\"}", "sequência"),
    ];
    for (body, detail) in bodies {
        let problem = hold(body).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::MalformedBody, "{problem}");
        assert!(problem.detail.contains(detail), "{problem}");
    }
    let trailing = format!("{HOLD} x");
    assert_eq!(hold(trailing.as_bytes()).unwrap_err().kind, ProblemKind::MalformedBody);
    assert!(hold(deep.as_bytes()).is_err());
    assert!(hold(format!("{{\"veiculo\":{deep}").as_bytes()).is_err());
}

#[test]
fn batches_that_may_not_run() {
    let many = format!("{{\"operacoes\":[{}]}}", vec![r#"{"operacao":"x","corpo":0}"#; 257].join(","));
    for (body, field) in [
        (r#"{"operacoes":[]}"#, "operacoes"),
        (&many, "operacoes"),
        (r#"{"operacoes":[{"operacao":"x"}]}"#, "operacoes[0].corpo"),
        (r#"{"operacoes":[{"operacao":"x","corpo":0,"b":1}]}"#, "operacoes[0].b"),
        ("{}", "operacoes"),
    ] {
        assert_eq!(decode_batch(body.as_bytes()).unwrap_err().field.as_deref(), Some(field));
    }
}

#[test]
fn topics_are_four_and_no_more() {
    for good in
        ["veiculo/c-1/status", "veiculo/c-1/requisicao", "veiculo/c-1/resposta", "servidor/a/resposta"]
    {
        assert_eq!(good.parse::<Topic>().unwrap().to_string(), good);
    }
    for bad in [
        "",
        "veiculo/c-1",
        "veiculo//status",
        "veiculo/+/status",
        "veiculo/c-1/status/",
        "/veiculo/c-1/status",
        "veiculo/c 1/status",
        "veiculo/c-1/outro",
        "servidor/a/status",
        "VEICULO/c-1/status",
    ] {
        assert!(bad.parse::<Topic>().is_err(), "{bad}");
    }
}

#[test]
fn every_problem_has_words_and_travels() {
    let mut codes = std::collections::BTreeSet::new();
    for &kind in ProblemKind::ALL {
        assert!(codes.insert(kind.code()), "{kind}");
        assert!(
            [kind.title(), kind.explanation(), kind.cure(), kind.log()].iter().all(|text| text.len() > 5)
        );
        assert!((400..600).contains(&kind.status()), "{kind}");
        assert_eq!(ProblemKind::from_code(kind.code()), Some(kind));
        let problem = Problem::of(kind).at("paradas[0]").at_stop(0).ask_at("/viagens/x").as_vote();
        let sent = recarga_wire::encode(&problem);
        assert_eq!(decode::<Problem>(&sent), Ok(problem));
        let value: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(value["type"], format!("/problemas/{kind}"));
        assert_eq!((value["status"].as_u64(), &value["voto"]), (Some(kind.status().into()), &"nao".into()));
    }
    let newer: Problem =
        decode(br#"{"tipo":"novo","title":"T","detail":"D","status":409,"extra":1}"#).unwrap();
    assert_eq!((newer.kind, newer.detail.as_ref()), (ProblemKind::Unrecognised, "T: D"));
}

fn read_everything(bytes: &[u8]) {
    for read in [hold, trip, status, request, confirm, query] {
        let _ = read(bytes);
    }
    let _ = decode_batch(bytes);
    let _ = recarga_wire::batch::decode_batch_answer(bytes, 1);
    let _ = decode::<HoldAnswer>(bytes);
    let _ = decode::<InquiryAnswer>(bytes);
    let _ = decode::<AvailabilityAnswer>(bytes);
    let _ = decode::<VehicleAnswer>(bytes);
    let _ = decode::<Problem>(bytes);
    let _ = salvage(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = decode_query::<CancelRequest>(&text);
    let _ = text.parse::<Topic>();
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn no_damaged_message_panics(
        which in 0usize..4,
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = [HOLD, TRIP, STATUS, CONFIRM][which].as_bytes().to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        read_everything(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_everything(&bytes);
    }
}

// The JSON reader skips what it need not read, and had skipped bytes that are no text.
#[test]
fn what_is_no_utf_8_is_refused_also_where_nobody_reads_it() {
    let read = |body: &[u8]| decode::<InquiryAnswer>(body).map(drop);
    let answer = b"{\"sessao\":\"a.0123456789abcdef0123456789abcdef.3.17.fedcba9876543210fedcba9876543210\",\
        \"estado\":\"abortada\",\"empresa\":\"b\",\"deposito\":\"0123456789abcdef0123456789abcdef\",\"outro\":\"?\"}";
    assert_eq!(read(answer), Ok(()));
    for place in [answer.len() - 3, answer.len() - 7] {
        let mut bad = answer.to_vec();
        bad[place] = 0xFF;
        let problem = read(&bad).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::MalformedBody, "{problem}");
        assert!(problem.detail.contains("UTF-8"), "{problem}");
    }
}
