//! What cars hear: the answers to their requests, and the stations that a company says it has.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use recarga_node::config::Config;
use recarga_reservation::{Now, OperatorId, Station, VehicleId};
use recarga_vehicle::car::{Car, Output};
use recarga_vehicle::{Network, Settings};
use recarga_wire::availability::{PointsAnswer, into_stations};
use recarga_wire::topic::Topic;
use recarga_wire::vehicle::{VehicleAnswer, VehicleRequest, VehicleStatus, Wish, decode_request};
use recarga_wire::{Message, decode, encode, instant};
use serde_json::{Value, json};

use super::properties::message;
use crate::node::BEGINNING;
use crate::{Form, Target, Verdict};

/// A car's answers and stations.
pub const TARGETS: &[Target] = &[
    Target { name: "car-answers", form: Form::Json, read: car_answers },
    Target { name: "car-stations", form: Form::Json, read: car_stations },
];

// In the corpus, for what only the car knows: the id of its request, and the stops that it asks for.
const ASKED: &str = "asked";
const ANSWERS_MAX: usize = 8;
const WAKES_MAX: usize = 60;

// A list of answers that come one after the other, or else one answer as it is.
fn car_answers(bytes: &[u8]) -> Result<Verdict, String> {
    static NETWORK: OnceLock<Result<Arc<Network>, String>> = OnceLock::new();
    let network = NETWORK.get_or_init(demo).clone()?;
    let mut life = Life::begin(network, 7)?;
    life.live()?;
    let list = serde_json::from_slice::<Vec<Value>>(bytes).ok();
    let answers = match list {
        Some(list) => list.iter().take(ANSWERS_MAX).map(|answer| answer.to_string().into_bytes()).collect(),
        None => vec![bytes.to_vec()],
    };
    let mut verdict = Verdict::Refused;
    for answer in answers {
        // As the car's task reads it.
        if let Ok(answer) = serde_json::from_slice::<VehicleAnswer>(&life.filled_in(answer)) {
            verdict = Verdict::Accepted;
            life.hear(answer)?;
        }
        life.live()?;
    }
    Ok(verdict)
}

fn car_stations(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(answer) = message::<PointsAnswer>(bytes)? else { return Ok(Verdict::Refused) };
    let operator = answer.empresa.clone();
    let stations = into_stations(answer.pontos).into_iter().map(|station| (operator.clone(), station));
    let Ok(network) = Network::new(stations.collect()) else { return Ok(Verdict::Refused) };
    let network = Arc::new(network);
    for seed in 0..3 {
        Life::begin(network.clone(), seed)?.live()?;
    }
    Ok(Verdict::Accepted)
}

fn demo() -> Result<Arc<Network>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../networks/demo");
    let mut stations: Vec<(OperatorId, Station)> = Vec::new();
    for name in ["empresa-a.toml", "empresa-b.toml", "empresa-c.toml"] {
        let text = std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())?;
        let config = Config::parse(&text, name, &folder, &|_| None).map_err(|error| error.to_string())?;
        stations.extend(config.stations.into_iter().map(|station| (config.operator.clone(), station)));
    }
    Network::new(stations).map(Arc::new).map_err(|error| error.to_string())
}

/// A car without a network and without waiting.
struct Life {
    car: Car,
    elapsed: Duration,
    asked: Option<VehicleRequest>,
}

impl Life {
    fn begin(network: Arc<Network>, seed: u64) -> Result<Self, String> {
        let id = VehicleId::new("carro-1").map_err(|error| error.to_string())?;
        let now = Now { utc: BEGINNING, elapsed: Duration::ZERO };
        let car = Car::new(id, network, Arc::new(Settings::default()), seed, now);
        Ok(Self { car, elapsed: Duration::ZERO, asked: None })
    }

    fn now(&self) -> Now {
        Now { utc: BEGINNING + self.elapsed, elapsed: self.elapsed }
    }

    fn hear(&mut self, answer: VehicleAnswer) -> Result<(), String> {
        let outputs = self.car.answered(answer, self.now());
        self.take(outputs)
    }

    // Wakes it whenever it wants, for a while.
    fn live(&mut self) -> Result<(), String> {
        let mut at_once = 0;
        for _ in 0..WAKES_MAX {
            let Some(wake) = self.car.wake() else { return Ok(()) };
            at_once = if wake <= self.elapsed { at_once + 1 } else { 0 };
            if at_once > WAKES_MAX / 2 {
                return Err(format!("it never sleeps: {:?}", self.car));
            }
            self.elapsed = self.elapsed.max(wake);
            let outputs = self.car.tick(self.now());
            self.take(outputs)?;
        }
        Ok(())
    }

