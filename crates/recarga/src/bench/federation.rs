//! Three companies to measure: processes of this program, or nodes that run already.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use recarga_reservation::{EvseId, OperatorId};
use recarga_wire::availability::PointsAnswer;

use crate::client::Client;
use crate::company::{self, Company};

/// Companies in every trip.
pub const COMPANIES: usize = 3;

/// What opens the audit of each.
pub const OPERATOR_TOKEN: &str = "bench-operator";

const READY_MAX: Duration = Duration::from_secs(20);

/// Three companies of its own, in a folder.
pub struct Federation {
    /// In the order of their names.
    pub companies: Vec<Company>,
}

/// What each company offers, and where.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Locations of each company.
    pub locations: usize,
    /// EVSEs at each.
    pub evses: usize,
    /// Latitude and longitude of a company's location, both counted from 0.
    pub place: fn(usize, usize) -> (f64, f64),
}

/// Where it does not matter where: 400 EVSEs each, all in one city.
pub const ONE_CITY: Layout = Layout { locations: 40, evses: 10, place: |_, _| (-12.97, -38.5) };

/// A company as the load sees it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub url: String,
    /// Who it is.
    pub operator: OperatorId,
    /// What it offers.
    pub points: Vec<EvseId>,
}

impl Federation {
    /// Starts three processes of `program` with configurations and databases in `folder`, and waits until all take
    /// requests. `limits` are lines of TOML.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn start(program: &Path, folder: &Path, layout: Layout, limits: &str) -> Result<Federation> {
        Self::start_with(program, folder, layout, limits, "").await
    }

    /// The same; `first` is TOML at the end of the first company's configuration.
    ///
    /// # Errors
    /// As [`Federation::start`].
    pub async fn start_with(
        program: &Path,
        folder: &Path,
        layout: Layout,
        limits: &str,
        first: &str,
    ) -> Result<Federation> {
        let ports = company::free_ports(COMPANIES)?;
        let mut companies = Vec::new();
        for own in 0..COMPANIES {
            let path = folder.join(format!("{}.toml", name(own)));
            let mut text = configuration(own, &ports, folder, layout, limits);
            text.push_str(if own == 0 { first } else { "" });
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            companies.push(Company::start(program, &path, folder, COMPANIES, &[])?);
        }
        for company in &mut companies {
            company.wait_ready(READY_MAX).await?;
        }
        Ok(Federation { companies })
    }

    /// Where their databases are.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.companies.iter().map(|one| one.data_dir().to_owned()).collect()
    }

    /// Stops them in an orderly way.
    ///
    /// # Errors
    /// One of them ended badly.
    pub async fn stop(&mut self) -> Result<()> {
        for company in &mut self.companies {
            let status = company.stop().await?;
            if !status.success() {
                bail!("{} ended badly ({status}); see {}", company.id(), company.log().display());
            }
        }
        Ok(())
    }
}

impl Target {
    /// Asks a node who it is and what it offers.
    ///
    /// # Errors
    /// It does not answer, or offers nothing.
    pub async fn find(url: &str) -> Result<Target> {
        let client = Client::new(url, None)?;
        let mut points = Vec::new();
        let mut path = "/pontos?limite=500".to_owned();
        loop {
            let page: PointsAnswer = client.call(Method::GET, &path, Vec::new()).await?;
            points.extend(page.pontos.into_iter().map(|point| point.ponto_id));
            match page.proximo {
                Some(next) => path = format!("/pontos?limite=500&cursor={next}"),
                None if points.is_empty() => bail!("{url} offers no EVSE"),
                None => return Ok(Target { url: client.url().to_owned(), operator: page.empresa, points }),
            }
        }
    }
}

fn name(number: usize) -> String {
    format!("empresa-{}", ["a", "b", "c"][number % COMPANIES])
}

fn configuration(own: usize, ports: &[u16], folder: &Path, layout: Layout, limits: &str) -> String {
    let (id, port) = (name(own), ports[own]);
    let data_dir = toml::Value::String(folder.join(&id).display().to_string());
    let mut text = format!(
        "[operator]\nid = \"{id}\"\nname = \"{id}\"\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {data_dir}\n\
         operator_token = \"{OPERATOR_TOKEN}\"\n\n\
         # Nothing but the work itself is to be measured, over as many days as it takes.\n\
         [limits]\nclient_requests_per_second_max = 0\npeer_requests_per_second_max = 0\nahead_days_max = 3650\n{limits}\n"
    );
    for other in (0..COMPANIES).filter(|other| *other != own) {
        let (id, port) = (name(other), ports[other]);
        let _ = write!(
            text,
            "\n[[peers]]\nid = \"{id}\"\nurl = \"http://127.0.0.1:{port}\"\ntoken = \"bench-{own}-to-{other}\"\n\
             accepts = \"bench-{other}-to-{own}\"\n"
        );
    }
    for location in 0..layout.locations {
        let (latitude, longitude) = (layout.place)(own, location);
        let _ = write!(
            text,
            "\n[[locations]]\nid = \"L{location}\"\nname = \"Bench {location}\"\ncity = \"Salvador\"\n\
             state = \"BA\"\nlatitude = {latitude:.5}\nlongitude = {longitude:.5}\ntime_zone = \"America/Bahia\"\n\
             tariff = {{ price_kwh = 2.0 }}\nevses = [\n"
        );
        for evse in 0..layout.evses {
            let _ = writeln!(
                text,
                "  {{ id = \"L{location}-{evse}\", \
                 connectors = [{{ id = \"1\", plug = \"IEC_62196_T2_COMBO\", power_kw = 60 }}] }},"
            );
        }
        text.push_str("]\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_are_valid_and_know_each_other() {
        for own in 0..COMPANIES {
            let text =
                configuration(own, &[1, 2, 3], Path::new("/some \"where\""), ONE_CITY, "attempts_max = 1");
            let config =
                recarga_node::config::Config::parse(&text, "bench", Path::new("."), &|_| None).unwrap();
            assert_eq!(config.peers.len(), 2);
            let evses: usize = config.stations.iter().map(|one| one.evses.len()).sum();
            assert_eq!(evses, ONE_CITY.locations * ONE_CITY.evses);
        }
    }
}
