//! Every limit of a node: what may be large, long, frequent or far away, and how much.

use std::time::Duration;

use recarga_reservation::{HoldLimits, PROMISE_BELIEVED_MAX, VehicleLimits};
use recarga_wire::batch::BATCH_LENGTH_MAX;
use serde::Deserialize;

use crate::coordinator::Patience;
use crate::journeys::JourneyLimits;
use crate::network::NetworkLimits;
use crate::replicas::FrontLimits;
use crate::roads::RoadLimits;
use crate::server::ServerLimits;

/// Nobody may forget a trip while others believe what would then be promised of it, whatever their clocks say.
const HISTORY_DAYS_MIN: u64 = 1;
const _: () = assert!(HISTORY_DAYS_MIN * 24 * 3600 >= 2 * PROMISE_BELIEVED_MAX.as_secs());

/// How long a shutdown waits for trips and deliveries under way.
pub const FINISH_MAX: Duration = Duration::from_secs(10);
/// How long a request waits at one replica for another one to lead.
const LEADER_MAX: Duration = Duration::from_secs(15);

/// Every limit of the node, with its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request body and MQTT payload, bytes.
    pub body_bytes_max: usize,
    /// Open connections.
    pub connections_max: usize,
    /// From the first byte to the end of a request's head.
    pub head_seconds_max: u64,
    /// From the end of the head to the answer.
    pub request_seconds_max: u64,
    /// Requests per second of one client address; 0 for no limit.
    pub client_requests_per_second_max: u32,
    /// Requests per second of one other company; 0 for no limit.
    pub peer_requests_per_second_max: u32,
    /// From a trip's request to its decision.
    pub decide_seconds_max: u64,
    /// Longest wait for one answer of another company.
    pub peer_answer_seconds_max: u64,
    /// Attempts at one trip while somebody's momentary hold is in the way.
    pub attempts_max: u32,
    /// Different stops that are tried for one journey, as long as some are refused.
    pub proposals_max: u32,
    /// How long an older trip waits behind a window that a younger one has prepared; 0 for not at all.
    pub window_wait_millis: u64,
    /// Longest window.
    pub window_hours_max: u64,
    /// How far ahead a window may start.
    pub ahead_days_max: u64,
    /// Longest soft hold.
    pub soft_hold_seconds_max: u64,
    /// Undecided holds of one other company.
    pub undecided_holds_max: u32,
    /// Undecided EVSE time of one other company.
    pub undecided_evse_hours_max: u64,
    /// Trips of one car that are not over; 0 for no limit.
    pub vehicle_open_trips_max: u32,
    /// Booked windows of one car that are not over, all together; 0 for no limit.
    pub vehicle_booked_hours_max: u64,
    /// From a vote to the first question about its outcome.
    pub inquire_after_millis: u64,
    /// From a window's start to the heuristic release of a hold that is still in doubt.
    pub grace_seconds: u64,
    /// How long a tombstone is kept; less than a day is unsafe and refused.
    pub tombstone_hours: u64,
    /// How long past reservations, trips and answers are kept.
    pub history_days: u64,
    /// How long past reservations and trips stay in the archive after that; 0 for no archive.
    pub archive_days: u64,
    /// Between two questions to each company who belongs to the federation; 0 for never.
    pub members_refresh_seconds: u64,
    /// Cars whose last status is kept.
    pub vehicles_max: usize,
    /// Between two questions to a company for what has changed of its offer; 0 for never asking the others.
    pub offer_refresh_millis: u64,
    /// How far ahead the free windows of all companies are known, and trips can be planned.
    pub offer_days: u64,
    /// EVSEs of one company that are known.
    pub offer_evses_max: usize,
    /// Who may watch events at a time; never more than a quarter of `connections_max`.
    pub watchers_max: usize,
    /// Steps of transactions that are remembered for people to look at; 0 for none.
    pub story_entries_max: usize,
    /// Journeys planned at a time.
    pub planning_workers: usize,
    /// Journeys that wait to be planned; more are refused.
    pub planning_queue_max: usize,
    /// How long a journey waits for the routing service; what has not come by then is estimated.
    pub road_answer_millis_max: u64,
    /// Places of one journey between which the routing service is asked for roads; between more they are estimated.
    pub road_places_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            connections_max: 2048,
            head_seconds_max: 5,
            request_seconds_max: 15,
            client_requests_per_second_max: 500,
            peer_requests_per_second_max: 10_000,
            decide_seconds_max: 5,
            peer_answer_seconds_max: 3,
            attempts_max: 8,
            proposals_max: 24,
            window_wait_millis: 20,
            window_hours_max: 12,
            ahead_days_max: 90,
            soft_hold_seconds_max: 900,
            undecided_holds_max: 2_000,
            undecided_evse_hours_max: 10_000,
            vehicle_open_trips_max: 30,
            vehicle_booked_hours_max: 168,
            inquire_after_millis: 2_000,
            grace_seconds: 900,
            tombstone_hours: 24,
            history_days: 30,
            archive_days: 365,
            members_refresh_seconds: 10,
            vehicles_max: 100_000,
            offer_refresh_millis: 2_000,
            offer_days: 7,
            offer_evses_max: 100_000,
            watchers_max: 256,
            story_entries_max: 16_384,
            planning_workers: 1,
            planning_queue_max: 256,
            road_answer_millis_max: 1_500,
            road_places_max: 500,
        }
    }
}

