//! The demo network, and companies that answer cars.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod script;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use recarga_atlas::cars::{self, Car};
use recarga_atlas::cities::{self, City};
use recarga_atlas::consumption::Drive;
use recarga_planning::{Outlook, Position, StraightLine};
use recarga_reservation::{
    Connector, ConnectorId, Evse, EvseId, Now, OperatorId, Plug, Station, StationId, Tariff, TimeWindow,
    Timestamp, TripId, VehicleId,
};
use recarga_vehicle::Network;
use recarga_wire::journey::{Distances, Itinerary, ItineraryStop, JourneyBody, PlaceView};
use recarga_wire::trip::{StopState, TripStopAnswer};
use recarga_wire::vehicle::{AnswerState, VehicleAnswer, VehicleRequest, Wish, decode_request};
use recarga_wire::{Problem, ProblemKind};
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

static STATIONS: LazyLock<Vec<(OperatorId, Station)>> = LazyLock::new(demo_stations);

/// The network of `networks/demo`.
pub fn demo() -> Arc<Network> {
    Arc::new(Network::new(demo_stations()).unwrap())
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
        altitude_m: None,
        time_zone: location.time_zone,
        tariff: Tariff { price_kwh: 2.0, ..Tariff::default() },
        evses: location.evses.into_iter().map(evse).collect(),
    }
}

/// Real time `elapsed` after the start of a test.
pub fn now(elapsed: Duration) -> Now {
    Now { utc: Timestamp::from_millis(1_790_000_000_000) + elapsed, elapsed }
}

/// Reads a request as a company does.
pub fn read(car: &VehicleId, payload: &[u8]) -> VehicleRequest {
    decode_request(payload, car).unwrap()
}

/// Where the car of a request wants to go.
pub fn journey(request: &VehicleRequest) -> &JourneyBody {
    let Wish::Plan(wanted) = &request.wish else { panic!("not a journey: {request:?}") };
    &wanted.journey
}

/// All stops are reserved, at stations that have nothing else to do; or why there are none.
pub fn answered(request: &VehicleRequest, trip: &str) -> VehicleAnswer {
    Books::default().book(request, trip)
}

/// As [`answered`], of a trip that is possible.
pub fn confirmed(request: &VehicleRequest, trip: &str) -> VehicleAnswer {
    let answer = answered(request, trip);
    assert_eq!(answer.estado, AnswerState::Confirmada, "{request:?}: {answer:?}");
    answer
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
        servidor: request.operator.clone().unwrap_or_else(|| OperatorId::new("empresa-a").unwrap()),
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
    windows: Vec<(TripId, EvseId, TimeWindow)>,
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
        let answer = match &request.wish {
            Wish::Cancel(trip) => {
                books.windows.retain(|(other, ..)| other != trip);
                cancelled(&request)
            }
            _ => {
                books.trips += 1;
                let trip = format!("viagem-{}", books.trips);
                books.book(&request, &trip)
            }
        };
        books.answers.insert(request.request.as_str().to_owned(), answer.clone());
        answer
    }

    /// Windows that are reserved at this moment.
    pub fn reserved(&self) -> usize {
        self.booked.lock().unwrap().windows.len()
    }
}

impl Books {
    fn book(&mut self, request: &VehicleRequest, trip: &str) -> VehicleAnswer {
        let told = match self.plan(journey(request)) {
            Ok(told) if told.paradas.is_empty() => {
                return refused(request, Problem::of(ProblemKind::NothingToBook));
            }
            Ok(told) => told,
            Err(kind) => return refused(request, Problem::of(kind)),
        };
        let id = TripId::new(trip).unwrap();
        let reserved = |stop: &ItineraryStop| TripStopAnswer {
            parada: stop.parada,
            empresa: stop.empresa.clone(),
            ponto_id: stop.ponto_id.clone(),
            janela_inicio: stop.janela_inicio,
            janela_fim: stop.janela_fim,
            estado: StopState::Confirmada,
        };
        let window = |stop: &ItineraryStop| {
            let window = TimeWindow::new(stop.janela_inicio, stop.janela_fim).unwrap();
            (id.clone(), stop.ponto_id.clone(), window)
        };
        self.windows.extend(told.paradas.iter().map(window));
        VehicleAnswer {
            paradas: told.paradas.iter().map(reserved).collect(),
            roteiro: Some(told),
            ..answer(request, AnswerState::Confirmada, Some(trip))
        }
    }

