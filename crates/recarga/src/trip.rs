//! `recarga trip`: book, look at, change and cancel trips from a terminal.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use recarga_node::clock::{Clock, SystemClock};
use recarga_reservation::{Plug, RequestId, Timestamp, TripId, VehicleId};
use recarga_wire::hold::Vehicle;
use recarga_wire::parse;
use recarga_wire::trip::{TripBody, TripStopBody};

use crate::client::Client;

mod ask;
mod show;
pub(crate) mod stop;

use ask::{Asked, Question};

/// How long an answer is asked for again.
const PATIENCE_DEFAULT: &str = "30s";

/// Book, look at, change and cancel trips.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga trip book --vehicle carro-1 --stop empresa-a/A-REC-01-2@+2h/40m --stop empresa-b/B-MCZ-01-1@+6h/40m
  recarga trip list --vehicle carro-1
  recarga trip cancel 5f0c0b1e7a3d4c28b6a1f0e2d3c4b5a6

Exit status: 0 confirmed or found, 1 refused or not found, 2 wrong arguments, 3 not known yet.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// The node to ask; any company can book at all of them.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8001",
        env = "RECARGA_NODE"
    )]
    node: String,

    /// A driver's token, where the company asks for one.
    #[arg(long, global = true, env = "RECARGA_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Print the node's answer as it is, JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Reserve all stops, or none.
    #[command(after_help = "\
Examples:
  recarga trip book --vehicle carro-1 --stop empresa-a/A-REC-01-3@+2h/40m
  recarga trip book --vehicle carro-1 --plug IEC_62196_T2_COMBO \\
      --stop empresa-a/A-REC-01-1@+1800h/40m \\
      --stop empresa-b/B-MCZ-01-1@+1804h..+1805h
  recarga trip book --vehicle carro-1 --request pedido-7 --stop empresa-c/C-AJU-01-1@+90m/30m

A stop is COMPANY/EVSE@START/DURATION or COMPANY/EVSE@START..END. An instant is +DURATION from now, or RFC 3339 with
its offset, where seconds may be left out: A-REC-01-1@2031-05-01T08:00-03:00/40m. A repeat with the same --request
never reserves twice.")]
    Book(Wish),
    /// Move a trip to other stops; if that is refused, the old ones stay.
    #[command(after_help = "\
Example:
  recarga trip change 5f0c0b1e7a3d4c28b6a1f0e2d3c4b5a6 --vehicle carro-1 --stop empresa-a/A-REC-01-4@+3h/40m")]
    Change {
        /// The trip.
        #[arg(value_name = "TRIP", value_parser = id::<TripId>)]
        trip: TripId,
        #[command(flatten)]
        wish: Wish,
    },
    /// Look at a trip.
    #[command(after_help = "Example:\n  recarga trip show 5f0c0b1e7a3d4c28b6a1f0e2d3c4b5a6")]
    Show {
        /// The trip.
        #[arg(value_name = "TRIP", value_parser = id::<TripId>)]
        trip: TripId,
    },
    /// Cancel a whole trip; may be repeated.
    #[command(after_help = "Example:\n  recarga trip cancel 5f0c0b1e7a3d4c28b6a1f0e2d3c4b5a6")]
    Cancel {
        /// The trip.
        #[arg(value_name = "TRIP", value_parser = id::<TripId>)]
        trip: TripId,
    },
    /// List the trips of a car that this company coordinates.
    #[command(after_help = "\
Examples:
  recarga trip list --vehicle carro-1
  recarga trip list --vehicle carro-1 --request pedido-7 --node http://127.0.0.1:8002")]
    List {
        /// The car.
        #[arg(long, short, value_parser = id::<VehicleId>)]
        vehicle: VehicleId,
        /// Only of this request.
        #[arg(long, value_parser = id::<RequestId>)]
        request: Option<RequestId>,
    },
}

/// What is wished for.
#[derive(clap::Args)]
struct Wish {
    /// The car.
    #[arg(long, short, value_parser = id::<VehicleId>)]
    vehicle: VehicleId,

    /// What the car can plug into, by OCPI's name; not checked if absent.
    #[arg(long, value_parser = id::<Plug>)]
    plug: Option<Plug>,

    /// The request's id; a fresh one if absent.
    #[arg(long, value_parser = id::<RequestId>)]
    request: Option<RequestId>,

    /// A stop: COMPANY/EVSE@START/DURATION or COMPANY/EVSE@START..END. In the order of the trip.
    #[arg(long, short, required = true, value_name = "STOP")]
    stop: Vec<String>,

    /// For how long to ask again while the answer is not known.
    #[arg(long, default_value = PATIENCE_DEFAULT, value_parser = crate::duration::read)]
    patience: Duration,
}

/// Asks the node.
///
/// # Errors
/// The node cannot be reached.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let client = Client::new(&arguments.node, arguments.token)?;
    let (question, patience) = match arguments.command {
        Command::Book(wish) => (wish.question(None), wish.patience),
        Command::Change { trip, wish } => (wish.question(Some(&trip)), wish.patience),
        Command::Show { trip } => (Ok(Question::trip(Method::GET, &trip)), Duration::ZERO),
        Command::Cancel { trip } => (Ok(Question::trip(Method::DELETE, &trip)), Duration::ZERO),
        Command::List { vehicle, request } => {
            (Ok(Question::list(&vehicle, request.as_ref())), Duration::ZERO)
        }
    };
    let question = match question {
        Ok(question) => question,
        Err(wrong) => {
            eprintln!("recarga: --stop: {wrong}");
            return Ok(ExitCode::from(2));
        }
    };
    let asked = crate::runtime()?.block_on(ask::ask(&client, &question, patience))?;
    Ok(show::print(&client, &question, &asked, arguments.json))
}

impl Wish {
    fn question(&self, changes: Option<&TripId>) -> Result<Question, String> {
        let clock = SystemClock::new();
        let request = match &self.request {
            Some(request) => request.clone(),
            None => fresh_request(clock.nonce()),
        };
        let now = clock.now().utc;
        let body = TripBody {
            requisicao_id: Some(request.clone()),
            veiculo: Vehicle { veiculo_id: self.vehicle.clone(), plugue: self.plug },
            paradas: self.stops(now)?,
        };
        Ok(Question::wish(body, &self.vehicle, &request, changes))
    }

    fn stops(&self, now: Timestamp) -> Result<Vec<TripStopBody>, String> {
        self.stop.iter().map(|text| stop::read(text, now)).collect()
    }
}

impl Asked {
    fn exit_code(&self) -> ExitCode {
        match self {
            Asked::Trips(said) if said.message.viagens.is_empty() => ExitCode::from(1),
            Asked::Trip(_) | Asked::Trips(_) => ExitCode::SUCCESS,
            Asked::Refused(_) => ExitCode::from(1),
            Asked::Unknown(_) => ExitCode::from(3),
        }
    }
}

fn fresh_request(nonce: u128) -> RequestId {
    #[expect(clippy::expect_used, reason = "hexadecimal digits are an identifier")]
    RequestId::new(&format!("{nonce:032x}")).expect("hexadecimal digits are an identifier")
}

fn id<T: recarga_wire::Text>(text: &str) -> Result<T, String> {
    parse(text, "").map_err(|problem| problem.detail.into_owned())
}
