//! Figures for Prometheus: what was counted since the start, and what is the case at the moment of the question.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use recarga_reservation::Reason;

use crate::samples::Samples;

/// All figures of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    messages: Family<MessageLabels, Counter>,
    refusals: Family<ReasonLabels, Counter>,
    trips: Family<OutcomeLabels, Counter>,
    trip_seconds: Histogram,
    trip_attempts: Counter,
    /// From the requests of the last trips to their answers.
    pub recent_trips: Samples,
    /// Events that somebody who watches was too slow for, or away too long.
    pub events_missed: Counter,
    /// Trips cancelled by their drivers.
    pub cancelled: Counter,
    /// Questions about transactions in doubt.
    pub inquiries: Counter,
    /// Prepared holds released without an outcome: each wants a person's attention.
    pub heuristic_releases: Counter,
    /// Trips of which a company released its part heuristically.
    pub mixed_outcomes: Counter,
    /// Messages that cannot be if everyone follows the protocol.
    pub alarms: Counter,
    /// Failures to archive what is past, each with a round of tidying given up.
    pub archive_failures: Counter,
    /// HTTP requests by status class.
    http: Family<HttpLabels, Counter>,
    /// MQTT messages taken in, by kind.
    mqtt: Family<MqttLabels, Counter>,
    /// What is the case now; set just before the figures are read.
    pub now: Gauges,
}

