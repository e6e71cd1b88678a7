//! Each message, as it is put down and, below that, as it is read again.

use recarga_json::Draft;
use recarga_reservation::{EvseId, OperatorId, Timestamp, TransactionId};

use super::reader::Reader;
use crate::batch::{AnswerBody, Batch, BatchAnswer, BatchRequest, Operation, OperationAnswer, RawAnswer};
use crate::hold::{HeldStop, HoldAnswer, HoldKind, HoldRequest, HoldStop, KnownStore, Vehicle, YesVote};
use crate::instant;
use crate::peer::Answer;
use crate::session::{
    CancelReason, CancelRequest, ConfirmRequest, InquiryRequest, SessionAnswer, SessionState,
};
use crate::trip::{StopState, TripAnswer, TripState, TripStopAnswer};

pub(crate) fn put_batch(draft: &mut Draft, batch: &BatchRequest) {
    draft.put("{\"operacoes\":").list(&batch.operacoes, put_operation);
    if let Some(traces) = &batch.rastros {
        draft.put(",\"rastros\":").any(traces);
    }
    draft.put("}");
}

fn put_operation(draft: &mut Draft, operation: &Operation) {
    match operation {
        Operation::ReservaTemporaria(hold) => {
            draft.put("{\"operacao\":\"reserva-temporaria\",\"corpo\":");
            put_hold(draft, hold);
        }
        Operation::ConfirmarReserva(confirm) => {
            draft.put("{\"operacao\":\"confirmar-reserva\",\"corpo\":");
            put_confirm(draft, confirm);
        }
        Operation::CancelarReserva(CancelRequest { sessao, coordenador, motivo }) => {
            draft.put("{\"operacao\":\"cancelar-reserva\",\"corpo\":");
            put_session(draft, sessao, coordenador.as_ref());
            let reason = match motivo {
                CancelReason::Aborto => "aborto",
                CancelReason::ViagemCancelada => "viagem-cancelada",
            };
            draft.put(",\"motivo\":").text(reason).put("}");
        }
        Operation::ConsultarTransacao(InquiryRequest { sessao }) => {
            draft.put("{\"operacao\":\"consultar-transacao\",\"corpo\":{\"sessao\":").shown(sessao).put("}");
        }
    }
    draft.put("}");
}

pub(crate) fn put_confirm(draft: &mut Draft, confirm: &ConfirmRequest) {
    put_session(draft, &confirm.sessao, confirm.coordenador.as_ref());
    draft.put("}");
}

fn put_session(draft: &mut Draft, session: &TransactionId, coordinator: Option<&OperatorId>) {
    draft.put("{\"sessao\":").shown(session);
    if let Some(coordinator) = coordinator {
        draft.put(",\"coordenador\":").text(coordinator.as_str());
    }
}

pub(crate) fn put_hold(draft: &mut Draft, hold: &HoldRequest) {
    draft.put("{\"sessao\":").shown(&hold.sessao);
    draft.put(",\"coordenador\":").text(hold.coordenador.as_str());
    draft.put(",\"requisicao_id\":").text(hold.requisicao_id.as_str());
    draft.put(",\"participantes\":").list(&hold.participantes, |draft, one| {
        draft.text(one.as_str());
    });
    if !hold.depositos.is_empty() {
        draft.put(",\"depositos\":").list(&hold.depositos, |draft, known| {
            draft.put("{\"empresa\":").text(known.empresa.as_str());
            draft.put(",\"deposito\":").shown(&known.deposito).put("}");
        });
    }
    let kind = match hold.tipo {
        HoldKind::Preparada => "preparada",
        HoldKind::Provisoria => "provisoria",
    };
    draft.put(",\"tipo\":").text(kind);
    draft.put(",\"validade_s\":").number(hold.validade_s);
    put_instant(draft.put(",\"prioridade\":"), hold.prioridade);
    draft.put(",\"veiculo\":{\"veiculo_id\":").text(hold.veiculo.veiculo_id.as_str());
    if let Some(plug) = hold.veiculo.plugue {
        draft.put(",\"plugue\":").text(plug.name());
    }
    draft.put("},\"reservas\":").list(&hold.reservas, |draft, stop| {
        put_place(draft.put("{"), stop.parada, &stop.ponto_id, stop.janela_inicio, stop.janela_fim).put("}");
    });
    if let Some(replaced) = &hold.substitui {
        draft.put(",\"substitui\":").shown(replaced);
    }
    draft.put("}");
}

