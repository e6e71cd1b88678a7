//! Roads as long as a routing service says, and estimated where it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use recarga_planning::{Position, StraightLine, distance_km};
use serde_json::{Value, json};

use crate::support::bodies::at;
use crate::support::http::Call;
use crate::support::{Plan, TestNode, eventually, start_one};

/// Every road is so much longer than the straight line, as far as this service knows.
const LONGER: f64 = 1.3;

/// A routing service of either kind.
struct Service {
    url: String,
    asked: Arc<AtomicUsize>,
    // Before it answers, in milliseconds; or what it answers instead.
    pause: Arc<AtomicU64>,
}

const NONSENSE: u64 = u64::MAX;
const REFUSAL: u64 = u64::MAX - 1;

impl Service {
    async fn start() -> Self {
        let listener = crate::support::listen().await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, pause): (Arc<AtomicUsize>, Arc<AtomicU64>) = Default::default();
        let (counted, paused) = (asked.clone(), pause.clone());
        let answer = move |request: Request| {
            let (counted, paused) = (counted.clone(), paused.clone());
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                match paused.load(Ordering::SeqCst) {
                    NONSENSE => return (StatusCode::OK, "{\"code\":\"Ok\"}".to_owned()).into_response(),
                    REFUSAL => return (StatusCode::BAD_REQUEST, "{\"code\":\"TooBig\"}").into_response(),
                    pause => tokio::time::sleep(Duration::from_millis(pause)).await,
                }
                let path = request.uri().path().to_owned();
                let query = request.uri().query().unwrap_or_default().to_owned();
                let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
                let answer = match path.strip_prefix("/table/v1/driving/") {
                    Some(places) => osrm(places, &query),
                    None => valhalla(&body),
                };
                answer.to_string().into_response()
            }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked, pause }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

// Kilometres and seconds, at 50 km/h.
fn road(from: Position, to: Position) -> (f64, f64) {
    let km = distance_km(from, to).unwrap() * LONGER;
    (km, km / 50.0 * 3600.0)
}

fn osrm(places: &str, query: &str) -> Value {
    let place = |text: &str| {
        let (longitude, latitude) = text.split_once(',').unwrap();
        Position { latitude: latitude.parse().unwrap(), longitude: longitude.parse().unwrap() }
    };
    let places: Vec<Position> = places.split(';').map(place).collect();
    let list = |name: &str| -> Vec<usize> {
        let list = query.split('&').find_map(|part| part.strip_prefix(name)).unwrap();
        list.split(';').map(|number| number.parse().unwrap()).collect()
    };
    let (sources, destinations) = (list("sources="), list("destinations="));
    let table = |value: fn((f64, f64)) -> f64| -> Vec<Vec<f64>> {
        let row =
            |from: &usize| destinations.iter().map(|to| value(road(places[*from], places[*to]))).collect();
        sources.iter().map(row).collect()
    };
    json!({"code": "Ok", "distances": table(|(km, _)| km * 1000.0), "durations": table(|(_, seconds)| seconds)})
}

fn valhalla(body: &[u8]) -> Value {
    let question: Value = serde_json::from_slice(body).unwrap();
    let places = |name: &str| -> Vec<Position> {
        let place = |one: &Value| Position {
            latitude: one["lat"].as_f64().unwrap(),
            longitude: one["lon"].as_f64().unwrap(),
        };
        question[name].as_array().unwrap().iter().map(place).collect()
    };
    let cell = |(km, seconds): (f64, f64)| json!({"distance": km, "time": seconds});
    let targets = places("targets");
    let row = |from: &Position| targets.iter().map(|to| cell(road(*from, *to))).collect::<Vec<_>>();
    json!({"sources_to_targets": places("sources").iter().map(row).collect::<Vec<_>>()})
}

async fn node(dialect: &str, url: &str, limits: &str) -> TestNode {
    let node = start_one(Plan {
        limits: format!("offer_refresh_millis = 600000\n{limits}"),
        more: format!("[roads]\nservice = \"{dialect}\"\nurl = \"{url}\""),
        ..Plan::default()
    })
    .await;
    eventually("its own offer", || async {
        let offers = node.get("/rede").await["empresas"].clone();
        let known = offers.as_array().unwrap().iter().any(|one| one["estado"] == "atual");
        known.then_some(())
    })
    .await;
    node
}

