//! What cars say of themselves. It comes by a way of its own, of each unread car only the newest, and is read in small
//! portions: however many cars speak, requests do not wait for them.

use std::sync::Arc;
use std::time::Duration;

use recarga_mqtt::link::Link;
use recarga_reservation::{Timestamp, VehicleId};
use recarga_wire::topic::Topic;
use recarga_wire::vehicle::{VehicleState, VehicleStatus};
use recarga_wire::{Problem, decode};
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::debug;

use crate::app::Node;
use crate::events::Event;

/// Read without a pause for others: some 200 µs.
const PORTION: usize = 128;
/// Between two looks: what a car says meanwhile takes the place of what it said before.
const PAUSE: Duration = Duration::from_millis(50);

/// Clocks of cars and of this company differ by no more, or else a car's is wrong.
const AHEAD: Duration = Duration::from_secs(120);

/// Reads what cars say for as long as the link lives.
pub async fn watch(node: Arc<Node>, link: Link) {
    let Some(latest) = link.latest() else { return };
    let (mut superseded, mut dropped) = (0, 0);
    loop {
        let messages: Vec<_> = latest.take().await.into_iter().collect();
        for portion in messages.chunks(PORTION) {
            see(&node, portion.iter().map(|(topic, payload)| (&**topic, &payload[..])));
            yield_now().await;
        }
        let (newer, lost) = (latest.superseded(), latest.dropped());
        node.metrics.mqtt_many("superseded_status", newer - superseded);
        node.metrics.mqtt_many("dropped_status", lost - dropped);
        (superseded, dropped) = (newer, lost);
        sleep(PAUSE).await;
    }
}

/// Takes in some messages, each with its topic.
pub fn see<'a>(node: &Node, messages: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
    let said: Vec<(VehicleId, VehicleStatus)> =
        messages.into_iter().filter_map(|(topic, payload)| read(node, topic, payload)).collect();
    node.metrics.mqtt_many("status", said.len() as u64);
    let cars: Vec<VehicleId> = said.iter().map(|(vehicle, _)| vehicle.clone()).collect();
    let now = node.clock.now().utc;
    node.vehicles.see(said, now, |known, said| counts(known, said, now));
    for vehicle in cars {
        node.events.send(|| Event::Vehicle { vehicle });
    }
}

// The newer one. A last will was written when the car connected: that the car is gone is news, where it was is none.
fn counts(known: &VehicleStatus, said: VehicleStatus, now: Timestamp) -> Option<VehicleStatus> {
    // A clock that was ahead and has been set right must not silence its car.
    let is_older = said.instante < known.instante && known.instante <= now + AHEAD;
    match said.estado {
        _ if !is_older => Some(said),
        offline @ Some(VehicleState::Offline) => Some(VehicleStatus { estado: offline, ..known.clone() }),
        _ => None,
    }
}

fn read(node: &Node, topic: &str, payload: &[u8]) -> Option<(VehicleId, VehicleStatus)> {
    if payload.is_empty() {
        return None; // how a retained message, such as an old last will, is taken back
    }
    let Ok(Topic::VehicleStatus(vehicle)) = topic.parse() else {
        node.metrics.mqtt("unknown_topic");
        return None;
    };
    match status(&vehicle, payload) {
        Ok(status) => Some((vehicle, status)),
        Err(problem) => {
            node.metrics.mqtt("malformed_status");
            debug!(%vehicle, %problem, "a status that cannot be read");
            None
        }
    }
}

fn status(vehicle: &VehicleId, payload: &[u8]) -> Result<VehicleStatus, Problem> {
    let status: VehicleStatus = decode(payload)?;
    status.check_topic(vehicle)?;
    Ok(status)
}