// Where and when a stop is, as all messages say it that a company reads or answers.
fn put_place<'d>(
    draft: &'d mut Draft,
    number: u16,
    evse: &EvseId,
    start: Timestamp,
    end: Timestamp,
) -> &'d mut Draft {
    draft.put("\"parada\":").number(number);
    draft.put(",\"ponto_id\":").text(evse.as_str());
    put_instant(draft.put(",\"janela_inicio\":"), start);
    put_instant(draft.put(",\"janela_fim\":"), end)
}

fn put_instant(draft: &mut Draft, instant: Timestamp) -> &mut Draft {
    draft.text(instant::write(instant, &mut [0; instant::LENGTH_MAX]))
}

/// All of its operations are such that none needs to be explained.
pub(crate) fn batch(bytes: &[u8]) -> Option<Batch> {
    let mut reader = Reader::new(bytes);
    reader.take("{\"operacoes\":[")?;
    let operations = reader.rest_of_list(|reader| operation(reader).map(Ok))?;
    // Where traces are collected, time is spent on them anyway.
    reader.take("}")?;
    reader.end()?;
    let traces = vec![None; operations.len()];
    Some(Batch { operations, traces })
}

fn operation(reader: &mut Reader<'_>) -> Option<Operation> {
    reader.take("{\"operacao\":\"")?;
    let operation = if reader.has("reserva-temporaria\",\"corpo\":") {
        Operation::ReservaTemporaria(hold(reader)?)
    } else if reader.has("confirmar-reserva\",\"corpo\":") {
        let (sessao, coordenador) = session(reader)?;
        reader.take("}")?;
        Operation::ConfirmarReserva(ConfirmRequest { sessao, coordenador })
    } else {
        reader.take("cancelar-reserva\",\"corpo\":")?;
        let (sessao, coordenador) = session(reader)?;
        reader.take(",\"motivo\":\"")?;
        let motivo = if reader.has("aborto\"}") {
            CancelReason::Aborto
        } else {
            reader.take("viagem-cancelada\"}")?;
            CancelReason::ViagemCancelada
        };
        Operation::CancelarReserva(CancelRequest { sessao, coordenador, motivo })
    };
    reader.take("}")?;
    Some(operation)
}

fn place(reader: &mut Reader<'_>) -> Option<(u16, EvseId, Timestamp, Timestamp)> {
    reader.take("\"parada\":")?;
    let number = reader.number()?;
    reader.take(",\"ponto_id\":")?;
    let evse = reader.text()?;
    reader.take(",\"janela_inicio\":")?;
    let start = reader.text()?;
    reader.take(",\"janela_fim\":")?;
    Some((number, evse, start, reader.text()?))
}

fn session(reader: &mut Reader<'_>) -> Option<(TransactionId, Option<OperatorId>)> {
    reader.take("{\"sessao\":")?;
    let session: TransactionId = reader.text()?;
    reader.take(",\"coordenador\":")?;
    let coordinator = reader.operator([&session.coordinator])?;
    Some((session, Some(coordinator)))
}

fn hold(reader: &mut Reader<'_>) -> Option<HoldRequest> {
    reader.take("{\"sessao\":")?;
    let sessao: TransactionId = reader.text()?;
    reader.take(",\"coordenador\":")?;
    let coordenador = reader.operator([&sessao.coordinator])?;
    reader.take(",\"requisicao_id\":")?;
    let requisicao_id = reader.text()?;
    reader.take(",\"participantes\":[")?;
    let participantes = reader.rest_of_list(|reader| reader.operator([&coordenador]))?;
    let mut depositos = Vec::new();
    if reader.has(",\"depositos\":[") {
        depositos = reader.rest_of_list(|reader| {
            reader.take("{\"empresa\":")?;
            let empresa = reader.operator(&participantes)?;
            reader.take(",\"deposito\":")?;
            let deposito = reader.text()?;
            reader.take("}")?;
            Some(KnownStore { empresa, deposito })
        })?;
    }
    reader.take(",\"tipo\":\"preparada\",\"validade_s\":")?;
    let validade_s = reader.number().filter(|seconds| (1..=3600).contains(seconds))?;
    reader.take(",\"prioridade\":")?;
    let prioridade = reader.text()?;
    reader.take(",\"veiculo\":{\"veiculo_id\":")?;
    let veiculo_id = reader.text()?;
    let plugue = if reader.has(",\"plugue\":") { Some(reader.text()?) } else { None };
    reader.take("},\"reservas\":[")?;
    let reservas = reader.rest_of_list(|reader| {
        reader.take("{")?;
        let (parada, ponto_id, janela_inicio, janela_fim) = place(reader)?;
        reader.take("}")?;
        Some(HoldStop { parada, ponto_id, janela_inicio, janela_fim })
    })?;
    // Of a change there are few.
    reader.take("}")?;
    Some(HoldRequest {
        sessao,
        coordenador,
        requisicao_id,
        participantes,
        depositos,
        tipo: HoldKind::Preparada,
        validade_s,
        prioridade,
        veiculo: Vehicle { veiculo_id, plugue },
        reservas,
        substitui: None,
    })
}

