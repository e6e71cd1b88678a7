//! The demo network, and companies that answer cars.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod script;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recarga_reservation::{
    Connector, ConnectorId, Evse, EvseId, Now, OperatorId, Plug, Station, StationId, Tariff, TimeWindow,
    Timestamp, TripId, VehicleId,
};
use recarga_vehicle::Network;
use recarga_wire::trip::{StopState, TripStopAnswer};
use recarga_wire::vehicle::{AnswerState, VehicleAnswer, VehicleRequest, VehicleRequestBody, Wish};
use recarga_wire::{Problem, ProblemKind, decode};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    operator: Operator,
    locations: Vec<Location>,
}

#[derive(Deserialize)]
struct Operator {
    id: String,
}

#[derive(Deserialize)]
struct Location {
    id: String,
    name: String,
    city: String,
    state: String,
    latitude: f64,
    longitude: f64,
    time_zone: String,
    evses: Vec<EvseTable>,
}

#[derive(Deserialize)]
struct EvseTable {
    id: String,
    connectors: Vec<ConnectorTable>,
}

#[derive(Deserialize)]
struct ConnectorTable {
    id: String,
    plug: String,
    power_kw: f64,
}

/// The stations of `networks/demo`.
pub fn demo_stations() -> Vec<(OperatorId, Station)> {
    let files = ["empresa-a.toml", "empresa-b.toml", "empresa-c.toml"];
    files
        .iter()
        .flat_map(|file| {
            let path = format!("{}/../../networks/demo/{file}", env!("CARGO_MANIFEST_DIR"));
            let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let operator = OperatorId::new(&file.operator.id).unwrap();
            file.locations.into_iter().map(move |location| (operator.clone(), station(location)))
        })
        .collect()
}

/// The network of `networks/demo`.
pub fn demo() -> Arc<Network> {
    Arc::new(Network::new(demo_stations()).unwrap())
}

/// A station with one EVSE for CCS2 and one for Type 2, at a place.
pub fn small_station(id: &str, city: &str, latitude: f64, longitude: f64) -> Station {
    let evse = |plug, power_kw, number: u8| Evse {
        id: EvseId::new(&format!("{id}-{number}")).unwrap(),
        connectors: vec![Connector { id: ConnectorId::new("1").unwrap(), plug, power_kw }],
    };
    Station {
        id: StationId::new(id).unwrap(),
        name: id.to_owned(),
        city: city.to_owned(),
        state: "BA".to_owned(),
        latitude,
        longitude,
        time_zone: "America/Bahia".to_owned(),
        tariff: Tariff { price_kwh: 2.0, activation_fee: 0.0 },
        evses: vec![evse(Plug::CCS2, 60.0, 1), evse(Plug::TYPE2, 22.0, 2), evse(Plug::CHADEMO, 50.0, 3)],
    }
}

fn station(location: Location) -> Station {
    let connector = |one: ConnectorTable| Connector {
        id: ConnectorId::new(&one.id).unwrap(),
        plug: Plug::from_name(&one.plug).unwrap(),
        power_kw: one.power_kw,
    };
    let evse = |one: EvseTable| Evse {
        id: EvseId::new(&one.id).unwrap(),
        connectors: one.connectors.into_iter().map(connector).collect(),
    };
    Station {
        id: StationId::new(&location.id).unwrap(),
        name: location.name,
        city: location.city,
        state: location.state,
        latitude: location.latitude,
        longitude: location.longitude,
        time_zone: location.time_zone,
        tariff: Tariff { price_kwh: 2.0, activation_fee: 0.0 },
        evses: location.evses.into_iter().map(evse).collect(),
    }
}

/// Real time `elapsed` after the start of a test.
pub fn now(elapsed: Duration) -> Now {
    Now { utc: Timestamp::from_millis(1_790_000_000_000) + elapsed, elapsed }
}

/// Reads a request as a company does.
pub fn read(car: &VehicleId, payload: &[u8]) -> VehicleRequest {
    decode::<VehicleRequestBody>(payload).unwrap().into_request(car).unwrap()
}