impl Limits {
    /// Of the server.
    pub fn server(&self) -> ServerLimits {
        ServerLimits {
            connections_max: self.connections_max,
            head_max: Duration::from_secs(self.head_seconds_max),
            write_max: Duration::from_secs(self.head_seconds_max),
            shutdown_max: FINISH_MAX,
        }
    }

    /// Of a replica that passes requests on.
    pub fn front(&self) -> FrontLimits {
        // Whoever leads knows what each request may have.
        let body_max = self.body_bytes_max.max(BATCH_LENGTH_MAX);
        FrontLimits { body_max, answer_max: LEADER_MAX, finish_max: FINISH_MAX }
    }

    /// The part that the rules enforce.
    pub fn hold_limits(&self) -> HoldLimits {
        const HOUR: u64 = 3600;
        HoldLimits {
            window_max: Duration::from_secs(self.window_hours_max * HOUR),
            ahead_max: Duration::from_secs(self.ahead_days_max * 24 * HOUR),
            soft_max: Duration::from_secs(self.soft_hold_seconds_max),
            undecided_holds_max: self.undecided_holds_max,
            undecided_time_max: Duration::from_secs(self.undecided_evse_hours_max * HOUR),
            vehicle: VehicleLimits {
                trips_max: self.vehicle_open_trips_max,
                time_max: Duration::from_secs(self.vehicle_booked_hours_max * HOUR),
            },
            inquire_after: Duration::from_millis(self.inquire_after_millis),
            grace: Duration::from_secs(self.grace_seconds),
            tombstone_keep: Duration::from_secs(self.tombstone_hours * HOUR),
            reservation_keep: self.history(),
            ..HoldLimits::default()
        }
    }

    /// How long the past is kept.
    pub fn history(&self) -> Duration {
        Duration::from_secs(self.history_days * 24 * 3600)
    }

    /// How long after its end what is past stays in the archive; none if there is no archive.
    pub fn archive(&self) -> Option<Duration> {
        let days = self.history_days + self.archive_days;
        (self.archive_days > 0).then(|| Duration::from_secs(days * 24 * 3600))
    }

    /// Who may watch events at a time: most connections are kept for others.
    pub fn watchers(&self) -> usize {
        self.watchers_max.min(self.connections_max / 4)
    }

    /// How long an older trip waits for a window.
    pub fn window_wait(&self) -> Duration {
        Duration::from_millis(self.window_wait_millis)
    }