pub(crate) fn put_batch_answer(draft: &mut Draft, batch: &BatchAnswer) {
    draft.put("{\"resultados\":").list(&batch.resultados, |draft, OperationAnswer { status, corpo }| {
        draft.put("{\"status\":").number(*status).put(",\"corpo\":");
        match corpo {
            AnswerBody::Hold(answer) => put_hold_answer(draft, answer),
            AnswerBody::Session(answer) => put_session_answer(draft, answer),
            other => {
                draft.any(other);
            }
        }
        draft.put("}");
    });
    draft.put("}");
}

pub(crate) fn put_hold_answer(draft: &mut Draft, answer: &HoldAnswer) {
    draft.put("{\"sessao\":").shown(&answer.sessao);
    if let Some(YesVote::Sim) = answer.voto {
        draft.put(",\"voto\":\"sim\"");
    }
    draft.put(",\"empresa\":").text(answer.empresa.as_str());
    draft.put(",\"deposito\":").shown(&answer.deposito);
    put_instant(draft.put(",\"expira_em\":"), answer.expira_em);
    draft.put(",\"reservas\":").list(&answer.reservas, |draft, stop| {
        draft.put("{\"reserva_id\":").text(&stop.reserva_id).put(",");
        put_place(draft, stop.parada, &stop.ponto_id, stop.janela_inicio, stop.janela_fim).put("}");
    });
    draft.put("}");
}

pub(crate) fn put_session_answer(draft: &mut Draft, answer: &SessionAnswer) {
    let state = match answer.estado {
        SessionState::Confirmada => "confirmada",
        SessionState::Cancelada => "cancelada",
    };
    draft.put("{\"sessao\":").shown(&answer.sessao);
    draft.put(",\"estado\":").text(state);
    draft.put(",\"empresa\":").text(answer.empresa.as_str()).put("}");
}

/// All of the answers are of those that are read here.
pub(crate) fn batch_answer<'a>(bytes: &[u8]) -> Option<Vec<RawAnswer<'a>>> {
    let mut reader = Reader::new(bytes);
    reader.take("{\"resultados\":[")?;
    let answers = reader.rest_of_list(|reader| {
        reader.take("{\"status\":")?;
        let status = reader.number()?;
        reader.take(",\"corpo\":")?;
        let body = answer(reader)?;
        reader.take("}")?;
        Some(RawAnswer { status, body })
    })?;
    reader.take("}")?;
    reader.end()?;
    Some(answers)
}

/// One answer by itself.
pub(crate) fn only_answer(bytes: &[u8]) -> Option<Answer<'static>> {
    let mut reader = Reader::new(bytes);
    let answer = answer(&mut reader)?;
    reader.end()?;
    Some(answer)
}

