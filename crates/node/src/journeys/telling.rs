//! Plans and obstacles, as drivers are told.

use recarga_planning::{Itinerary, Obstacle, Place, Stop};
use recarga_wire::journey::{self, BackupStop, Distances, ItineraryStop, PlaceView};
use recarga_wire::{Problem, ProblemKind};

use super::question::Question;

impl Question {
    /// A plan with names.
    pub fn tell(&self, plan: &Itinerary) -> journey::Itinerary {
        let place = |at: usize| {
            let city = &self.places[at];
            let nome = if city.state.is_empty() { city.name.clone() } else { city.to_string() };
            PlaceView { nome, latitude: city.position.latitude, longitude: city.position.longitude }
        };
        journey::Itinerary {
            origem: place(0),
            destino: place(self.places.len() - 1),
            modelo: self.car.id.clone(),
            distancias: if self.roads.measured { Distances::Calculadas } else { Distances::Estimadas },
            partida: plan.departure,
            chegada: plan.arrival,
            distancia_km: tenth(plan.km),
            conducao_min: tenth(plan.driving_minutes),
            recarga_min: tenth(plan.charging_minutes),
            espera_min: tenth(plan.waiting_minutes),
            preco: hundredth(plan.price),
            chegada_pct: self.percent(plan.arrive_kwh),
            paradas: (0..).zip(&plan.stops).map(|(number, stop)| self.tell_stop(number, stop)).collect(),
        }
    }

    fn tell_stop(&self, number: u16, stop: &Stop) -> ItineraryStop {
        let site = &self.sites[stop.station];
        let point = &site.points[stop.evse].ponto;
        let connector = &point.conectores[stop.connector];
        let backup = |backup: &recarga_planning::Backup| {
            let site = &self.sites[backup.station];
            let point = &site.points[backup.evse].ponto;
            BackupStop {
                empresa: site.operator.clone(),
                ponto_id: point.ponto_id.clone(),
                nome: point.nome.clone(),
                desvio_min: tenth(backup.detour_minutes),
            }
        };
        ItineraryStop {
            parada: number,
            empresa: site.operator.clone(),
            estacao_id: point.estacao_id.clone(),
            nome: point.nome.clone(),
            cidade: point.cidade.clone(),
            uf: point.uf.clone(),
            latitude: point.latitude,
            longitude: point.longitude,
            fuso: point.fuso.clone(),
            ponto_id: point.ponto_id.clone(),
            conector_id: connector.conector_id.clone(),
            potencia_kw: self.car.kw_at(connector.plugue, connector.potencia_kw),
            distancia_km: tenth(stop.km),
            chegada: stop.arrive,
            janela_inicio: stop.window.start(),
            janela_fim: stop.window.end(),
            saida: stop.end,
            chegada_pct: self.percent(stop.arrive_kwh),
            saida_pct: self.percent(stop.leave_kwh),
            energia_kwh: hundredth(stop.leave_kwh - stop.arrive_kwh),
            preco: hundredth(stop.price),
            alternativas: stop.backups.iter().map(backup).collect(),
        }
    }

    /// Why there is no plan, and what would help.
    pub fn explain(&self, obstacle: &Obstacle) -> Problem {
        let no_plan = |detail: String| Problem::new(ProblemKind::NoPlan, detail);
        match obstacle {
            Obstacle::BelowReserve => no_plan(
                "a bateria está abaixo da reserva; recarregue antes de sair, ou peça uma `reserva_pct` menor"
                    .into(),
            )
            .at("bateria_pct"),
            Obstacle::NoPlug { .. } => no_plan(format!(
                "nenhuma estação no caminho{} tem um conector {} livre para este carro",
                self.spared(),
                self.plugs()
            ))
            .at("modelo"),
            Obstacle::OutOfReach { after, next, next_km, range_km, full_km } => {
                no_plan(self.out_of_reach(*after, *next, [*next_km, *range_km, *full_km]))
            }
            Obstacle::TooManyStops { needed, allowed } => {
                let cures = match self.problem.charge_kwh < self.problem.vehicle.usable_kwh() {
                    true => "aceite mais paradas, ou saia com mais carga",
                    false => "aceite mais paradas",
                };
                no_plan(format!("são precisas {needed} paradas, e o máximo é {allowed}; {cures}"))
                    .at("paradas_max")
            }
            Obstacle::NoFreeWindow { after } => no_plan(self.no_free_window(*after)).at("saida"),
            Obstacle::TooLarge { .. } => no_plan(
                "há combinações demais; ponha um lugar em `via`, ou menos paradas em `paradas_max`".into(),
            ),
            Obstacle::Withdrawn => Problem::of(ProblemKind::Unavailable),
        }
    }