    // Whatever it publishes can be read by those for whom it is meant.
    fn take(&mut self, outputs: Vec<Output>) -> Result<(), String> {
        for output in outputs {
            let Output::Publish(publication) = output else { continue };
            match publication.topic {
                Topic::VehicleRequest(id) => {
                    let request = decode_request(&publication.payload, &id);
                    self.asked = Some(request.map_err(|problem| {
                        let said = String::from_utf8_lossy(&publication.payload);
                        format!("a car says what nobody reads: {problem}: {said}")
                    })?);
                }
                Topic::VehicleStatus(id) => {
                    let status: VehicleStatus = said(&publication.payload)?;
                    status.check_topic(&id).map_err(|problem| problem.to_string())?;
                }
                topic => return Err(format!("a car publishes to {topic}")),
            }
        }
        Ok(())
    }

    fn filled_in(&self, answer: Vec<u8>) -> Vec<u8> {
        let (Ok(mut value), Some(asked)) = (serde_json::from_slice::<Value>(&answer), &self.asked) else {
            return answer;
        };
        if value["requisicao_id"] == ASKED {
            value["requisicao_id"] = asked.request.as_str().into();
        }
        if value["paradas"] == ASKED {
            value["paradas"] = stops(asked);
        }
        if value["roteiro"] == ASKED {
            value["roteiro"] = itinerary(asked);
        }
        value.to_string().into_bytes()
    }
}

struct TestStop {
    number: usize,
    operator: &'static str,
    evse: &'static str,
    degrees: (f64, f64),
    window: (String, String),
}

// Two stops, some hours after the car leaves; the second leads nowhere near its destination.
fn test_stops(asked: &VehicleRequest) -> Vec<TestStop> {
    const STOPS: [(&str, &str, f64, f64); 2] =
        [("empresa-b", "B-MCZ-01-1", -9.6, -35.7), ("empresa-c", "C-AJU-01-1", -10.9, -37.1)];
    let Wish::Plan(journey) = &asked.wish else { return vec![] };
    let Some(departs) = journey.journey.saida else { return vec![] };
    let hours = |count: usize| instant::format(departs + Duration::from_secs(count as u64 * 3600));
    let stop = |(number, (operator, evse, latitude, longitude))| TestStop {
        number,
        operator,
        evse,
        degrees: (latitude, longitude),
        window: (hours(4 * number + 3), hours(4 * number + 4)),
    };
    STOPS.into_iter().enumerate().map(stop).collect()
}

fn stops(asked: &VehicleRequest) -> Value {
    let stop = |stop: TestStop| {
        json!({"parada": stop.number, "empresa": stop.operator, "ponto_id": stop.evse,
            "janela_inicio": stop.window.0, "janela_fim": stop.window.1, "estado": "confirmada"})
    };
    test_stops(asked).into_iter().map(stop).collect()
}

fn itinerary(asked: &VehicleRequest) -> Value {
    let Wish::Plan(journey) = &asked.wish else { return Value::Null };
    let place = |name: &str| json!({"nome": name, "latitude": -8.0, "longitude": -35.0});
    let stop = |stop: TestStop| {
        json!({"parada": stop.number, "empresa": stop.operator, "estacao_id": "x", "nome": "x", "cidade": "y",
            "uf": "AL", "latitude": stop.degrees.0, "longitude": stop.degrees.1, "fuso": "America/Maceio",
            "ponto_id": stop.evse, "conector_id": "1", "potencia_kw": 60.0, "distancia_km": 200.0,
            "chegada": stop.window.0, "janela_inicio": stop.window.0, "janela_fim": stop.window.1,
            "saida": stop.window.1, "chegada_pct": 20.0, "saida_pct": 80.0, "energia_kwh": 30.0, "preco": 60.0})
    };
    let stops: Value = test_stops(asked).into_iter().map(stop).collect();
    let departs = journey.journey.saida.map(instant::format);
    json!({"origem": place("a"), "destino": place("b"), "modelo": "byd-dolphin", "partida": departs,
        "chegada": departs, "distancia_km": 500.0, "conducao_min": 300.0, "recarga_min": 60.0, "espera_min": 0.0,
        "preco": 120.0, "chegada_pct": 15.0, "paradas": stops})
}

fn said<T: Message + serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    let read: T = decode(payload).map_err(|problem| {
        format!("a car says what nobody reads: {problem}: {}", String::from_utf8_lossy(payload))
    })?;
    if encode(&read).is_empty() { Err("nothing is said".to_owned()) } else { Ok(read) }
}