/// What is the case at this moment.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Prepared holds that wait for an outcome.
    pub in_doubt: Gauge,
    /// Soft holds.
    pub soft_holds: Gauge,
    /// Trips that are being decided.
    pub waiting: Gauge,
    /// Committed or cancelled trips that some company has yet to acknowledge.
    pub owing: Gauge,
    /// Answers that the broker does not have yet.
    pub answers_owed: Gauge,
    /// Cars with a known status.
    pub vehicles: Gauge,
    /// Whether the broker is connected, 0 or 1.
    pub broker_connected: Gauge,
    /// Other companies that do not answer at present.
    pub peers_unreachable: Gauge,
    /// Until when this company's certificate is good, in seconds since 1970; 0 without TLS.
    pub certificate_not_after: Gauge,
    /// Durable records written since the start.
    pub records: Gauge,
    /// Flushes to disk since the start.
    pub flushes: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MessageLabels {
    message: &'static str,
    result: Done,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
enum Done {
    Answered,
    Refused,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HttpLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MqttLabels {
    message: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("recarga"),
            messages: Family::default(),
            refusals: Family::default(),
            trips: Family::default(),
            // 0.25 ms to 8 s
            trip_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            trip_attempts: Counter::default(),
            recent_trips: Samples::default(),
            events_missed: Counter::default(),
            cancelled: Counter::default(),
            inquiries: Counter::default(),
            heuristic_releases: Counter::default(),
            mixed_outcomes: Counter::default(),
            alarms: Counter::default(),
            archive_failures: Counter::default(),
            http: Family::default(),
            mqtt: Family::default(),
            now: Gauges::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// Counts a message from a company, this one included.
    pub fn message(&self, message: &'static str, answered: bool) {
        let result = if answered { Done::Answered } else { Done::Refused };
        self.messages.get_or_create(&MessageLabels { message, result }).inc();
    }

    /// Counts a no.
    pub fn refused(&self, reason: &Reason) {
        self.refusals.get_or_create(&ReasonLabels { reason: reason_name(reason) }).inc();
    }

    /// Counts a trip that this company decided.
    pub fn trip(&self, outcome: &'static str, took: Duration, attempts: u32) {
        self.trips.get_or_create(&OutcomeLabels { outcome }).inc();
        self.trip_seconds.observe(took.as_secs_f64());
        self.recent_trips.add(took);
        self.trip_attempts.inc_by(attempts.into());
    }

    /// How many trips this company has decided since the start, with one outcome.
    pub fn trips_decided(&self, outcome: &'static str) -> u64 {
        self.trips.get_or_create(&OutcomeLabels { outcome }).get()
    }

    /// Counts an HTTP request. `route` is the pattern, never the path, so that the labels stay few.
    pub fn http(&self, route: &str, status: u16) {
        self.http.get_or_create(&HttpLabels { route: route.to_owned(), status }).inc();
    }

    /// Counts an MQTT message taken in.
    pub fn mqtt(&self, message: &'static str) {
        self.mqtt_many(message, 1);
    }

    /// Counts MQTT messages taken in.
    pub fn mqtt_many(&self, message: &'static str, count: u64) {
        if count > 0 {
            self.mqtt.get_or_create(&MqttLabels { message }).inc_by(count);
        }
    }

    /// The figures in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn register(&mut self) {
        let Self { registry, now, .. } = self;
        registry.register("messages", "Messages between companies", self.messages.clone());
        registry.register("refusals", "Holds refused here, by reason", self.refusals.clone());
        registry.register("trips", "Trips decided here, by outcome", self.trips.clone());
        registry.register_with_unit(
            "trip_decision",
            "From a trip's request to its answer",
            Unit::Seconds,
            self.trip_seconds.clone(),
        );
        registry.register("trip_attempts", "Attempts to book trips", self.trip_attempts.clone());
        registry.register("trips_cancelled", "Trips cancelled by their drivers", self.cancelled.clone());
        registry.register("inquiries", "Questions about transactions in doubt", self.inquiries.clone());
        registry.register(
            "heuristic_releases",
            "Prepared holds released without an outcome",
            self.heuristic_releases.clone(),
        );
        registry.register(
            "mixed_outcomes",
            "Trips of which a company released its part",
            self.mixed_outcomes.clone(),
        );
        registry.register("alarms", "Messages against the protocol", self.alarms.clone());
        let failures = self.archive_failures.clone();
        registry.register("archive_failures", "Failures to archive what is past", failures);
        let missed = self.events_missed.clone();
        registry.register("events_missed", "Events that somebody who watches has missed", missed);
        registry.register("http_requests", "HTTP requests, by route and status", self.http.clone());
        registry.register("mqtt_messages", "MQTT messages taken in", self.mqtt.clone());
        let gauges = [
            ("in_doubt", "Prepared holds that wait for an outcome", &now.in_doubt),
            ("soft_holds", "Soft holds", &now.soft_holds),
            ("trips_waiting", "Trips that are being decided", &now.waiting),
            ("trips_owing", "Trips that some company has yet to acknowledge", &now.owing),
            ("answers_owed", "Answers that the broker does not have yet", &now.answers_owed),
            ("vehicles", "Cars with a known status", &now.vehicles),
            ("broker_connected", "Whether the broker is connected", &now.broker_connected),
            (
                "certificate_not_after_seconds",
                "Until when the certificate is good, since 1970; 0 without TLS",
                &now.certificate_not_after,
            ),
            ("peers_unreachable", "Companies that do not answer at present", &now.peers_unreachable),
            ("durable_records", "Durable records written since the start", &now.records),
            ("flushes", "Flushes to disk since the start", &now.flushes),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
    }
}

fn reason_name(reason: &Reason) -> &'static str {
    match reason {
        Reason::UnknownEvse => "unknown_evse",
        Reason::WrongPlug => "wrong_plug",
        Reason::OutOfService => "out_of_service",
        Reason::InThePast => "in_the_past",
        Reason::TooLong { .. } => "too_long",
        Reason::TooFarAhead { .. } => "too_far_ahead",
        Reason::StopCount { .. } => "stop_count",
        Reason::StopsOverlap => "stops_overlap",
        Reason::Held => "held",
        Reason::Booked { .. } => "booked",
        Reason::Closed => "closed",
        Reason::AnotherStore => "another_store",
        Reason::Different => "different",
        Reason::RequestedElsewhere { .. } => "requested_elsewhere",
        Reason::QuotaReached => "quota_reached",
        Reason::TooManyTrips { .. } => "too_many_trips",
        Reason::TooMuchTime { .. } => "too_much_time",
        Reason::Stale => "stale",
        Reason::Unreachable { .. } => "unreachable",
        Reason::TooSlow => "too_slow",
        Reason::Withdrawn => "withdrawn",
    }
}