fn answer(reader: &mut Reader<'_>) -> Option<Answer<'static>> {
    reader.take("{\"sessao\":")?;
    let sessao = reader.text()?;
    if reader.has(",\"voto\":\"sim\",\"empresa\":") {
        return rest_of_hold_answer(reader, sessao).map(Answer::Held);
    }
    reader.take(",\"estado\":\"")?;
    let estado = if reader.has("confirmada\"") {
        SessionState::Confirmada
    } else {
        reader.take("cancelada\"")?;
        SessionState::Cancelada
    };
    reader.take(",\"empresa\":")?;
    let empresa = reader.text()?;
    reader.take("}")?;
    Some(Answer::Done(SessionAnswer { sessao, estado, empresa }))
}

fn rest_of_hold_answer(reader: &mut Reader<'_>, sessao: TransactionId) -> Option<HoldAnswer> {
    let empresa = reader.text()?;
    reader.take(",\"deposito\":")?;
    let deposito = reader.text()?;
    reader.take(",\"expira_em\":")?;
    let expira_em = reader.text()?;
    reader.take(",\"reservas\":[")?;
    let reservas = reader.rest_of_list(|reader| {
        reader.take("{\"reserva_id\":")?;
        let reserva_id = reader.plain()?.to_owned();
        reader.take(",")?;
        let (parada, ponto_id, janela_inicio, janela_fim) = place(reader)?;
        reader.take("}")?;
        Some(HeldStop { reserva_id, parada, ponto_id, janela_inicio, janela_fim })
    })?;
    reader.take("}")?;
    Some(HoldAnswer { sessao, voto: Some(YesVote::Sim), empresa, deposito, expira_em, reservas })
}

pub(crate) fn put_trip_answer(draft: &mut Draft, trip: &TripAnswer) {
    let state = match trip.estado {
        TripState::Confirmada => "confirmada",
        TripState::Cancelada => "cancelada",
        TripState::Alterada => "alterada",
        TripState::Mista => "mista",
    };
    draft.put("{\"viagem_id\":").text(trip.viagem_id.as_str());
    draft.put(",\"estado\":").text(state);
    draft.put(",\"requisicao_id\":").text(trip.requisicao_id.as_str());
    draft.put(",\"veiculo_id\":").text(trip.veiculo_id.as_str());
    draft.put(",\"servidor\":").text(trip.servidor.as_str());
    draft.put(",\"sessao\":").shown(&trip.sessao);
    put_instant(draft.put(",\"decidida_em\":"), trip.decidida_em);
    draft.put(",\"paradas\":").list(&trip.paradas, put_trip_stop);
    if let Some(itinerary) = &trip.roteiro {
        draft.put(",\"roteiro\":").any(itinerary);
    }
    draft.put("}");
}

fn put_trip_stop(draft: &mut Draft, stop: &TripStopAnswer) {
    let state = match stop.estado {
        StopState::Confirmada => "confirmada",
        StopState::AConfirmar => "a_confirmar",
        StopState::Perdida => "perdida",
        StopState::Liberada => "liberada",
    };
    draft.put("{\"parada\":").number(stop.parada);
    draft.put(",\"empresa\":").text(stop.empresa.as_str());
    draft.put(",\"ponto_id\":").text(stop.ponto_id.as_str());
    put_instant(draft.put(",\"janela_inicio\":"), stop.janela_inicio);
    put_instant(draft.put(",\"janela_fim\":"), stop.janela_fim);
    draft.put(",\"estado\":").text(state).put("}");
}

#[cfg(test)]
mod tests {
    use recarga_reservation::{Hold, RequestKey, Stop, StoreId, TimeWindow};

    use super::*;
    use crate::encode;

    // That it makes no difference is tested with messages of all kinds; here, that it is used.
    #[test]
    fn what_is_written_is_read_here() {
        let at = |minutes: i64| Timestamp::from_millis(1_796_000_000_123 + minutes * 60_000);
        let operator = |name: &str| -> OperatorId { name.parse().unwrap() };
        let transaction = TransactionId {
            coordinator: operator("empresa-a"),
            store: StoreId(7),
            epoch: 1,
            counter: 22,
            nonce: u128::MAX,
        };
        let hold = Hold {
            transaction: transaction.clone(),
            key: RequestKey { vehicle: "carro-1".parse().unwrap(), request: "r-1".parse().unwrap() },
            plug: None,
            participants: vec![operator("empresa-a"), operator("empresa-b")],
            stores: [(operator("empresa-b"), StoreId(8))].into(),
            priority: at(0),
            stops: vec![Stop {
                number: 3,
                evse: "B-1".parse().unwrap(),
                window: TimeWindow::new(at(10), at(30)).unwrap(),
            }],
            replaces: None,
        };
        let prepared = recarga_reservation::Firmness::Prepared;
        let operations = vec![
            Operation::ReservaTemporaria(HoldRequest::new(
                &hold,
                prepared,
                std::time::Duration::from_secs(2),
            )),
            Operation::ConfirmarReserva(ConfirmRequest::new(&transaction)),
            Operation::CancelarReserva(CancelRequest::new(&transaction, CancelReason::Aborto)),
        ];
        let sent = encode(&BatchRequest { operacoes: operations.clone(), rastros: None });
        let read = batch(&sent).expect("a batch").operations.into_iter().collect::<Result<Vec<_>, _>>();
        assert_eq!(read, Ok(operations));
        let held = HoldAnswer::new(&hold, prepared, &operator("empresa-b"), StoreId(8), at(1));
        let done = SessionAnswer::new(&transaction, SessionState::Confirmada, &operator("empresa-b"));
        let answers = vec![OperationAnswer::new(201, held.clone()), OperationAnswer::new(200, done.clone())];
        let sent = encode(&BatchAnswer { resultados: answers });
        let read = batch_answer(&sent).expect("answers");
        assert!(matches!(&read[0], RawAnswer { status: 201, body: Answer::Held(answer) } if *answer == held));
        assert!(matches!(&read[1], RawAnswer { status: 200, body: Answer::Done(answer) } if *answer == done));
        assert!(matches!(only_answer(&encode(&held)), Some(Answer::Held(answer)) if answer == held));
        assert!(matches!(only_answer(&encode(&done)), Some(Answer::Done(answer)) if answer == done));
    }
}
