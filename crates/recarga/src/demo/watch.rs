//! The audit of the demo, over and over while the companies are at work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use recarga_wire::demo::{DemoAudit, DemoCompany, DemoState, DemoVerdict};
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::federation::{Federation, now};
use crate::audit::{Class, Looks, Memory, Verdict, conclusion, read_folder, read_node};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look may take this part of the time, so that a long history does not slow the companies down.
const LOOKING_SHARE: u32 = 10;
/// How long a company may take to answer one question.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Findings that are shown.
const FOUND_MAX: usize = 50;

/// Before anything was examined.
pub fn nothing_yet() -> DemoAudit {
    told(&Verdict::default(), vec![])
}

/// Looks for ever, and tells what is found.
pub async fn audit(federation: Arc<Mutex<Federation>>, to: watch::Sender<DemoAudit>) {
    let mut looks = Looks::default();
    loop {
        let begun = Instant::now();
        match look(&federation, &mut looks).await {
            Ok(verdict) => drop(to.send_replace(verdict)),
            Err(error) => debug!(%error, "the companies cannot be examined"),
        }
        sleep(LOOK_EVERY.max(begun.elapsed() * LOOKING_SHARE)).await;
    }
}

async fn look(federation: &Mutex<Federation>, looks: &mut Looks) -> Result<DemoAudit> {
    let (companies, clients, folders) = {
        let federation = federation.lock().await;
        (federation.follow().borrow().empresas.clone(), federation.clients()?, federation.folders())
    };
    let (mut memories, mut missing) = (Vec::new(), Vec::new());
    for ((company, client), folder) in companies.into_iter().zip(clients).zip(folders) {
        let memory = match company.estado {
            DemoState::NoAr => read_node(&client.with_patience(ANSWER_MAX)).await.ok(),
            DemoState::Parada => read_stopped(federation, &company, &folder).await,
            DemoState::Congelada | DemoState::Iniciando => None,
        };
        match memory {
            Some(memory) => memories.push(memory),
            None => missing.push(company.id.to_string()),
        }
    }
    Ok(told(&looks.look(&memories)?, missing))
}

// Nobody may start it while its folder is open.
async fn read_stopped(
    federation: &Mutex<Federation>,
    company: &DemoCompany,
    folder: &std::path::Path,
) -> Option<Memory> {
    let federation = federation.lock().await;
    let is_stopped = federation.find(company.id.as_str()).is_some_and(|now| now.estado == DemoState::Parada);
    let folder = folder.to_owned();
    if !is_stopped {
        return None;
    }
    let read = tokio::task::spawn_blocking(move || read_folder(&folder)).await;
    drop(federation);
    read.ok()?.ok()
}

fn told(verdict: &Verdict, missing: Vec<String>) -> DemoAudit {
    let word = match verdict {
        _ if verdict.has(Class::Violation) => DemoVerdict::Violada,
        _ if verdict.has(Class::Mixed) => DemoVerdict::Mista,
        _ if verdict.counts.companies == 0 => DemoVerdict::Desconhecido,
        _ if verdict.has(Class::Unsettled) => DemoVerdict::Pendente,
        _ => DemoVerdict::Integra,
    };
    let counts = serde_json::to_value(&verdict.counts).ok();
    let counts: Option<BTreeMap<String, Value>> =
        counts.and_then(|counts| serde_json::from_value(counts).ok());
    let gravest = [Class::Violation, Class::Mixed, Class::Unsettled, Class::Heuristic];
    let found = gravest.into_iter().flat_map(|class| verdict.of(class));
    DemoAudit {
        instante: now(),
        veredito: word,
        texto: conclusion(verdict).to_owned(),
        contagens: counts.unwrap_or_default(),
        achados: found.take(FOUND_MAX).filter_map(|one| serde_json::to_value(one).ok()).collect(),
        nao_examinadas: missing,
    }
}
