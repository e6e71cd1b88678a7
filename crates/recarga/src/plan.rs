//! `recarga plan`: where to charge on the way, asked of a company's node, or worked out from a file that has everything.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use hyper::Method;
use recarga_reservation::{OperatorId, Timestamp};
use recarga_wire::journey::{
    CarBody, Cycle, Distances, Itinerary, JourneyBody, PlaceView, PlansAnswer, Preference,
};
use recarga_wire::network::{OfferState, OfferView};
use recarga_wire::{Problem, decode};

use crate::client::Client;
use crate::runtime;

mod answer;
mod file;

/// A problem file that makes no sense.
const EXIT_MALFORMED: u8 = 2;

/// Find where to charge on a journey; nothing is reserved.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga plan --from Recife --to Salvador --car byd-dolphin-plus --battery 80%
  recarga plan --from 'Vitória, ES' --to -12.97,-38.50 --car volvo-ex30 --battery 60 --prefer cheapest --alternatives 2
  recarga plan --from Recife --to A-SSA-01 --car my-car.toml --battery 70 --reserve 15 --speed 80
  recarga plan --problem journey.json --json

A car of your own is a TOML file with usable_kwh, dc_kw, ac_kw, plugs, range_km, cycle and the rest (docs/planning.md).
The first three ask a running node (recarga demo, recarga serve), which knows what all companies have free. The last needs
no node: the file has stations, free windows and the car (docs/planning.md).

Exit status: 0 there is a plan, or the file's problem has none; 1 the node has none; 2 wrong arguments or a wrong file.")]
pub struct Arguments {
    /// Where to begin: a city, a station's id, or LATITUDE,LONGITUDE.
    #[arg(long, value_name = "PLACE", required_unless_present = "problem", allow_hyphen_values = true)]
    from: Option<String>,

    /// Where to go.
    #[arg(long, value_name = "PLACE", required_unless_present = "problem", allow_hyphen_values = true)]
    to: Option<String>,

    /// A place to pass; may be repeated.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    via: Vec<String>,

    /// A model of the catalogue, such as byd-dolphin, or a TOML file with a car of your own.
    #[arg(long, value_name = "MODEL|FILE", required_unless_present = "problem")]
    car: Option<String>,

    /// Charge at the start, in per cent.
    #[arg(long, value_name = "PERCENT", required_unless_present = "problem", allow_hyphen_values = true,
        value_parser = percent)]
    battery: Option<f64>,

    /// When to leave, RFC 3339; now if absent.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    departure: Option<Timestamp>,

    /// What counts most.
    #[arg(long, value_enum, default_value = "fastest")]
    prefer: Prefer,

    /// What shall be left at every stop and at the end, in per cent; 10 if absent.
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true, value_parser = percent)]
    reserve: Option<f64>,

    /// Steady speed in km/h; 90 if absent.
    #[arg(long, value_name = "KMH", allow_negative_numbers = true)]
    speed: Option<f64>,

    /// Outside, in °C; 27 if absent.
    #[arg(long, value_name = "CELSIUS", allow_hyphen_values = true)]
    temperature: Option<f64>,

    /// Most stops; 12 if absent.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    stops: Option<u8>,

    /// A company at which not to stop; may be repeated.
    #[arg(long, value_name = "COMPANY")]
    avoid: Vec<OperatorId>,

    /// A company at which rather to stop; may be repeated.
    #[arg(long = "like", value_name = "COMPANY")]
    liked: Vec<OperatorId>,

    /// How many other plans to show.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    alternatives: u8,

    /// The node to ask; any company knows what all have free.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8001", env = "RECARGA_NODE")]
    node: String,

    /// A driver's token, where the company asks for one.
    #[arg(long, env = "RECARGA_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Work out this problem instead of asking a node.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "via", "car", "battery", "departure", "reserve", "speed", "temperature", "stops", "avoid",
        "liked"])]
    problem: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Prefer {
    /// Arriving early.
    Fastest,
    /// Paying little.
    Cheapest,
    /// Stopping seldom.
    FewestStops,
}

