//! One trip's way through all companies, for whoever runs a collector of traces.
//!
//! A trip is one trace, the caller's if it came with one (W3C trace context). Its attempts are spans, and so is each
//! message to a company and what that company did about it: the context travels with the message. Where nothing is
//! collected, or a trace is not sampled, none of this costs more than a look.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use recarga_reservation::{OperatorId, RequestKey, TransactionId};

/// The header, the MQTT user property and the member of a batch that carry a context.
pub const TRACEPARENT: &str = "traceparent";
/// Transactions whose trace is remembered for what is told to companies later: the latest of them.
const KNOWN_MAX: usize = 16_384;

/// Where spans are collected; clones share it.
#[derive(Clone, Default)]
pub struct Traces {
    collected: Option<Arc<Collected>>,
}

struct Collected {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    contexts: HashMap<TransactionId, Context>,
    order: VecDeque<TransactionId>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("collected", &self.collected.is_some()).finish()
    }
}

impl Traces {
    /// Nothing is collected.
    pub fn off() -> Self {
        Self::default()
    }

    /// Spans go to `provider`, which says which traces are sampled.
    pub fn to(provider: SdkTracerProvider) -> Self {
        let tracer = provider.tracer("recarga");
        Self { collected: Some(Arc::new(Collected { provider, tracer, known: Mutex::default() })) }
    }

    /// A request for a trip, up to its answer: within the caller's trace if there is one.
    pub fn trip(&self, key: &RequestKey) -> Span {
        self.start("trip", SpanKind::Server, &Context::current(), || {
            vec![text("recarga.vehicle", &key.vehicle), text("recarga.request", &key.request)]
        })
    }

    /// An attempt at a trip; what is sent for its transaction belongs to it from now on.
    pub fn attempt(&self, transaction: &TransactionId, trip: &Context) -> Span {
        let span = self
            .start("attempt", SpanKind::Internal, trip, || vec![text("recarga.transaction", transaction)]);
        self.remember(transaction, span.context());
        span
    }

    /// A message about a transaction to a company, up to its reply. Nothing if its trace is not known.
    pub fn message(&self, name: &'static str, to: &OperatorId, transaction: &TransactionId) -> Span {
        let Some(attempt) = self.known(transaction) else { return Span::none() };
        self.start(name, SpanKind::Client, &attempt, || {
            vec![text("recarga.peer", to), text("recarga.transaction", transaction)]
        })
    }

    /// What this company does about a message, within the sender's trace; nothing if it came without one.
    pub fn received(
        &self,
        name: &'static str,
        by: &OperatorId,
        transaction: &TransactionId,
        parent: &Context,
    ) -> Span {
        if self.collected.is_none() || !parent.span().span_context().is_sampled() {
            return Span::none();
        }
        // So that questions about what became of it are seen, too.
        if self.known(transaction).is_none() {
            self.remember(transaction, parent.clone());
        }
        self.start(name, SpanKind::Server, parent, || {
            vec![text("recarga.peer", by), text("recarga.transaction", transaction)]
        })
    }

    /// The context that a message came with under [`TRACEPARENT`], for what it leads to. One that makes no sense is none.
    pub fn come_with<'a>(&self, find: impl FnOnce() -> Option<&'a str>) -> Context {
        match self.collected {
            Some(_) => TraceContextPropagator::new().extract_with_context(&Context::new(), &Found(find())),
            None => Context::new(),
        }
    }

    /// Sends what waits to be sent. Blocks.
    pub fn flush(&self) {
        if let Some(collected) = &self.collected
            && let Err(error) = collected.provider.shutdown()
        {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }

    fn start(
        &self,
        name: &'static str,
        kind: SpanKind,
        parent: &Context,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Span {
        let Some(collected) = &self.collected else { return Span::none() };
        let mut span =
            collected.tracer.span_builder(name).with_kind(kind).start_with_context(&collected.tracer, parent);
        if span.is_recording() {
            span.set_attributes(attributes());
        }
        Span(Some(parent.with_span(span)))
    }

    fn known(&self, transaction: &TransactionId) -> Option<Context> {
        self.collected.as_ref()?.lock().contexts.get(transaction).cloned()
    }

    fn remember(&self, transaction: &TransactionId, context: Context) {
        let Some(collected) = &self.collected else { return };
        if !context.span().span_context().is_sampled() {
            return;
        }
        let mut known = collected.lock();
        if known.contexts.insert(transaction.clone(), context).is_none() {
            known.order.push_back(transaction.clone());
        }
        if known.order.len() > KNOWN_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.contexts.remove(&oldest);
        }
    }
}

impl Collected {
    // What it guards is never left half-changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece of a trace; it ends when this is dropped.
#[derive(Debug)]
pub struct Span(Option<Context>);

impl Span {
    fn none() -> Self {
        Self(None)
    }