    // With the planner's own hands, as a node does.
    fn plan(&self, journey: &JourneyBody) -> Result<Itinerary, ProblemKind> {
        let (from, to) = (cities::find(&journey.origem).unwrap(), cities::find(&journey.destino).unwrap());
        let (car, departure) =
            (cars::find(journey.modelo.as_ref().unwrap()).unwrap(), journey.saida.unwrap());
        let vehicle = car.vehicle(journey.reserva_pct.unwrap() / 100.0, None).unwrap();
        let place = |one: &Station| Position { latitude: one.latitude, longitude: one.longitude };
        let points =
            [from.position, to.position].into_iter().chain(STATIONS.iter().map(|(_, one)| place(one)));
        let speed_kmh = journey.velocidade_kmh.unwrap();
        let kwh_per_km = car.kwh_per_km(Drive { speed_kmh, ..Drive::default() });
        let legs = StraightLine::new(points, speed_kmh, kwh_per_km).unwrap();
        let problem = recarga_planning::Problem {
            charge_kwh: journey.bateria_pct / 100.0 * vehicle.usable_kwh(),
            arrive_kwh: vehicle.reserve_kwh(),
            departure,
            vias: 0,
            stations: self.free(car, departure),
            settings: recarga_planning::Settings { buffer_minutes: 10.0, ..Default::default() },
            vehicle,
        };
        let outlook = Outlook::new(&problem, &legs).unwrap();
        let plan = outlook.plan(&problem, &legs, &|| false).map_err(|_| ProblemKind::NoPlan)?;
        Ok(told(car, (from, to), &plan))
    }

    fn free(&self, car: &Car, from: Timestamp) -> Vec<recarga_planning::Station> {
        let week = TimeWindow::new(from, from + Duration::from_secs(7 * 24 * 3600)).unwrap();
        let connector = |one: &Connector| recarga_planning::Connector {
            plug: one.plug,
            kw: car.kw_at(one.plug, one.power_kw),
            tariff: recarga_planning::Tariff { per_kwh: 2.0, ..Default::default() },
            measured: None,
        };
        let evse = |evse: &Evse| recarga_planning::Evse {
            connectors: evse.connectors.iter().map(connector).collect(),
            free: vec![week],
        };
        let station = |(_, station): &(OperatorId, Station)| recarga_planning::Station {
            utc_offset_minutes: -180,
            penalty_minutes: 0.0,
            evses: station.evses.iter().map(evse).collect(),
        };
        let mut stations: Vec<_> = STATIONS.iter().map(station).collect();
        for (_, taken, window) in &self.windows {
            for ((_, station), free) in STATIONS.iter().zip(&mut stations) {
                if let Some(at) = station.evses.iter().position(|evse| evse.id == *taken) {
                    free.take(at, *window);
                }
            }
        }
        stations
    }
}

fn told(car: &Car, (from, to): (City, City), plan: &recarga_planning::Itinerary) -> Itinerary {
    let percent = |kwh: f64| kwh / car.usable_kwh * 100.0;
    let stop = |(number, stop): (u16, &recarga_planning::Stop)| {
        let (operator, station) = &STATIONS[stop.station];
        let connector = &station.evses[stop.evse].connectors[stop.connector];
        ItineraryStop {
            parada: number,
            empresa: operator.clone(),
            estacao_id: station.id.clone(),
            nome: station.name.clone(),
            cidade: station.city.clone(),
            uf: station.state.clone(),
            latitude: station.latitude,
            longitude: station.longitude,
            fuso: station.time_zone.clone(),
            ponto_id: station.evses[stop.evse].id.clone(),
            conector_id: connector.id.clone(),
            potencia_kw: car.kw_at(connector.plug, connector.power_kw),
            distancia_km: stop.km,
            chegada: stop.arrive,
            janela_inicio: stop.window.start(),
            janela_fim: stop.window.end(),
            saida: stop.end,
            chegada_pct: percent(stop.arrive_kwh),
            saida_pct: percent(stop.leave_kwh),
            energia_kwh: stop.leave_kwh - stop.arrive_kwh,
            preco: stop.price,
            alternativas: vec![],
        }
    };
    let view = |city: &City| PlaceView {
        nome: city.to_string(),
        latitude: city.position.latitude,
        longitude: city.position.longitude,
    };
    Itinerary {
        origem: view(&from),
        destino: view(&to),
        modelo: car.id.clone(),
        distancias: Distances::Estimadas,
        partida: plan.departure,
        chegada: plan.arrival,
        distancia_km: plan.km,
        conducao_min: plan.driving_minutes,
        recarga_min: plan.charging_minutes,
        espera_min: plan.waiting_minutes,
        preco: plan.price,
        chegada_pct: percent(plan.arrive_kwh),
        paradas: (0..).zip(&plan.stops).map(stop).collect(),
    }
}