/// Runs the command.
///
/// # Errors
/// The node cannot be reached, or does not answer as a node does.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Some(path) = &arguments.problem else { return runtime()?.block_on(ask(arguments)) };
    match file::solve(path) {
        Ok(answer) if arguments.json => say!("{}", serde_json::to_string(&answer)?),
        Ok(answer) => say_on!("{answer}"),
        Err(error) => {
            eprintln!("recarga: {}: {error:#}", path.display());
            return Ok(ExitCode::from(EXIT_MALFORMED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(arguments: Arguments) -> Result<ExitCode> {
    let (modelo, carro) = match car(arguments.car.unwrap_or_default()) {
        Ok(car) => car,
        Err(error) => {
            eprintln!("recarga: {error:#}");
            return Ok(ExitCode::from(EXIT_MALFORMED));
        }
    };
    let journey = JourneyBody {
        origem: arguments.from.unwrap_or_default(),
        destino: arguments.to.unwrap_or_default(),
        bateria_pct: arguments.battery.unwrap_or_default(),
        modelo,
        carro,
        saida: arguments.departure,
        via: arguments.via,
        preferencia: match arguments.prefer {
            Prefer::Fastest => Preference::MaisRapida,
            Prefer::Cheapest => Preference::MaisBarata,
            Prefer::FewestStops => Preference::MenosParadas,
        },
        reserva_pct: arguments.reserve,
        velocidade_kmh: arguments.speed,
        temperatura_c: arguments.temperature,
        paradas_max: arguments.stops,
        espera_max_min: None,
        alternativas: arguments.alternatives,
        evitar_empresas: arguments.avoid,
        preferir_empresas: arguments.liked,
    };
    let client = Client::new(&arguments.node, arguments.token)?;
    let answer = client.send(Method::POST, "/viagens/planejar", recarga_wire::encode(&journey)).await?;
    if answer.status != 200 {
        let problem: Problem = decode(&answer.body).context("the node's answer is not understood")?;
        eprintln!("recarga: {problem}");
        return Ok(ExitCode::FAILURE);
    }
    if arguments.json {
        say!("{}", String::from_utf8_lossy(&answer.body));
        return Ok(ExitCode::SUCCESS);
    }
    let plans: PlansAnswer = decode(&answer.body).context("the node's answer is not understood")?;
    for (number, plan) in plans.roteiros.iter().enumerate() {
        if number > 0 {
            say!("\nor:");
        }
        print(plan);
    }
    plans.ofertas.iter().filter_map(doubt).for_each(|doubt| say!("  {doubt}"));
    Ok(ExitCode::SUCCESS)
}

fn print(plan: &Itinerary) {
    let zone = |place: &PlaceView| recarga_atlas::zones::of(place.latitude, place.longitude);
    let (first, last) = (zone(&plan.origem), zone(&plan.destino));
    say!("{} to {} with {}\n", plan.origem.nome, plan.destino.nome, plan.modelo);
    say!("  {:11}  {:>5}  {:>10}  {:>5}  {:>7}  {:5}", "arrive", "km", "charge", "leave", "BRL", "where");
    say!("  {:11}  {:5}  {:10}  {:>5}", "", "", "", clock(plan.partida, &first));
    for stop in &plan.paradas {
        say!(
            "  {}  {:5.0}  {:>10}  {:>5}  {:7.2}  {} ({}), {} {}, {:.0} kW",
            day_and_clock(stop.chegada, &stop.fuso),
            stop.distancia_km,
            format!("{:.0} → {:.0} %", stop.chegada_pct, stop.saida_pct),
            clock(stop.saida, &stop.fuso),
            stop.preco,
            stop.nome,
            stop.cidade,
            stop.empresa,
            stop.ponto_id,
            stop.potencia_kw,
        );
    }
    let driven: f64 = plan.paradas.iter().map(|stop| stop.distancia_km).sum();
    say!(
        "  {}  {:5.0}  {:>8} %",
        day_and_clock(plan.chegada, &last),
        plan.distancia_km - driven,
        plan.chegada_pct
    );
    say!(
        "\n  {:.0} km{}, {} at the wheel, {} charging, {} waiting, BRL {:.2}",
        plan.distancia_km,
        if plan.distancias == Distances::Estimadas { " (estimated)" } else { "" },
        hours(plan.conducao_min),
        hours(plan.recarga_min),
        hours(plan.espera_min),
        price(plan),
    );
    let mut zones = vec![first];
    zones.extend(plan.paradas.iter().map(|stop| stop.fuso.clone()).chain([last]));
    zones.dedup();
    say!("  times are local: {}", zones.join(", then "));
    say!("  {}", map_link(plan));
}

// Of what is shown, to the centavo: the price of all before it was rounded can differ by some.
fn price(plan: &Itinerary) -> f64 {
    plan.paradas.iter().fold(0.0, |sum, stop| sum + (stop.preco * 100.0).round()) / 100.0
}

// Whether a plan rests on what a company no longer says.
fn doubt(offer: &OfferView) -> Option<String> {
    let company = &offer.empresa;
    match (offer.estado, offer.vista_em) {
        (OfferState::Atual, _) => None,
        (OfferState::Inacessivel, Some(seen)) => Some(format!(
            "{company} does not answer: planned with what it offered at {} UTC, and not to be booked until it does",
            day_and_clock(seen, "UTC")
        )),
        (OfferState::Inacessivel | OfferState::Desconhecida, _) => {
            Some(format!("{company} has not said what it offers: planned without it"))
        }
    }
}

fn hours(minutes: f64) -> String {
    let minutes = minutes.round().clamp(0.0, 1e6) as u32;
    if minutes < 60 { format!("{minutes} min") } else { format!("{} h {:02}", minutes / 60, minutes % 60) }
}

// The way with its stops on a map, as https://developers.google.com/maps/documentation/urls/get-started has it.
fn map_link(plan: &Itinerary) -> String {
    let place = |latitude: f64, longitude: f64| format!("{latitude:.5}%2C{longitude:.5}");
    let ends = [&plan.origem, &plan.destino].map(|end| place(end.latitude, end.longitude));
    let stops: Vec<String> = plan.paradas.iter().map(|stop| place(stop.latitude, stop.longitude)).collect();
    let [origin, destination] = ends;
    let way = if stops.is_empty() { String::new() } else { format!("&waypoints={}", stops.join("%7C")) };
    format!(
        "https://www.google.com/maps/dir/?api=1&travelmode=driving&origin={origin}&destination={destination}{way}"
    )
}

// A model of the catalogue, or a car of one's own from a file.
fn car(text: String) -> Result<(Option<String>, Option<CarBody>)> {
    if Path::new(&text).extension().is_none_or(|extension| extension != "toml") {
        return Ok((Some(text), None));
    }
    let file = std::fs::read_to_string(&text).with_context(|| format!("cannot read {text}"))?;
    let car = recarga_atlas::cars::read(&file).with_context(|| text.clone())?;
    let own = CarBody {
        nome: car.name,
        bateria_kwh: car.usable_kwh,
        potencia_cc_kw: car.dc_kw,
        potencia_ca_kw: car.ac_kw,
        plugues: car.plugs,
        autonomia_km: car.range_km,
        ciclo: match car.cycle {
            recarga_atlas::cars::Cycle::Wltp => Cycle::Wltp,
            recarga_atlas::cars::Cycle::Pbev => Cycle::Pbev,
        },
        massa_kg: car.mass_kg,
        area_arrasto_m2: car.drag_area_m2,
        curva: car.curve,
    };
    Ok((None, Some(own)))
}

// As calendars and clocks on the wall show it there.
fn day_and_clock(at: Timestamp, zone: &str) -> String {
    local(at, zone, "%d/%m %H:%M")
}

fn clock(at: Timestamp, zone: &str) -> String {
    local(at, zone, "%H:%M")
}

fn local(at: Timestamp, zone: &str, format: &str) -> String {
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.to_zoned(zone).strftime(format).to_string()
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end().parse::<f64>();
    number
        .ok()
        .filter(|number| (0.0..=100.0).contains(number))
        .ok_or_else(|| "write per cent from 0 to 100, as in 80%".to_owned())
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let instant = text.parse::<jiff::Timestamp>();
    let instant = instant.map_err(|_| "write an instant as in 2026-12-01T11:00:00Z".to_owned())?;
    Ok(Timestamp::from_millis(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_city_has_a_zone_that_is_known_here() {
        for city in recarga_atlas::cities::all() {
            let zone = recarga_atlas::zones::of_state(&city.state);
            assert!(jiff::tz::TimeZone::get(&zone).is_ok(), "{city}: {zone}");
        }
    }

    #[test]
    fn a_company_that_does_not_answer_is_named_with_what_it_last_said() {
        let company: OperatorId = "empresa-b".parse().unwrap();
        let seen = Timestamp::from_millis(1_796_121_660_000);
        let window = recarga_reservation::TimeWindow::new(seen, seen + std::time::Duration::from_secs(60));
        let offer = |is_reachable, is_known: bool| {
            let known = is_known.then(|| (seen, window.unwrap()));
            doubt(&OfferView::new(company.clone(), is_reachable, 1, 1, known))
        };
        assert_eq!(offer(true, true), None);
        let old = offer(false, true).unwrap();
        assert!(old.contains("empresa-b does not answer") && old.contains("01/12 10:41 UTC"), "{old}");
        assert!(offer(false, false).unwrap().contains("planned without it"));
    }
}