// From Recife with little in the battery: only the station in Recife is in reach.
async fn plan(node: &TestNode) -> Value {
    let body = json!({"origem": "Recife", "destino": "maceio, al", "bateria_pct": 30, "modelo": "byd-dolphin", "saida": at(0)});
    let answer = node.send(Call::post("/viagens/planejar", &body)).await.expect(200);
    answer["roteiros"][0].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roads_are_as_long_as_the_service_says() {
    let plain = start_one(Plan { limits: "offer_refresh_millis = 600000".into(), ..Plan::default() }).await;
    let estimated = plan(&plain).await;
    assert_eq!(estimated["distancias"], "estimadas");
    for dialect in ["osrm", "valhalla"] {
        let service = Service::start().await;
        let node = node(dialect, &service.url, "").await;
        let told = plan(&node).await;
        assert_eq!(told["distancias"], "calculadas", "{told}");
        let ratio = number(&told["distancia_km"]) / number(&estimated["distancia_km"]);
        assert!((ratio - LONGER / 1.21).abs() < 0.01, "{dialect}: {ratio}");
        // The road is slower than the driver would be.
        let speed = number(&told["distancia_km"]) / number(&told["conducao_min"]) * 60.0;
        assert!((speed - 50.0).abs() < 0.5, "{dialect}: {speed} km/h");
        let (energy, before) = (&told["paradas"][0]["energia_kwh"], &estimated["paradas"][0]["energia_kwh"]);
        assert!(number(energy) > number(before), "a longer road takes more: {energy} {before}");
        // What was told is remembered.
        let asked = service.asked();
        assert!(asked > 0);
        assert_eq!(plan(&node).await["distancias"], "calculadas");
        assert_eq!(service.asked(), asked, "{dialect}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_slow_or_gone_or_mad_stops_nobody() {
    let service = Service::start().await;
    let node = node("osrm", &service.url, "road_answer_millis_max = 200").await;
    service.pause.store(NONSENSE, Ordering::SeqCst);
    let estimated = plan(&node).await;
    assert_eq!(estimated["distancias"], "estimadas");
    for trouble in [REFUSAL, 60_000] {
        service.pause.store(trouble, Ordering::SeqCst);
        assert_eq!(plan(&node).await["distancia_km"], estimated["distancia_km"], "as if it was not there");
    }
    let booking = json!({"requisicao_id": "p", "veiculo": {"veiculo_id": "carro-1"}, "origem": "Recife",
        "destino": "Maceió", "bateria_pct": 30, "modelo": "byd-dolphin", "saida": at(0)});
    let booked = node.send(Call::post("/viagens", &booking)).await.expect(201);
    assert_eq!(booked["roteiro"]["distancias"], "estimadas", "{booked}");
    // And when it is well again, it is believed again.
    service.pause.store(0, Ordering::SeqCst);
    assert_eq!(plan(&node).await["distancias"], "calculadas");

    let gone = self::node("valhalla", "http://127.0.0.1:1", "").await;
    assert_eq!(plan(&gone).await["distancias"], "estimadas");
    let crowded = self::node("osrm", &service.url, "road_places_max = 2").await;
    let asked = service.asked();
    assert_eq!(plan(&crowded).await["distancias"], "estimadas", "there are more places than that");
    assert_eq!(service.asked(), asked);
}

// Reads public data where it lies beside the project; it is no part of it.
#[test]
fn the_factors_are_those_of_real_roads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/osrm_legs_br_2km.geojson");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no ../shared/data/osrm_legs_br_2km.geojson to compare with");
        return;
    };
    let routes: Value = serde_json::from_str(&text).unwrap();
    let mut factors = Vec::new();
    for route in routes["features"].as_array().unwrap() {
        let points: Vec<Position> = route["geometry"]["coordinates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| Position { longitude: number(&point[0]), latitude: number(&point[1]) })
            .collect();
        let mut along = vec![0.0];
        for two in points.windows(2) {
            along.push(along.last().unwrap() + distance_km(two[0], two[1]).unwrap());
        }
        // The points are two kilometres apart: the road between them is a little longer.
        let scale = number(&route["properties"]["km"]) / along.last().unwrap();
        assert!((1.0..1.25).contains(&scale), "{scale}");
        // Sections as long as those between two stops.
        for from in (0..points.len()).step_by(5) {
            for to in (from + 1..points.len()).step_by(5) {
                let km = (along[to] - along[from]) * scale;
                if (60.0..400.0).contains(&km) {
                    factors.push(km / distance_km(points[from], points[to]).unwrap());
                }
            }
        }
    }
    let share = |most: f64| factors.iter().filter(|one| **one <= most).count() as f64 / factors.len() as f64;
    let mean = factors.iter().sum::<f64>() / factors.len() as f64;
    // What is kept in reserve is a tenth of the battery: a sixth of what a leg takes from it.
    let (usual, careful) = (StraightLine::CIRCUITY, StraightLine::CIRCUITY_CAREFUL);
    println!(
        "{} sections: mean {mean:.3}, {:.1} % within {careful}, {:.1} % with the reserve",
        factors.len(),
        share(careful) * 100.0,
        share(careful * 7.0 / 6.0) * 100.0
    );
    assert!((mean - usual).abs() < 0.03, "{mean}");
    assert!(share(careful) > 0.8 && share(careful * 7.0 / 6.0) > 0.93);
}
