//! Sends traces of trips to a collector.

use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use recarga_node::config::Config;
use recarga_node::traces::Traces;

/// How long a collector may take for one parcel of spans. What it does not take is lost.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the configuration says of traces. To be called outside of a runtime: the exporter blocks, in a thread of its own.
///
/// # Errors
/// The collector's address cannot be used.
pub fn start(config: &Config) -> Result<Traces> {
    let Some(traces) = &config.traces else { return Ok(Traces::off()) };
    let url = format!("{}/v1/traces", traces.url.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&url)
        .with_timeout(TIMEOUT)
        .build()
        .with_context(|| format!("cannot send traces to {url}"))?;
    let company = config.operator.to_string();
    let resource = Resource::builder()
        .with_service_name("recarga")
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", company))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.share)));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampler)
        .with_batch_exporter(exporter)
        .build();
    Ok(Traces::to(provider))
}
