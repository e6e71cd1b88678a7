//! Journeys that are not booked: what is wrong with them, or in their way, and what would help.

use std::time::Duration;

use recarga_wire::instant;
use serde_json::{Value, json};

use crate::journeys::{booking, companies, journey, own_car};
use crate::support::bodies::with;
use crate::support::http::Call;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_names_the_field_and_the_cure() {
    let nodes = companies().await;
    let unknown = "empresa-desconhecida";
    for (field, value, tipo, at, cure) in [
        ("origem", json!("Resife"), "campo-invalido", "origem", "Recife, PE"),
        ("origem", json!(""), "campo-invalido", "origem", "latitude,longitude"),
        ("destino", json!("91,0"), "campo-invalido", "destino", "-90 a 90"),
        ("destino", json!("60,100"), "campo-invalido", "destino", "6000 km"),
        ("destino", json!(7), "campo-invalido", "destino", "texto"),
        ("via", json!(["Maceió", "Nowhere"]), "campo-invalido", "via[1]", "cidade"),
        ("via", json!(vec!["Maceió"; 6]), "campo-invalido", "via", "5 lugares"),
        ("origem", json!("Cascavel"), "campo-invalido", "origem", "Cascavel, CE"),
        ("destino", json!("A-NOWHERE"), "campo-invalido", "destino", "estação"),
        ("carro", own_car(&[]), "campo-invalido", "carro", "não os dois"),
        ("temperatura_c", json!(60), "campo-invalido", "temperatura_c", "-30 a 50"),
        ("bateria_pct", json!(101), "campo-invalido", "bateria_pct", "0 a 100"),
        ("bateria_pct", json!(-1), "campo-invalido", "bateria_pct", "0 a 100"),
        ("bateria_pct", json!("80%"), "campo-invalido", "bateria_pct", "número"),
        ("modelo", json!("fusca"), "campo-invalido", "modelo", "byd-dolphin"),
        ("saida", json!("2020-01-01T00:00:00Z"), "campo-invalido", "saida", "já passou"),
        ("saida", json!("2099-01-01T00:00:00Z"), "campo-invalido", "saida", "conhecidos até"),
        ("saida", json!("amanhã"), "campo-invalido", "saida", "RFC 3339"),
        ("reserva_pct", json!(51), "campo-invalido", "reserva_pct", "0 a 50"),
        ("velocidade_kmh", json!(400), "campo-invalido", "velocidade_kmh", "40 a 130"),
        ("paradas_max", json!(13), "campo-invalido", "paradas_max", "0 a 12"),
        ("espera_max_min", json!(-1), "campo-invalido", "espera_max_min", "0 a 1440"),
        ("alternativas", json!(6), "campo-invalido", "alternativas", "0 a 5"),
        ("preferencia", json!("rápida"), "campo-invalido", "preferencia", "mais_rapida"),
        ("evitar_empresas", json!(["a b"]), "campo-invalido", "evitar_empresas[0]", ""),
        // A typo led to the very company that was to be avoided.
        (
            "evitar_empresas",
            json!(["empresa-b", "empresa-z"]),
            unknown,
            "evitar_empresas[1]",
            "empresa-b, empresa-x",
        ),
        (
            "preferir_empresas",
            json!(["empresaa"]),
            unknown,
            "preferir_empresas[0]",
            "uma de: empresa-a, empresa-b",
        ),
        ("bateria", json!(80), "campo-desconhecido", "bateria", "bateria_pct"),
    ] {
        let body = with(&journey(), field, Some(value.clone()));
        let problem = nodes[0].send(Call::post("/viagens/planejar", &body)).await.expect_problem(422, tipo);
        assert_eq!(problem["campo"], at, "{field} = {value}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(cure), "{field} = {value}: {problem}");
        // Booked at once it is the same.
        let mut booking = booking("p", &[]);
        booking[field] = value.clone();
        let problem = nodes[0].send(Call::post("/viagens", &booking)).await;
        assert_eq!(
            (problem.tipo().as_str(), &problem.json()["campo"]),
            (tipo, &json!(at)),
            "{field} = {value}"
        );
    }
    assert_eq!(nodes[0].audit().await, (vec![], vec![]));
    assert!(nodes[0].get("/modelos").await["modelos"].as_array().unwrap().len() >= 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_booked_says_why() {
    let nodes = companies().await;
    let chademo = json!({"veiculo_id": "carro-1", "plugue": "CHADEMO"});
    let by_own_car = with(&booking("p", &[("veiculo", chademo.clone())]), "modelo", None);
    for (body, tipo, at) in [
        (with(&booking("p", &[]), "destino", None), "campo-ausente", "destino"),
        (with(&booking("p", &[]), "veiculo", None), "campo-ausente", "veiculo"),
        (with(&booking("p", &[]), "requisicao_id", None), "campo-ausente", "requisicao_id"),
        (with(&booking("p", &[]), "alternativas", Some(json!(1))), "campo-invalido", "alternativas"),
        // It was sent to a charger at which it could not charge.
        (booking("p", &[("veiculo", chademo)]), "plugue-incompativel", "veiculo.plugue"),
        (with(&by_own_car, "carro", Some(own_car(&[]))), "plugue-incompativel", "veiculo.plugue"),
        (with(&booking("p", &[]), "servidor", Some(json!("empresa-a"))), "campo-desconhecido", "servidor"),
        (with(&booking("p", &[]), "paradas", Some(json!([]))), "campo-desconhecido", "bateria_pct"),
    ] {
        let answer = nodes[0].send(Call::post("/viagens", &body)).await;
        let problem = answer.expect_problem(422, tipo);
        assert!(problem["campo"].as_str().unwrap().ends_with(at), "{body}: {problem}");
    }
    for (change, tipo, at) in [
        ([("bateria_pct", json!(5))], "sem-roteiro", json!("bateria_pct")),
        ([("paradas_max", json!(0))], "sem-roteiro", json!("paradas_max")),
        ([("destino", json!("Manaus"))], "sem-roteiro", Value::Null),
        ([("bateria_pct", json!(100))], "nada-a-reservar", Value::Null),
    ] {
        let answer = nodes[0].send(Call::post("/viagens", &booking("p", &change))).await;
        let problem = answer.expect_problem(409, tipo);
        assert_eq!(problem["campo"], at, "{change:?}: {problem}");
    }
    assert_eq!(nodes[0].audit().await, (vec![], vec![]), "nothing is held");
}

/// The destination was called the next charger, a full battery was to be charged more, and chargers of which nothing is
/// known were not free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_journey_without_a_plan_is_true_and_helps() {
    let nodes = companies().await;
    let says = async |change: &[(&str, Value)], what: &[&str], what_not: &[&str]| {
        let mut body = journey();
        change.iter().for_each(|(field, value)| body[*field] = value.clone());
        let problem =
            nodes[0].send(Call::post("/viagens/planejar", &body)).await.expect_problem(409, "sem-roteiro");
        let detail = problem["detail"].as_str().unwrap();
        what.iter().for_each(|part| assert!(detail.contains(part), "{change:?}: no {part}: {detail}"));
        what_not.iter().for_each(|part| assert!(!detail.contains(part), "{change:?}: {part}: {detail}"));
    };
    let none = "carregador IEC_62196_T2_COMBO, IEC_62196_T2 com horário livre no caminho depois de Recife";
    let avoided = ("evitar_empresas", json!(["empresa-a", "empresa-b"]));
    let spared = "sem contar as empresas de `evitar_empresas`, e até Salvador são 8";
    let far = [("destino", json!("Salvador")), avoided.clone()];
    says(
        &far,
        &[none, spared, "a carga dá para", "evite menos empresas"],
        &["o próximo", "mais carga", "menor"],
    )
    .await;
    // As far as Maceió a full battery lasts, and nearly what there is.
    says(
        &[avoided],
        &["e até Maceió são 2", "saia com mais carga", "evite menos empresas"],
        &["bateria cheia"],
    )
    .await;
    // At the charger the battery is filled.
    let far = [("destino", json!("Salvador"))];
    says(
        &far,
        &["depois de Recife (", "a bateria cheia dá para", "`via`"],
        &["mais carga", "evite", "`evitar"],
    )
    .await;
    // Nobody knows what is free so late.
    let known = "os horários livres são conhecidos até";
    let never = with(&journey(), "saida", Some(json!("2099-01-01T00:00:00Z")));
    let problem =
        nodes[0].send(Call::post("/viagens/planejar", &never)).await.expect_problem(422, "campo-invalido");
    let (_, until) = problem["detail"].as_str().unwrap().split_once("conhecidos até ").unwrap();
    let until = instant::parse(until.split(';').next().unwrap()).unwrap();
    let last = [("saida", json!(instant::format(until - Duration::from_secs(300))))];
    says(&last, &["não se conhece carregador ao alcance", known, "saia mais cedo"], &["em outro horário"])
        .await;
    let few = [("paradas_max", json!(0))];
    says(&few, &["são precisas 1 paradas", "saia com mais carga"], &[]).await;
}
