//! A booked journey as its driver knows it, from what the company answered.

use std::sync::Arc;
use std::time::Duration;

use recarga_planning::{ChargeTable, Position};
use recarga_reservation::{TimeWindow, Timestamp};
use recarga_wire::journey::{Itinerary, ItineraryStop};
use recarga_wire::trip::TripStopAnswer;

use crate::events::StopView;
use crate::geo::road_km;
use crate::model::{DrivingStyle, Model};
use crate::network::PlaceIndex;

/// From plugging in to the first energy: parking, cable, authorisation.
pub const SETUP: Duration = Duration::from_secs(5 * 60);

/// What connectors deliver at least, in kW: a company that says less has a typing error.
const POWER_KW_MIN: f64 = 1.0;

/// Where to charge, and when.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When the car starts.
    pub departs: Timestamp,
    /// How it is driven.
    pub style: DrivingStyle,
    /// The stops in order.
    pub stops: Vec<PlannedStop>,
    /// Where it ends.
    pub destination: PlaceIndex,
    /// The last leg, in km by road.
    pub last_leg_km: f64,
    /// What shall be left on arriving, in kWh.
    pub reserve_kwh: f64,
}

/// A stop of a plan.
#[derive(Clone, Debug)]
pub struct PlannedStop {
    /// Where.
    pub position: Position,
    /// The leg that leads here, in km by road.
    pub leg_km: f64,
    /// What is reserved.
    pub window: TimeWindow,
    /// Energy on leaving, in kWh.
    pub leave_kwh: f64,
    /// Energy without which the next leg would eat into the reserve, in kWh.
    pub least_kwh: f64,
    /// How long charging takes there.
    pub table: Arc<ChargeTable>,
}

impl Plan {
    /// The plan that a company answered with, for which `reserve` of the battery was to be kept; none if it is not one that a car can follow, or not what was reserved.
    pub fn read(
        told: &Itinerary,
        reserved: &[TripStopAnswer],
        model: &Model,
        style: DrivingStyle,
        destination: PlaceIndex,
        reserve: f64,
    ) -> Option<Plan> {
        let is_reserved = |(stop, reserved): (&ItineraryStop, &TripStopAnswer)| {
            stop.empresa == reserved.empresa
                && stop.ponto_id == reserved.ponto_id
                && stop.janela_inicio == reserved.janela_inicio
                && stop.janela_fim == reserved.janela_fim
        };
        let same = told.paradas.len() == reserved.len() && told.paradas.iter().zip(reserved).all(is_reserved);
        if !same || told.paradas.is_empty() {
            return None;
        }
        let usable_kwh = model.usable_kwh();
        let mut stops = Vec::with_capacity(told.paradas.len());
        let mut gone_km = 0.0;
        for stop in &told.paradas {
            let is_share = |percent: f64| (0.0..=100.0).contains(&percent);
            let is_drive = |km: f64| (0.0..=20_000.0).contains(&km);
            let is_place =
                (-90.0..=90.0).contains(&stop.latitude) && (-180.0..=180.0).contains(&stop.longitude);
            if !is_share(stop.saida_pct) || !is_drive(stop.distancia_km) || !is_place {
                return None;
            }
            gone_km += stop.distancia_km;
            let power_kw = if stop.potencia_kw.is_finite() { stop.potencia_kw } else { POWER_KW_MIN };
            stops.push(PlannedStop {
                position: Position { latitude: stop.latitude, longitude: stop.longitude },
                leg_km: stop.distancia_km,
                window: TimeWindow::new(stop.janela_inicio, stop.janela_fim).ok()?,
                leave_kwh: stop.saida_pct / 100.0 * usable_kwh,
                least_kwh: 0.0,
                table: Arc::new(model.battery.charge_table(power_kw.max(POWER_KW_MIN))),
            });
        }
        let last_leg_km = (told.distancia_km - gone_km).max(0.0);
        if !last_leg_km.is_finite() {
            return None;
        }
        let reserve_kwh = reserve * usable_kwh;
        let mut plan = Plan { departs: told.partida, style, stops, destination, last_leg_km, reserve_kwh };
        for number in 0..plan.stops.len() {
            let next_kwh = plan.leg_km(number + 1) * model.kwh_per_km(style);
            plan.stops[number].least_kwh = next_kwh + reserve_kwh;
        }
        Some(plan)
    }

    /// The way to the destination without a stop: the charge lasts.
    pub fn straight(
        from: Position,
        to: (PlaceIndex, Position),
        style: DrivingStyle,
        departs: Timestamp,
    ) -> Plan {
        let last_leg_km = road_km(from, to.1);
        Plan { departs, style, stops: Vec::new(), destination: to.0, last_leg_km, reserve_kwh: 0.0 }
    }

    /// The leg with this number, counted from 0; the last one leads to the destination. In km by road.
    pub fn leg_km(&self, leg: usize) -> f64 {
        self.stops.get(leg).map_or(self.last_leg_km, |stop| stop.leg_km)
    }
}

impl PlannedStop {
    /// Whether a car that arrives then, with that energy, can still charge what it needs before its window ends.
    pub fn is_worth_it(&self, arrives: Timestamp, arrive_kwh: f64) -> bool {
        let least = charging_time(&self.table, arrive_kwh, self.least_kwh.min(self.leave_kwh));
        arrives.max(self.window.start()) + SETUP + least <= self.window.end()
    }
}

/// How long charging from one energy to another takes, in kWh; zero if there is nothing to charge.
pub fn charging_time(table: &ChargeTable, from_kwh: f64, to_kwh: f64) -> Duration {
    Duration::from_secs_f64(table.between(from_kwh, to_kwh) * 60.0)
}

/// The stops as they are shown to people.
pub fn views(told: &Itinerary) -> Arc<[StopView]> {
    let view = |stop: &ItineraryStop| {
        Some(StopView {
            operator: stop.empresa.clone(),
            evse: stop.ponto_id.clone(),
            city: stop.cidade.as_str().into(),
            state: stop.uf.as_str().into(),
            window: TimeWindow::new(stop.janela_inicio, stop.janela_fim).ok()?,
        })
    };
    told.paradas.iter().filter_map(view).collect()
}