    // What would help is said only if it would.
    fn out_of_reach(&self, after: Place, next: Place, [next_km, range_km, full_km]: [f64; 3]) -> String {
        let (from, to, plugs, spared) = (self.name(after), self.name(next), self.plugs(), self.spared());
        let none = format!("não se conhece carregador {plugs} com horário livre");
        let fact = match next {
            Place::Station(_) => {
                format!(
                    "{none} ao alcance depois de {from}{spared}: o próximo, em {to}, fica a {next_km:.0} km"
                )
            }
            Place::Waypoint(_) => {
                format!("{none} no caminho depois de {from}{spared}, e até {to} são {next_km:.0} km")
            }
        };
        let is_full = full_km - range_km < 0.5;
        let charge = if is_full { "a bateria cheia" } else { "a carga" };
        let vehicle = &self.problem.vehicle;
        let reserve_km = full_km * vehicle.reserve_kwh() / (vehicle.usable_kwh() - vehicle.reserve_kwh());
        let cures = [
            (!is_full && full_km >= next_km, "saia com mais carga"),
            (range_km + reserve_km >= next_km, "peça uma `reserva_pct` menor"),
            (range_km * self.terms.slow_gain >= next_km, "peça uma `velocidade_kmh` menor"),
            (self.terms.is_choosy, "evite menos empresas"),
            (true, "tente outro caminho com `via`"),
        ];
        let cures: Vec<&str> = cures.iter().filter(|(helps, _)| *helps).map(|(_, cure)| *cure).collect();
        format!("{fact}, e {charge} dá para {range_km:.0} km; {}", cures.join(", ou "))
    }

    // What is not known to be free may be free all the same.
    fn no_free_window(&self, after: Place) -> String {
        let (from, spared) = (self.name(after), self.spared());
        let known = self.terms.known_until.map_or_else(String::new, |until| {
            format!(" (os horários livres são conhecidos até {})", recarga_wire::instant::format(until))
        });
        let cure = match (known.is_empty(), self.terms.is_choosy) {
            (true, false) => "saia em outro horário",
            (true, true) => "saia em outro horário, ou evite menos empresas",
            (false, false) => "saia mais cedo, ou peça de novo mais perto da saída",
            (false, true) => "saia mais cedo, peça de novo mais perto da saída, ou evite menos empresas",
        };
        format!(
            "depois de {from} não se conhece carregador ao alcance que esteja livre pelo tempo necessário{spared}{known}; {cure}"
        )
    }

    // Whose chargers were not looked at.
    fn spared(&self) -> &'static str {
        if self.terms.is_choosy { ", sem contar as empresas de `evitar_empresas`" } else { "" }
    }

    fn plugs(&self) -> String {
        self.problem.vehicle.plugs().iter().map(|plug| plug.name()).collect::<Vec<_>>().join(", ")
    }

    /// The best plan waits longer than the driver wants to.
    pub fn too_long_a_wait(&self, stop: &Stop, minutes: f64) -> Problem {
        let at = self.name(Place::Station(stop.station));
        let detail = format!(
            "o próximo horário livre exige esperar {minutes:.0} minutos em {at}; saia em outro horário, aceite outras \
             empresas, ou peça uma `espera_max_min` maior"
        );
        Problem::new(ProblemKind::NoPlan, detail).at("espera_max_min")
    }

    fn name(&self, place: Place) -> String {
        match place {
            Place::Waypoint(at) => self.places[at].name.clone(),
            Place::Station(station) => {
                let point = &self.sites[station].points[0].ponto;
                format!("{} ({})", point.cidade, point.nome)
            }
        }
    }

    fn percent(&self, kwh: f64) -> f64 {
        tenth(kwh / self.problem.vehicle.usable_kwh() * 100.0)
    }
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn hundredth(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
