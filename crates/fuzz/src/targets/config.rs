//! What operators write: a company's file and the files that it names.

use std::path::Path;

use recarga_node::config::{Config, ConfigError};
use recarga_reservation::Station;
use tempfile::TempDir;

use crate::{Form, Target, Verdict};

pub const TARGETS: &[Target] = &[
    Target { name: "company-config", form: Form::Lines, read: company_config },
    Target { name: "environment", form: Form::Text, read: environment },
    Target { name: "locations-toml", form: Form::Lines, read: locations_toml },
    Target { name: "locations-ocpi", form: Form::Json, read: locations_ocpi },
];

const COMPANY: &str = r#"[operator]
id = "empresa-a"
name = "Empresa A"
listen = "127.0.0.1:0"
data_dir = "unused"
"#;

fn company_config(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    // Files that a mutated text names are looked for where there are none.
    check(Config::parse(text, "empresa.toml", Path::new("/nonexistent"), &|_| None))
}

// The value of a variable stands for a token, whatever is in it.
fn environment(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(value) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let text = format!("{COMPANY}operator_token = \"${{TOKEN}}\"\n");
    let config = Config::parse(&text, "empresa.toml", Path::new("/nonexistent"), &|_| Some(value.to_owned()));
    if let Ok(config) = &config
        && config.operator_tokens.first().is_none_or(|token| token.expose() != value)
    {
        return Err("the token is not the variable's value".to_owned());
    }
    check(config)
}

fn locations_toml(bytes: &[u8]) -> Result<Verdict, String> {
    in_a_file("locations.toml", bytes)
}

fn locations_ocpi(bytes: &[u8]) -> Result<Verdict, String> {
    in_a_file("locations.json", bytes)
}

fn in_a_file(name: &str, bytes: &[u8]) -> Result<Verdict, String> {
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join(name), bytes).map_err(|error| error.to_string())?;
    let tariff = "default_tariff = { price_kwh = 2.0, activation_fee = 0.0 }";
    let text = format!("location_files = [\"{name}\"]\n{tariff}\n{COMPANY}");
    check(Config::parse(&text, "empresa.toml", folder.path(), &|_| None))
}

fn check(config: Result<Config, ConfigError>) -> Result<Verdict, String> {
    match config {
        Ok(config) => {
            config.warnings();
            config.stations.iter().try_for_each(station)?;
            Ok(Verdict::Accepted)
        }
        Err(error) => {
            let reason = error.to_string();
            if reason.trim().is_empty() {
                Err("refused without a reason".to_owned())
            } else {
                Ok(Verdict::Refused)
            }
        }
    }
}

fn station(station: &Station) -> Result<(), String> {
    let Station { latitude, longitude, tariff, .. } = station;
    if !(-90.0..=90.0).contains(latitude) || !(-180.0..=180.0).contains(longitude) {
        return Err(format!("{} lies at {latitude}, {longitude}", station.id));
    }
    let bands = tariff.bands.iter().map(|band| band.price_kwh);
    let mut prices =
        [tariff.price_kwh, tariff.activation_fee, tariff.idle_fee_minute].into_iter().chain(bands);
    if !prices.all(|price| price.is_finite() && price >= 0.0) {
        return Err(format!("{} costs {tariff:?}", station.id));
    }
    for connector in station.evses.iter().flat_map(|evse| &evse.connectors) {
        if !(connector.power_kw.is_finite() && connector.power_kw > 0.0) {
            return Err(format!("{} has {} kW", station.id, connector.power_kw));
        }
    }
    Ok(())
}