    /// For what belongs to it.
    pub fn context(&self) -> Context {
        self.0.clone().unwrap_or_default()
    }

    /// Says more of it.
    pub fn say(&self, name: &'static str, value: impl FnOnce() -> String) {
        if let Some(context) = &self.0
            && context.span().is_recording()
        {
            context.span().set_attribute(KeyValue::new(name, value()));
        }
    }

    /// It failed.
    pub fn fail(&self, reason: impl FnOnce() -> String) {
        if let Some(context) = &self.0
            && context.span().is_recording()
        {
            context.span().set_status(Status::error(reason()));
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// The context of whatever is being done now, as it is put on the wire; none if its trace is not collected.
pub fn current() -> Option<String> {
    let context = Context::current();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut carried = Carried(None);
    TraceContextPropagator::new().inject_context(&context, &mut carried);
    carried.0
}

fn text(name: &'static str, value: &impl ToString) -> KeyValue {
    KeyValue::new(name, Value::from(value.to_string()))
}

struct Found<'a>(Option<&'a str>);

impl Extractor for Found<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.filter(|_| key == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

struct Carried(Option<String>);

impl Injector for Carried {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::FutureExt as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler};

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn collected() -> (Traces, InMemorySpanExporter) {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .with_simple_exporter(exporter.clone())
            .build();
        (Traces::to(provider), exporter)
    }

    fn transaction() -> TransactionId {
        format!("empresa-a.{:032x}.1.1.{:032x}", 1, 2).parse().unwrap()
    }

    fn key() -> RequestKey {
        RequestKey { vehicle: "carro-1".parse().unwrap(), request: "r-1".parse().unwrap() }
    }

    #[tokio::test]
    async fn one_trace_goes_from_the_caller_to_the_other_company_and_back() {
        let (here, spans) = collected();
        let (there, elsewhere) = collected();
        let find = || Some(CALLER);
        let trip = async { here.trip(&key()) }.with_context(here.come_with(find)).await;
        let attempt = here.attempt(&transaction(), &trip.context());
        drop(attempt);
        // Later, when nobody of the caller is there any more.
        let peer = "empresa-b".parse().unwrap();
        let message = here.message("confirm", &peer, &transaction());
        let sent = async { current() }.with_context(message.context()).await.expect("it is sampled");
        let find = || Some(sent.as_str());
        let arrived = there.come_with(find);
        drop(there.received("confirm", &peer, &transaction(), &arrived));
        drop((message, trip));
        let (spans, elsewhere) =
            (spans.get_finished_spans().unwrap(), elsewhere.get_finished_spans().unwrap());
        let names: Vec<_> = spans.iter().chain(&elsewhere).map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["attempt", "confirm", "trip", "confirm"]);
        for span in spans.iter().chain(&elsewhere) {
            assert_eq!(span.span_context.trace_id().to_string(), &CALLER[3..35], "{}", span.name);
        }
        assert_eq!(spans[2].parent_span_id.to_string(), &CALLER[36..52]);
        assert_eq!(elsewhere[0].parent_span_id, spans[1].span_context.span_id());
        assert_eq!(spans[1].parent_span_id, spans[0].span_context.span_id());
    }

    #[tokio::test]
    async fn what_nobody_samples_leaves_no_trace() {
        let (traces, spans) = collected();
        for context in
            [None, Some("nonsense"), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")]
        {
            let find = || context;
            let trip = async { traces.trip(&key()) }.with_context(traces.come_with(find)).await;
            drop(traces.attempt(&transaction(), &trip.context()));
            let message = traces.message("hold", &"empresa-b".parse().unwrap(), &transaction());
            assert_eq!(async { current() }.with_context(message.context()).await, None);
        }
        assert_eq!(spans.get_finished_spans().unwrap().len(), 0);
        let off = Traces::off();
        let find = || Some(CALLER);
        let trip = async { off.trip(&key()) }.with_context(off.come_with(find)).await;
        assert_eq!(async { current() }.with_context(trip.context()).await, None);
    }

    #[test]
    fn only_the_latest_transactions_are_remembered() {
        let (traces, _) = collected();
        let find = || Some(CALLER);
        let context = traces.come_with(find);
        let number = |counter: usize| -> TransactionId {
            format!("empresa-a.{:032x}.1.{counter}.{:032x}", 1, 2).parse().unwrap()
        };
        for counter in 0..KNOWN_MAX + 10 {
            traces.remember(&number(counter), context.clone());
        }
        assert!(traces.known(&number(9)).is_none() && traces.known(&number(10)).is_some());
        assert_eq!(traces.collected.as_ref().unwrap().lock().contexts.len(), KNOWN_MAX);
    }
}
