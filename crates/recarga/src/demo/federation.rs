//! The three companies of the demo, each a process, and what can be done to them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::config::Config;
use recarga_reservation::Timestamp;
use recarga_wire::demo::{DemoAction, DemoCompanies, DemoCompany, DemoState};
use tokio::sync::watch;
use tokio::time::Instant;

use super::relay::{Isolated, Relay};
use crate::client::Client;
use crate::company::Company;

/// The companies of the demo network, as an operator would configure them.
const COMPANIES: [(&str, &str); 3] = [
    ("empresa-a", include_str!("../../../../networks/demo/empresa-a.toml")),
    ("empresa-b", include_str!("../../../../networks/demo/empresa-b.toml")),
    ("empresa-c", include_str!("../../../../networks/demo/empresa-c.toml")),
];
/// How long a company may take to start.
const READY_MAX: Duration = Duration::from_secs(20);
/// How long one that starts may take to say that it is ready.
const ASKED_FOR: Duration = Duration::from_millis(200);

/// The companies, as configured.
///
/// # Errors
/// A configuration makes no sense.
pub fn configs() -> Result<Vec<Config>> {
    // Without the environment: variables meant for one company must not change three.
    let parse = |(name, text): &(&str, &str)| {
        Ok(Config::parse(text, &format!("{name}.toml"), Path::new("."), &|_| None)?)
    };
    COMPANIES.iter().map(parse).collect()
}

/// Three companies, each a process.
pub struct Federation {
    members: Vec<Member>,
    isolated: watch::Sender<Isolated>,
    broker_url: String,
    folder: PathBuf,
    notes: Vec<String>,
    told: watch::Sender<DemoCompanies>,
}

struct Member {
    config: Config,
    listen: SocketAddr,
    // The ways to the others, as environment variables.
    ways: Vec<(String, Relay)>,
    company: Option<Company>,
    state: DemoState,
    since: Timestamp,
    begun: Instant,
}

impl Federation {
    /// Starts all companies, at `first_port` and the ports after it, and waits until they take requests.
    ///
    /// # Errors
    /// A port is in use, or a company does not start.
    pub async fn start(folder: &Path, broker_url: &str, first_port: u16) -> Result<Federation> {
        let configs = configs()?;
        let isolated = watch::Sender::new(Isolated::new());
        let mut addresses = Vec::new();
        for place in 0..configs.len() {
            let port =
                first_port.checked_add(u16::try_from(place)?).context("--company-port is too large")?;
            addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        let mut members = Vec::new();
        for (from, config) in configs.into_iter().enumerate() {
            let mut ways = Vec::new();
            for (to, target) in addresses.iter().enumerate().filter(|(to, _)| *to != from) {
                let name = COMPANIES[to].0.to_uppercase().replace('-', "_");
                let relay = Relay::start((from, to), *target, isolated.subscribe()).await?;
                ways.push((format!("RECARGA_URL_{name}"), relay));
            }
            members.push(Member {
                config,
                listen: addresses[from],
                ways,
                company: None,
                state: DemoState::Parada,
                since: now(),
                begun: Instant::now(),
            });
        }
        let told = watch::Sender::new(DemoCompanies { empresas: vec![] });
        let mut federation = Federation {
            members,
            isolated,
            broker_url: broker_url.to_owned(),
            folder: folder.to_owned(),
            notes: vec![],
            told,
        };
        for place in 0..COMPANIES.len() {
            federation.begin(place)?;
        }
        federation.wait_ready().await?;
        federation.notes.clear();
        Ok(federation)
    }

    /// The configurations of all companies.
    pub fn configs(&self) -> impl Iterator<Item = &Config> {
        self.members.iter().map(|member| &member.config)
    }

    /// What is known of all of them, now and whenever it changes.
    pub fn follow(&self) -> watch::Receiver<DemoCompanies> {
        self.told.subscribe()
    }

    /// One of them, by its name.
    pub fn find(&self, id: &str) -> Option<DemoCompany> {
        self.view().empresas.into_iter().find(|company| company.id.as_str() == id)
    }

    /// A client of each, as its operator.
    ///
    /// # Errors
    /// An address is no URL.
    pub fn clients(&self) -> Result<Vec<Client>> {
        self.members.iter().map(Member::client).collect()
    }

    /// Where their databases are.
    pub fn folders(&self) -> Vec<PathBuf> {
        COMPANIES.iter().map(|(name, _)| self.folder.join(name)).collect()
    }

    /// What people should know since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Does something to a company. The outer error is the demo's, the inner one says why it makes no sense now.
    ///
    /// # Errors
    /// A process cannot be started, signalled or waited for.
    pub async fn act(&mut self, id: &str, action: DemoAction) -> Result<Result<DemoCompany, &'static str>> {
        let Some(place) = COMPANIES.iter().position(|(name, _)| *name == id) else {
            bail!("there is no company {id}");
        };
        let is_isolated = self.isolated.borrow().contains(&place);
        let member = &mut self.members[place];
        match (action, member.state, &mut member.company) {
            (
                DemoAction::Kill,
                DemoState::NoAr | DemoState::Iniciando | DemoState::Congelada,
                Some(company),
            ) => {
                company.kill().await?;
                member.company = None;
                member.turn(DemoState::Parada);
                self.notes.push(format!("{id} was killed on the page"));
            }
            (DemoAction::Kill, ..) => return Ok(Err("a empresa já está parada")),
            (DemoAction::Start, DemoState::Parada, _) => self.begin(place)?,
            (DemoAction::Start, ..) => return Ok(Err("a empresa já tem um processo")),
            (DemoAction::Freeze, DemoState::NoAr, Some(company)) => {
                company.freeze()?;
                member.turn(DemoState::Congelada);
                self.notes.push(format!("{id} was frozen on the page"));
            }
            (DemoAction::Freeze, ..) => return Ok(Err("só se congela uma empresa que está no ar")),
            (DemoAction::Thaw, DemoState::Congelada, Some(company)) => {
                company.thaw()?;
                member.turn(DemoState::NoAr);
                self.notes.push(format!("{id} goes on"));
            }
            (DemoAction::Thaw, ..) => return Ok(Err("a empresa não está congelada")),
            (DemoAction::Isolate, ..) if is_isolated => return Ok(Err("a empresa já está isolada")),
            (DemoAction::Isolate, ..) => {
                self.isolated.send_modify(|isolated| {
                    isolated.insert(place);
                });
                self.notes.push(format!("{id} was cut off from the others on the page"));
            }
            (DemoAction::Join, ..) if !is_isolated => return Ok(Err("a empresa não está isolada")),
            (DemoAction::Join, ..) => {
                self.isolated.send_modify(|isolated| {
                    isolated.remove(&place);
                });
                self.notes.push(format!("{id} hears the others again"));
            }
        }
        self.tell();
        self.find(id).map(Ok).context("a company that is there")
    }

