//! `recarga plan`: where to charge on the way, asked of a company's node, or worked out from a file that has everything.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use hyper::Method;
use recarga_reservation::Timestamp;
use recarga_wire::journey::{Itinerary, ItineraryStop, JourneyBody, PlansAnswer, Preference};
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
  recarga plan --problem journey.json --json

The first two ask a running node (recarga demo, recarga serve), which knows what all companies have free. The last needs
no node: the file has stations, free windows and the car (docs/planning.md).

Exit status: 0 there is a plan, or the file's problem has none; 1 the node has none; 2 wrong arguments or a wrong file.")]
pub struct Arguments {
    /// Where to begin: a city, or LATITUDE,LONGITUDE.
    #[arg(long, value_name = "PLACE", required_unless_present = "problem", allow_hyphen_values = true)]
    from: Option<String>,

    /// Where to go.
    #[arg(long, value_name = "PLACE", required_unless_present = "problem", allow_hyphen_values = true)]
    to: Option<String>,

    /// A place to pass; may be repeated.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    via: Vec<String>,

    /// A model of the catalogue, such as byd-dolphin.
    #[arg(long, value_name = "MODEL", required_unless_present = "problem")]
    car: Option<String>,

    /// Charge at the start, in per cent.
    #[arg(long, value_name = "PERCENT", required_unless_present = "problem", value_parser = percent)]
    battery: Option<f64>,

    /// When to leave, RFC 3339; now if absent.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    departure: Option<Timestamp>,

    /// What counts most.
    #[arg(long, value_enum, default_value = "fastest")]
    prefer: Prefer,

    /// How many other plans to show.
    #[arg(long, value_name = "N", default_value_t = 0)]
    alternatives: u8,

    /// The node to ask; any company knows what all have free.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8001", env = "RECARGA_NODE")]
    node: String,

    /// A driver's token, where the company asks for one.
    #[arg(long, env = "RECARGA_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Work out this problem instead of asking a node.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "via", "car", "battery", "departure"])]
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
    let journey = JourneyBody {
        origem: arguments.from.unwrap_or_default(),
        destino: arguments.to.unwrap_or_default(),
        bateria_pct: arguments.battery.unwrap_or_default(),
        modelo: arguments.car.unwrap_or_default(),
        saida: arguments.departure,
        via: arguments.via,
        preferencia: match arguments.prefer {
            Prefer::Fastest => Preference::MaisRapida,
            Prefer::Cheapest => Preference::MaisBarata,
            Prefer::FewestStops => Preference::MenosParadas,
        },
        reserva_pct: None,
        velocidade_kmh: None,
        paradas_max: None,
        espera_max_min: None,
        alternativas: arguments.alternatives,
        evitar_empresas: Vec::new(),
        preferir_empresas: Vec::new(),
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
    Ok(ExitCode::SUCCESS)
}

fn print(plan: &Itinerary) {
    say!("{} to {}, {}", plan.origem.nome, plan.destino.nome, plan.modelo);
    let zone = |stop: Option<&ItineraryStop>| stop.map_or("UTC".to_owned(), |stop| stop.fuso.clone());
    let (first, last) = (zone(plan.paradas.first()), zone(plan.paradas.last()));
    say!("  {}  leave", local(plan.partida, &first));
    for stop in &plan.paradas {
        say!(
            "  {}  {} ({}), {} {}, {:.0} km: {:.0} % to {:.0} % until {}, BRL {:.2}",
            local(stop.chegada, &stop.fuso),
            stop.nome,
            stop.cidade,
            stop.empresa,
            stop.ponto_id,
            stop.distancia_km,
            stop.chegada_pct,
            stop.saida_pct,
            local(stop.saida, &stop.fuso),
            stop.preco,
        );
    }
    say!("  {}  arrive with {:.0} %", local(plan.chegada, &last), plan.chegada_pct);
    say!(
        "  {:.0} km, {:.0} min at the wheel, {:.0} charging, {:.0} waiting, BRL {:.2}",
        plan.distancia_km,
        plan.conducao_min,
        plan.recarga_min,
        plan.espera_min,
        plan.preco,
    );
}

// As clocks on the wall show it there.
fn local(at: Timestamp, zone: &str) -> String {
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.to_zoned(zone).strftime("%d/%m %H:%M").to_string()
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