    /// How long and how often a trip is tried.
    pub fn patience(&self) -> Patience {
        Patience { decide: self.decide(), attempts_max: self.attempts_max, proposals_max: self.proposals_max }
    }

    /// How many journeys are planned.
    pub fn journeys(&self) -> JourneyLimits {
        JourneyLimits { workers: self.planning_workers, queue_max: self.planning_queue_max }
    }

    /// How much is asked of the routing service.
    pub fn roads(&self) -> RoadLimits {
        RoadLimits {
            answer_max: Duration::from_millis(self.road_answer_millis_max),
            places_max: self.road_places_max,
        }
    }

    /// How the offers of all companies are known.
    pub fn network(&self) -> NetworkLimits {
        NetworkLimits {
            refresh: Duration::from_millis(self.offer_refresh_millis),
            ahead: Duration::from_secs(self.offer_days * 24 * 3600),
            evses_max: self.offer_evses_max,
        }
    }

    /// From a trip's request to its decision.
    pub fn decide(&self) -> Duration {
        Duration::from_secs(self.decide_seconds_max)
    }
}

pub(super) fn check(limits: &Limits, problems: &mut Vec<String>) {
    const HOUR: u64 = 3600;
    const MEBIBYTE: u64 = 1024 * 1024;
    let decided = limits.decide_seconds_max.saturating_mul(2).saturating_add(1);
    for (name, value, least, most) in [
        ("body_bytes_max", limits.body_bytes_max as u64, 1024, 16 * MEBIBYTE),
        ("connections_max", limits.connections_max as u64, 8, 1_000_000),
        ("head_seconds_max", limits.head_seconds_max, 1, HOUR),
        ("decide_seconds_max", limits.decide_seconds_max, 1, HOUR),
        ("peer_answer_seconds_max", limits.peer_answer_seconds_max, 1, HOUR),
        ("request_seconds_max", limits.request_seconds_max, decided, 3 * HOUR),
        ("attempts_max", limits.attempts_max.into(), 1, 100),
        ("proposals_max", limits.proposals_max.into(), 1, 100),
        ("window_wait_millis", limits.window_wait_millis, 0, 1000),
        ("window_hours_max", limits.window_hours_max, 1, 24 * 366),
        ("ahead_days_max", limits.ahead_days_max, 1, 3660),
        ("soft_hold_seconds_max", limits.soft_hold_seconds_max, 1, 24 * HOUR),
        ("undecided_evse_hours_max", limits.undecided_evse_hours_max, 1, 1_000_000_000),
        ("vehicle_booked_hours_max", limits.vehicle_booked_hours_max, 0, 1_000_000_000),
        ("inquire_after_millis", limits.inquire_after_millis, 100, 1000 * HOUR),
        ("grace_seconds", limits.grace_seconds, 0, 24 * HOUR),
        ("tombstone_hours", limits.tombstone_hours, 24, 24 * 3660),
        ("history_days", limits.history_days, HISTORY_DAYS_MIN, 36_600),
        ("archive_days", limits.archive_days, 0, 36_600),
        ("offer_refresh_millis", limits.offer_refresh_millis, 0, HOUR * 1000),
        ("offer_days", limits.offer_days, 1, 366),
        ("offer_evses_max", limits.offer_evses_max as u64, 1, 10_000_000),
        ("watchers_max", limits.watchers_max as u64, 0, 100_000),
        ("story_entries_max", limits.story_entries_max as u64, 0, 10_000_000),
        ("planning_workers", limits.planning_workers as u64, 1, 1024),
        ("planning_queue_max", limits.planning_queue_max as u64, 0, 100_000),
        ("road_answer_millis_max", limits.road_answer_millis_max, 1, 60_000),
        ("road_places_max", limits.road_places_max as u64, 2, 2_000),
    ] {
        if value < least {
            problems.push(format!("limits.{name}: {value} is too small; at least {least}"));
        } else if value > most {
            problems.push(format!("limits.{name}: {value} is too large; at most {most}"));
        }
    }
}