/// All stops are reserved.
pub fn confirmed(request: &VehicleRequest, trip: &str) -> VehicleAnswer {
    let Wish::Book(wanted) = &request.wish else { panic!("not a trip: {request:?}") };
    let stops = wanted.stops().iter().map(|stop| TripStopAnswer {
        parada: stop.stop.number,
        empresa: stop.operator.clone(),
        ponto_id: stop.stop.evse.clone(),
        janela_inicio: stop.stop.window.start(),
        janela_fim: stop.stop.window.end(),
        estado: StopState::Confirmada,
    });
    VehicleAnswer { paradas: stops.collect(), ..answer(request, AnswerState::Confirmada, Some(trip)) }
}

/// The whole trip is cancelled.
pub fn cancelled(request: &VehicleRequest) -> VehicleAnswer {
    let Wish::Cancel(trip) = &request.wish else { panic!("not a cancellation: {request:?}") };
    answer(request, AnswerState::Cancelada, Some(trip.as_str()))
}

/// Nothing is reserved.
pub fn refused(request: &VehicleRequest, problem: Problem) -> VehicleAnswer {
    VehicleAnswer { motivo: Some(problem), ..answer(request, AnswerState::Recusada, None) }
}

fn answer(request: &VehicleRequest, estado: AnswerState, trip: Option<&str>) -> VehicleAnswer {
    VehicleAnswer {
        requisicao_id: Some(request.request.clone()),
        veiculo_id: request.vehicle.clone(),
        servidor: request.coordinator().cloned().unwrap(),
        estado,
        viagem_id: trip.map(|trip| TripId::new(trip).unwrap()),
        motivo: None,
        paradas: vec![],
        roteiro: None,
    }
}

/// All companies in one, honest: no window twice, the same answer to the same request.
#[derive(Default)]
pub struct Companies {
    booked: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    answers: HashMap<String, VehicleAnswer>,
    windows: HashMap<(OperatorId, EvseId), Vec<(TripId, TimeWindow)>>,
    trips: u32,
}

impl Companies {
    /// Decides, or repeats what was decided.
    pub fn answer(&self, car: &VehicleId, payload: &[u8]) -> VehicleAnswer {
        let request = read(car, payload);
        let mut books = self.booked.lock().unwrap();
        if let Some(answer) = books.answers.get(request.request.as_str()) {
            return answer.clone();
        }
        let answer = books.decide(&request);
        books.answers.insert(request.request.as_str().to_owned(), answer.clone());
        answer
    }

    /// Windows that are reserved at this moment.
    pub fn reserved(&self) -> usize {
        self.booked.lock().unwrap().windows.values().map(Vec::len).sum()
    }
}

impl Books {
    fn decide(&mut self, request: &VehicleRequest) -> VehicleAnswer {
        match &request.wish {
            Wish::Cancel(trip) => {
                self.windows.values_mut().for_each(|all| all.retain(|(other, _)| other != trip));
                cancelled(request)
            }
            Wish::Plan(journey) => panic!("these cars name their stops: {journey:?}"),
            Wish::Book(wanted) => {
                for stop in wanted.stops() {
                    let key = (stop.operator.clone(), stop.stop.evse.clone());
                    let taken = self.windows.entry(key).or_default();
                    if taken.iter().any(|(_, window)| window.overlaps(stop.stop.window)) {
                        let mut problem = Problem::of(ProblemKind::Booked).at_stop(stop.stop.number);
                        problem.free = free(taken, stop.stop.window).into();
                        return refused(request, problem);
                    }
                }
                self.trips += 1;
                let trip = format!("viagem-{}", self.trips);
                for stop in wanted.stops() {
                    let key = (stop.operator.clone(), stop.stop.evse.clone());
                    let window = (TripId::new(&trip).unwrap(), stop.stop.window);
                    self.windows.entry(key).or_default().push(window);
                }
                confirmed(request, &trip)
            }
        }
    }
}

// The gap after the reservations that are in the way.
fn free(taken: &[(TripId, TimeWindow)], wanted: TimeWindow) -> Vec<TimeWindow> {
    let mut windows: Vec<TimeWindow> = taken.iter().map(|(_, window)| *window).collect();
    windows.sort_unstable();
    let far = wanted.start() + Duration::from_secs(48 * 3600);
    let mut from = wanted.start();
    let mut gaps = vec![];
    for window in windows.into_iter().filter(|window| window.end() > wanted.start()) {
        gaps.extend(TimeWindow::new(from, window.start()));
        from = from.max(window.end());
    }
    gaps.extend(TimeWindow::new(from, far));
    gaps.retain(|gap| gap.duration() >= wanted.duration());
    gaps.truncate(3);
    gaps
}
