//! What a driver's words mean: places, cars, times and companies.

use std::sync::Arc;
use std::time::Duration;

use recarga_atlas::cars::{self, Car, UnknownCar};
use recarga_atlas::cities::{self, City, NoPlace};
use recarga_reservation::{OperatorId, Plug, Timestamp};
use recarga_wire::journey::{CarBody, Cycle, JourneyBody};
use recarga_wire::{Problem, ProblemKind};

use super::country::Country;
use super::question::invalid;

/// Clocks of cars and of this company differ.
const PAST: Duration = Duration::from_secs(120);
/// Farther than any two places in Brazil by road.
const DISTANCE_KM_MAX: f64 = 6_000.0;

/// Where it begins, where it passes, and where it ends.
pub fn places(journey: &JourneyBody, country: &Country) -> Result<Vec<City>, Problem> {
    let mut places = vec![place(&journey.origem, "origem".to_owned(), country)?];
    for (number, via) in journey.via.iter().enumerate() {
        places.push(place(via, format!("via[{number}]"), country)?);
    }
    places.push(place(&journey.destino, "destino".to_owned(), country)?);
    for two in places.windows(2) {
        let km = recarga_planning::distance_km(two[0].position, two[1].position);
        if km.map_err(|error| invalid(&error))? > DISTANCE_KM_MAX {
            let detail = format!(
                "{} fica a mais de {DISTANCE_KM_MAX} km; confira o nome e o sinal das coordenadas",
                two[1].name
            );
            return Err(Problem::new(ProblemKind::InvalidField, detail).at("destino"));
        }
    }
    Ok(places)
}

/// With what.
pub fn car(journey: &JourneyBody) -> Result<Arc<Car>, Problem> {
    if let Some(own) = &journey.carro {
        return Ok(Arc::new(own_car(own)));
    }
    let found = cars::find(journey.modelo.as_deref().unwrap_or_default());
    found.map(|car| Arc::new(car.clone())).map_err(|UnknownCar { known }| {
        let detail = format!(
            "não conhecemos este modelo; use um de: {} (GET /modelos), ou descreva o seu em `carro`",
            known.join(", ")
        );
        Problem::new(ProblemKind::InvalidField, detail).at("modelo")
    })
}

/// When.
pub fn departure(journey: &JourneyBody, country: &Country, now: Timestamp) -> Result<Timestamp, Problem> {
    let at = journey.saida.unwrap_or(now);
    let invalid = |detail: String| Err(Problem::new(ProblemKind::InvalidField, detail).at("saida"));
    if at + PAST < now {
        return invalid(
            "a saída já passou; omita o campo para sair agora, ou confira o relógio e o fuso".into(),
        );
    }
    match country.known_until {
        Some(until) if at >= until => {
            let until = recarga_wire::instant::format(until);
            invalid(format!("os horários livres são conhecidos até {until}; escolha uma saída anterior"))
        }
        _ => Ok(at.max(now)),
    }
}

/// A car charges only by a plug that it has.
pub fn check_plug(car: &Car, plug: Option<Plug>) -> Result<(), Problem> {
    match plug {
        Some(plug) if !car.plugs.contains(&plug) => {
            let own = car.plugs.iter().map(|plug| plug.name()).collect::<Vec<_>>().join(", ");
            let detail = format!(
                "o carro {} não tem o plugue {}; omita o campo, ou use um de: {own}",
                car.name,
                plug.name()
            );
            Err(Problem::new(ProblemKind::WrongPlug, detail).at("veiculo.plugue"))
        }
        _ => Ok(()),
    }
}

/// Companies that are avoided or preferred are companies of the network: a typo must not be ignored.
pub fn check_companies(journey: &JourneyBody, country: &Country) -> Result<(), Problem> {
    let named =
        [("evitar_empresas", &journey.evitar_empresas), ("preferir_empresas", &journey.preferir_empresas)];
    for (field, companies) in named {
        let unknown = |one: &OperatorId| !country.companies().any(|known| known == one);
        let Some(at) = companies.iter().position(unknown) else { continue };
        let known = country.companies().map(OperatorId::as_str).collect::<Vec<_>>().join(", ");
        let operator = &companies[at];
        let detail = format!("a empresa `{operator}` não faz parte desta rede; use uma de: {known}");
        let problem = Problem::new(ProblemKind::UnknownOperator, detail);
        return Err(problem.at(format!("{field}[{at}]")).of_operator(operator));
    }
    Ok(())
}

fn place(text: &str, field: String, country: &Country) -> Result<City, Problem> {
    let error = match cities::find(text) {
        Ok(city) => return Ok(city),
        Err(error) => error,
    };
    if let Some(station) = country.find(text.trim()) {
        let point = &station.any().ponto;
        return Ok(City { name: point.nome.clone(), state: point.uf.clone(), position: station.position() });
    }
    let detail = match error {
        NoPlace::NotDegrees => "use latitude de -90 a 90 e longitude de -180 a 180, em graus".to_owned(),
        NoPlace::Ambiguous { choices } => format!("há mais de uma cidade com este nome; diga qual: {}", choices.join("; ")),
        NoPlace::Unknown { alike } if alike.is_empty() => {
            "não conhecemos esta cidade nem esta estação; use o nome de uma cidade maior, o id de uma estação, ou \
             `latitude,longitude` em graus"
                .to_owned()
        }
        NoPlace::Unknown { alike } => {
            format!(
                "não conhecemos esta cidade; seria {}? Também vale o id de uma estação, ou `latitude,longitude` em graus",
                alike.join(" ou ")
            )
        }
    };
    Err(Problem::new(ProblemKind::InvalidField, detail).at(field))
}

fn own_car(own: &CarBody) -> Car {
    Car {
        id: own.nome.clone(),
        name: own.nome.clone(),
        usable_kwh: own.bateria_kwh,
        dc_kw: own.potencia_cc_kw,
        ac_kw: own.potencia_ca_kw,
        plugs: own.plugues.clone(),
        range_km: own.autonomia_km,
        cycle: match own.ciclo {
            Cycle::Wltp => cars::Cycle::Wltp,
            Cycle::Pbev => cars::Cycle::Pbev,
        },
        mass_kg: own.massa_kg,
        drag_area_m2: own.area_arrasto_m2,
        curve: own.curva.clone(),
    }
}