    /// Looks after all of them: one that died by itself, or was killed by whoever watches, is started again.
    ///
    /// # Errors
    /// One cannot be started, or is not ready in time.
    pub async fn tend(&mut self) -> Result<()> {
        for (place, (id, _)) in COMPANIES.into_iter().enumerate() {
            let Some(company) = &mut self.members[place].company else { continue };
            if let Some(status) = company.try_wait()? {
                self.notes.push(format!("{id} has died ({status}); starting it again"));
                self.begin(place)?;
            }
            let member = &mut self.members[place];
            let Some(company) = &mut member.company else { continue };
            if member.state != DemoState::Iniciando {
                continue;
            }
            match company.wait_ready(ASKED_FOR).await {
                Ok(()) => {
                    self.notes.push(format!("{id} is back (process {})", company.pid()));
                    member.turn(DemoState::NoAr);
                    self.tell();
                }
                Err(error) if member.begun.elapsed() >= READY_MAX => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Undoes everything that was done to them, and waits until all take requests.
    ///
    /// # Errors
    /// One does not start.
    pub async fn mend(&mut self) -> Result<()> {
        self.isolated.send_modify(Isolated::clear);
        for place in 0..self.members.len() {
            match (self.members[place].state, &self.members[place].company) {
                (DemoState::Congelada, Some(company)) => {
                    company.thaw()?;
                    self.members[place].turn(DemoState::NoAr);
                }
                (DemoState::Parada, _) => self.begin(place)?,
                _ => {}
            }
        }
        self.wait_ready().await
    }

    /// Stops all of them as a signal would.
    ///
    /// # Errors
    /// One cannot be waited for.
    pub async fn stop(&mut self) -> Result<()> {
        for company in self.members.iter_mut().filter_map(|member| member.company.as_mut()) {
            company.stop().await?;
        }
        Ok(())
    }

    async fn wait_ready(&mut self) -> Result<()> {
        for member in &mut self.members {
            if let (DemoState::Iniciando, Some(company)) = (member.state, &mut member.company) {
                company.wait_ready(READY_MAX).await?;
                member.turn(DemoState::NoAr);
            }
        }
        self.tell();
        Ok(())
    }

    fn begin(&mut self, place: usize) -> Result<()> {
        let (name, text) = COMPANIES[place];
        let member = &mut self.members[place];
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join(format!("{name}.toml"));
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut environment = vec![
            ("RECARGA_LISTEN".to_owned(), member.listen.to_string()),
            ("RECARGA_DATA".to_owned(), folder.display().to_string()),
            ("RECARGA_MQTT_URL".to_owned(), self.broker_url.clone()),
        ];
        environment.extend(member.ways.iter().map(|(name, relay)| (name.clone(), relay.url())));
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        member.company = Some(Company::start(&program, &config, &folder, COMPANIES.len(), &environment)?);
        member.turn(DemoState::Iniciando);
        member.begun = Instant::now();
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        let view = self.view();
        self.told.send_if_modified(|told| std::mem::replace(told, view.clone()) != view);
    }

    fn view(&self) -> DemoCompanies {
        let isolated = self.isolated.borrow();
        let company = |(place, member): (usize, &Member)| DemoCompany {
            id: member.config.operator.clone(),
            nome: member.config.name.clone(),
            base: format!("/empresas/{}", member.config.operator),
            url: member.url(),
            processo: member.company.as_ref().map(Company::pid),
            estado: member.state,
            isolada: isolated.contains(&place),
            desde: member.since,
        };
        DemoCompanies { empresas: self.members.iter().enumerate().map(company).collect() }
    }
}

impl Member {
    fn turn(&mut self, state: DemoState) {
        (self.state, self.since) = (state, now());
    }

    fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    fn client(&self) -> Result<Client> {
        Client::new(&self.url(), self.config.operator_tokens.first().map(|token| token.expose().to_owned()))
    }
}

/// The wall clock.
pub fn now() -> Timestamp {
    SystemClock::new().now().utc
}
