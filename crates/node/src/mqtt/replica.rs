//! Cars' requests that the broker gives to a replica which does not lead.

use std::sync::Arc;

use hyper_util::client::legacy::connect::Connect;
use recarga_mqtt::link::{AckToken, Incoming, Link};
use recarga_reservation::OperatorId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use super::request_options;
use crate::config;
use crate::replicas::{Front, Letter};
use crate::traces::TRACEPARENT;

/// Passes them on to the leader until `stop`.
pub async fn pass_on<C: Connect + Clone + Send + Sync + 'static>(
    front: Arc<Front<C>>,
    operator: OperatorId,
    broker: config::Mqtt,
    replica: String,
    stop: CancellationToken,
) {
    let (link, mut incoming) = match Link::open(request_options(&operator, &broker, Some(&replica))) {
        Ok(opened) => opened,
        Err(error) => return error!(%error, "cannot speak MQTT; mend the configuration"),
    };
    let tasks = TaskTracker::new();
    while let Some(Some(message)) = stop.run_until_cancelled(incoming.recv()).await {
        let (front, stop) = (front.clone(), stop.clone());
        tasks.spawn(async move {
            let (letter, ack) = letter(message);
            // What is not safe with the leader is not acknowledged: the broker brings it again, to whichever replica.
            if let Some(true) = stop.run_until_cancelled(front.hand_over(&letter)).await {
                ack.done();
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    link.shutdown().await;
}

/// What counts of a message, and how to acknowledge it.
pub(super) fn letter(message: Incoming) -> (Letter, AckToken) {
    let Incoming { topic, payload, ack, response_topic, correlation_data, mut user_properties, .. } = message;
    let trace = user_properties.iter().position(|(name, _)| name == TRACEPARENT);
    let letter = Letter {
        topic,
        payload: payload.into(),
        response_topic,
        correlation: correlation_data.map(Into::into),
        trace: trace.map(|at| user_properties.swap_remove(at).1),
    };
    (letter, ack)
}
