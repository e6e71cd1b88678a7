//! `recarga certs`: an authority and certificates, for tests and small federations.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use recarga_node::clock::{Clock, SystemClock};
use recarga_reservation::VehicleId;

use crate::files::{write_secret, write_whole};

const AUTHORITY: &str = "authority";
const DAYS_MAX: u32 = 36_500;
/// Clocks differ: what is made now is good a little earlier.
const EARLIER_SECONDS: i64 = 3600;

/// Make an authority and certificates for TLS: of companies, brokers and cars.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga certs init --name 'Recarga Brasil' --dir certs       authority.pem and authority.key
  recarga certs issue empresa-a --host 10.0.0.1 --host a.example --dir certs
                                                               empresa-a.pem and empresa-a.key
  recarga certs issue empresa-a --host 10.0.0.1 --dir certs --force
                                                               a fresh one in its place: nodes take it over
  recarga certs issue broker --host broker.example --dir certs
                                                               an MQTT broker's
  recarga certs car carro-0001 carro-0002 --dir certs          cars', to log in at the broker

In a company's configuration:
  [tls]
  certificate = \"certs/empresa-a.pem\"
  key         = \"certs/empresa-a.key\"
  authorities = \"certs/authority.pem\"

The certificate is in the company's name (a DNS name that is its id) and in those of its hosts. A car's is in its
name, too, but nobody can serve with it: it opens what the broker lets a car of this name do. Whoever has
authority.key can make one in any name: keep it away from the nodes. An authority that a federation has already does
as well, if it puts the company's id among the names.

Exit status: 0 made, 1 not, 2 wrong arguments.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make an authority.
    #[command(after_help = "\
Examples:
  recarga certs init --name 'Recarga Brasil' --dir certs
  recarga certs init --name 'Recarga Brasil' --days 1825 --dir certs")]
    Init {
        /// What it is called.
        #[arg(long, default_value = "Recarga")]
        name: String,
        /// How long it is good.
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
        days: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Make a certificate and its key.
    #[command(after_help = "\
Examples:
  recarga certs issue empresa-a --host 10.0.0.1 --host a.example --dir certs
  recarga certs issue empresa-a --host 10.0.0.1 --dir certs --force    a fresh one in its place: nodes take it over
  recarga certs issue broker --host broker.example --dir certs         an MQTT broker's
  recarga certs issue database --host db.example --dir certs           PostgreSQL's

`recarga certs init` makes the authority that signs it, once.")]
    Issue {
        /// Whose: a company's id, or a broker's name.
        name: String,
        /// Where it is found, an address or a name; can be given more than once.
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        #[command(flatten)]
        making: Making,
    },
    /// Make certificates of cars and their keys.
    #[command(after_help = "\
Examples:
  recarga certs car carro-0001 carro-0002 --dir certs
  recarga certs car carro-0001 --days 90 --dir certs --force           a fresh one in its place")]
    Car {
        /// Whose.
        #[arg(required = true, value_name = "CAR", value_parser = |text: &str| VehicleId::new(text))]
        cars: Vec<VehicleId>,
        #[command(flatten)]
        making: Making,
    },
}

#[derive(clap::Args)]
struct Making {
    /// How long it is good.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Place {
    /// The folder.
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    dir: PathBuf,
}

/// Makes one thing.
///
/// # Errors
/// It cannot be made.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Init { name, days, place } => init(&name, days, &place.dir)?,
        Command::Issue { name, host, making } => {
            let names = std::iter::once(&name).chain(&host);
            let names = names.map(|name| alternative(name)).collect::<Result<_>>()?;
            let purposes = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            issue(&name, names, purposes, &making)?;
        }
        // Without a DNS name, and not to serve with: whatever a car is called, to nodes it is no company and to cars no broker.
        Command::Car { cars, making } => {
            for car in &cars {
                issue(car.as_str(), vec![], vec![ExtendedKeyUsagePurpose::ClientAuth], &making)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn init(name: &str, days: u32, folder: &Path) -> Result<()> {
    let mut params = for_days(days)?;
    params.distinguished_name = called(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.self_signed(&key).context("cannot make a certificate")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write_secret(&folder.join(format!("{AUTHORITY}.key")), &key.serialize_pem())?;
    let file = folder.join(format!("{AUTHORITY}.pem"));
    write_whole(&file, certificate.pem().as_bytes())?;
    say!("{} is made: every company's tls.authorities", file.display());
    Ok(())
}

fn issue(
    name: &str,
    names: Vec<SanType>,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    making: &Making,
) -> Result<()> {
    let Making { days, force, place: Place { dir: folder } } = making;
    ensure!(name != AUTHORITY, "\"{AUTHORITY}\" is the authority itself; choose another name");
    let (file, key_file) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    ensure!(
        *force || !(file.exists() || key_file.exists()),
        "{} is there already; --force replaces it",
        file.display()
    );
    let authority = folder.join(format!("{AUTHORITY}.pem"));
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; `recarga certs init` makes it", path.display()))
    };
    let authority_key = KeyPair::from_pem(&read(&folder.join(format!("{AUTHORITY}.key")))?)?;
    let issuer = Issuer::from_ca_cert_pem(&read(&authority)?, authority_key)
        .with_context(|| format!("{} is no authority's certificate", authority.display()))?;

    let mut params = for_days(*days)?;
    params.distinguished_name = called(name);
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes;
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.signed_by(&key, &issuer).context("cannot make the certificate")?;
    if *force {
        let _ = std::fs::remove_file(&key_file);
    }
    write_secret(&key_file, &key.serialize_pem())?;
    write_whole(&file, certificate.pem().as_bytes())?;
    say!("{} and {} are made, good for {days} days", file.display(), key_file.display());
    Ok(())
}

fn for_days(days: u32) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    let now = SystemClock::new().now().utc.as_millis() / 1000;
    let at = |seconds: i64| {
        time::OffsetDateTime::from_unix_timestamp(seconds).context("that is too far ahead; use fewer --days")
    };
    params.not_before = at(now - EARLIER_SECONDS)?;
    params.not_after = at(now + i64::from(days) * 86_400)?;
    Ok(params)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn alternative(name: &str) -> Result<SanType> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().with_context(|| {
            format!("\"{name}\" is no name and no address; use letters, digits, . and -")
        })?),
    })
}
