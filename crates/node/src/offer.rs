//! What this company offers: its EVSEs and when they are free.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use recarga_reservation::{Branch, Evse, EvseId, OperatorId, Station, TimeWindow, Timestamp, VehicleId};
use recarga_wire::availability::{
    AvailabilityAnswer, AvailabilityQuery, AvailablePoint, Near, PAGE_POINTS_MAX, Point, PointState,
};

use crate::ledger::{Ledger, State};

/// Without a period: the next day.
const PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Longest period that is looked at: a year.
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
const MINUTE_MILLIS: i64 = 60_000;

/// All stations of the company, by EVSE.
#[derive(Debug)]
pub struct Offer {
    stations: Vec<Station>,
    // Station and EVSE by their places above, in the order of ids: the order of pages.
    evses: BTreeMap<EvseId, (usize, usize)>,
}

/// A part of the offer, and where the next part begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the order of EVSE ids.
    pub points: Vec<T>,
    /// To be asked for next; none on the last page.
    pub next: Option<String>,
}

impl Offer {
    /// The offer of these stations.
    pub fn new(stations: Vec<Station>) -> Self {
        let places = stations.iter().enumerate().flat_map(|(at, station)| {
            station.evses.iter().enumerate().map(move |(index, evse)| (evse.id.clone(), (at, index)))
        });
        let evses = places.collect();
        Self { stations, evses }
    }

    /// Every EVSE.
    pub fn evses(&self) -> impl Iterator<Item = &Evse> {
        self.stations.iter().flat_map(|station| &station.evses)
    }

    /// The period that a question is about. A period that begins "now" begins at the full minute, so that the same
    /// question asked again within the minute has the same answer. None if it is over before it begins, which only
    /// an end alone can be.
    pub fn period(query: &AvailabilityQuery, now: Timestamp) -> Option<TimeWindow> {
        let this_minute = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(MINUTE_MILLIS));
        let from = query.from.unwrap_or(this_minute);
        let until = query.until.unwrap_or(from + PERIOD).min(from + PERIOD_MAX);
        TimeWindow::new(from, until).ok()
    }

    /// The EVSEs that match, without their times.
    pub fn points(&self, query: &AvailabilityQuery) -> Page<Point> {
        let (found, next) = self.find(query, None);
        Page { points: found.into_iter().map(|(station, evse)| Point::new(station, evse)).collect(), next }
    }

    /// The EVSEs that match, and when they are free within `period`; only those that changed, where that is asked for
    /// and known. `is_charging` tells whether a car says so.
    pub fn answer(
        &self,
        operator: &OperatorId,
        query: &AvailabilityQuery,
        period: TimeWindow,
        now: Timestamp,
        ledger: &Ledger,
        is_charging: impl Fn(&VehicleId) -> bool,
    ) -> AvailabilityAnswer {
        ledger.look(|state| {
            let since = query.changed_after.filter(|since| state.revisions.changed_after(*since).is_some());
            let page = self.available(query, period, now, state, is_charging);
            AvailabilityAnswer {
                empresa: operator.clone(),
                revisao: state.revisions.latest(),
                alterados_desde: since,
                pontos: page.points,
                proximo: page.next,
            }
        })
    }

    fn available(
        &self,
        query: &AvailabilityQuery,
        period: TimeWindow,
        now: Timestamp,
        state: &State,
        is_charging: impl Fn(&VehicleId) -> bool,
    ) -> Page<AvailablePoint> {
        let changed = query.changed_after.and_then(|revision| state.revisions.changed_after(revision));
        let (found, next) = self.find(query, changed.map(Iterator::collect));
        let participant = &state.company.participant;
        let this_moment = TimeWindow::new(now, now + Duration::from_millis(1));
        let point = |(station, evse): (&Station, &Evse)| AvailablePoint {
            ponto: Point::new(station, evse),
            estado: match this_moment.ok().and_then(|moment| participant.taken_at(&evse.id, moment)) {
                None => PointState::Disponivel,
                Some(Branch::Confirmed { hold }) if is_charging(&hold.key.vehicle) => PointState::EmUso,
                Some(_) => PointState::Reservado,
            },
            livres: match participant.calendar(&evse.id) {
                Some(calendar) => calendar.free(period),
                None => vec![period],
            },
        };
        Page { points: found.into_iter().map(point).collect(), next }
    }

    fn find(
        &self,
        query: &AvailabilityQuery,
        among: Option<BTreeSet<&EvseId>>,
    ) -> (Vec<(&Station, &Evse)>, Option<String>) {
        let most = query.limit.unwrap_or(PAGE_POINTS_MAX).clamp(1, PAGE_POINTS_MAX);
        let after = query.cursor.as_deref().unwrap_or("");
        let mut found: Vec<(&Station, &Evse)> = Vec::new();
        let candidates: Box<dyn Iterator<Item = _>> = match among {
            None => Box::new(self.evses.iter()),
            Some(among) => Box::new(among.into_iter().filter_map(|id| self.evses.get_key_value(id))),
        };
        for (id, &(station, evse)) in candidates {
            if id.as_str() <= after {
                continue;
            }
            let station = &self.stations[station];
            let evse = &station.evses[evse];
            if !matches(query, station, evse) {
                continue;
            }
            if found.len() == most {
                let next = found.last().map(|(_, last)| last.id.to_string());
                return (found, next);
            }
            found.push((station, evse));
        }
        (found, None)
    }
}

fn matches(query: &AvailabilityQuery, station: &Station, evse: &Evse) -> bool {
    let power_enough = |least: f64| {
        let mut fitting = evse.connectors.iter().filter(|one| query.plug.is_none_or(|plug| one.plug == plug));
        fitting.any(|connector| connector.power_kw >= least)
    };
    query.evse.as_ref().is_none_or(|wanted| *wanted == evse.id)
        && query.state.as_ref().is_none_or(|state| *state == station.state)
        && query.plug.is_none_or(|plug| evse.fits(plug))
        && query.power_kw_min.is_none_or(power_enough)
        && query.near.is_none_or(|near| distance_km(near, station) <= near.radius_km)
}

// Great-circle distance (haversine) on a sphere of the earth's mean radius.
fn distance_km(near: Near, station: &Station) -> f64 {
    const EARTH_RADIUS_KM: f64 = 6371.0;
    let (a, b) = (near.latitude.to_radians(), station.latitude.to_radians());
    let (across, along) = ((b - a) / 2.0, (station.longitude - near.longitude).to_radians() / 2.0);
    let half = across.sin().powi(2) + a.cos() * b.cos() * along.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * half.sqrt().min(1.0).asin()
}
