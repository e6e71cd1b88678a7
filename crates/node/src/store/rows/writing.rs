//! The rows that every trip leaves several of, put down piece by piece: what they take is most of what the journal does.

use recarga_json::Draft;
use recarga_reservation::{AbortCause, Branch, Hold, OperatorId, Stage, Stop, Timestamp, Trip};

/// Long enough for nearly every row, so that it is written without moving.
const USUAL_BYTES: usize = 640;

/// What this company does for a transaction.
pub(super) fn branch(branch: &Branch) -> Vec<u8> {
    let mut draft = Draft::with_capacity(USUAL_BYTES);
    let (state, hold, cause, at) = match branch {
        Branch::Held { hold, expires } => ("held", Some(hold), None, Some(*expires)),
        Branch::Prepared { hold } => ("prepared", Some(hold), None, None),
        Branch::Confirmed { hold } => ("confirmed", Some(hold), None, None),
        Branch::Released { hold } => ("released", Some(hold), None, None),
        Branch::Aborted { cause, at, hold } => ("aborted", hold.as_ref(), Some(*cause), Some(*at)),
    };
    draft.put("{\"state\":").text(state);
    if let Some(hold) = hold {
        draft.put(",\"hold\":");
        put_hold(&mut draft, hold);
    }
    if let Some(cause) = cause {
        let cause = match cause {
            AbortCause::Coordinator => "coordinator",
            AbortCause::VotedNo => "voted_no",
            AbortCause::Expired => "expired",
            AbortCause::Inquired => "inquired",
            AbortCause::Heuristic => "heuristic",
        };
        draft.put(",\"cause\":").text(cause);
    }
    if let Some(at) = at {
        draft.put(",\"at\":").number(at.as_millis());
    }
    draft.put("}");
    draft.into_bytes()
}

fn put_hold(draft: &mut Draft, hold: &Hold) {
    draft.put("{\"transaction\":").shown(&hold.transaction);
    draft.put(",\"vehicle\":").text(hold.key.vehicle.as_str());
    draft.put(",\"request\":").text(hold.key.request.as_str());
    if let Some(plug) = hold.plug {
        draft.put(",\"plug\":").text(plug.name());
    }
    draft.put(",\"participants\":").list(&hold.participants, put_operator);
    if !hold.stores.is_empty() {
        draft.put(",\"stores\":{");
        for (place, (operator, store)) in hold.stores.iter().enumerate() {
            if place > 0 {
                draft.put(",");
            }
            draft.text(operator.as_str()).put(":").shown(store);
        }
        draft.put("}");
    }
    draft.put(",\"priority\":").number(hold.priority.as_millis());
    draft.put(",\"stops\":").list(&hold.stops, |draft, stop| put_stop(draft, None, stop));
    if let Some(replaced) = &hold.replaces {
        draft.put(",\"replaces\":").shown(replaced);
    }
    draft.put("}");
}

/// A trip that this company coordinates.
pub(super) fn trip(trip: &Trip) -> Vec<u8> {
    let mut draft = Draft::with_capacity(USUAL_BYTES + 256);
    let request = &trip.request;
    draft.put("{\"id\":").text(trip.id.as_str());
    draft.put(",\"transaction\":").shown(&trip.transaction);
    draft.put(",\"vehicle\":").text(request.key().vehicle.as_str());
    draft.put(",\"request\":").text(request.key().request.as_str());
    if let Some(plug) = request.plug() {
        draft.put(",\"plug\":").text(plug.name());
    }
    draft
        .put(",\"stops\":")
        .list(request.stops(), |draft, one| put_stop(draft, Some(&one.operator), &one.stop));
    draft.put(",\"decided\":").number(trip.decided.as_millis());
    let (stage, waiting_for) = match &trip.stage {
        Stage::Committed { unacknowledged } => ("committed", Some(unacknowledged)),
        Stage::Settled => ("settled", None),
        Stage::Cancelled { unreleased } => ("cancelled", Some(unreleased)),
        Stage::Replaced => ("replaced", None),
    };
    draft.put(",\"stage\":").text(stage);
    if let Some(waiting_for) = waiting_for.filter(|operators| !operators.is_empty()) {
        draft.put(",\"waiting_for\":").list(waiting_for, put_operator);
    }
    if !trip.lost.is_empty() {
        draft.put(",\"lost\":").list(&trip.lost, put_operator);
    }
    if let Some(replaced) = &trip.replaces {
        draft.put(",\"replaces\":").shown(replaced);
    }
    draft.put(",\"participants\":").list(&trip.participants, put_operator);
    if let Some(planned) = request.planned() {
        draft.put(",\"planned\":{\"wish\":").text(&planned.wish);
        draft.put(",\"itinerary\":").text(&planned.itinerary).put("}");
    }
    draft.put("}");
    draft.into_bytes()
}

fn put_operator(draft: &mut Draft, operator: &OperatorId) {
    draft.text(operator.as_str());
}

// In a hold every stop is at the company whose store this is.
fn put_stop(draft: &mut Draft, operator: Option<&OperatorId>, stop: &Stop) {
    draft.put("{");
    if let Some(operator) = operator {
        draft.put("\"operator\":").text(operator.as_str()).put(",");
    }
    draft.put("\"number\":").number(stop.number);
    draft.put(",\"evse\":").text(stop.evse.as_str());
    let at = |instant: Timestamp| instant.as_millis();
    draft.put(",\"start\":").number(at(stop.window.start()));
    draft.put(",\"end\":").number(at(stop.window.end())).put("}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use recarga_reservation::{
        Planned, Plug, RequestKey, StoreId, TimeWindow, TransactionId, TripRequest, TripStop,
    };

    use super::*;

    fn stop() -> Stop {
        let at = |seconds: i64| Timestamp::from_millis(1_796_000_000_000 + seconds * 1000);
        Stop { number: 3, evse: "B-1".parse().unwrap(), window: TimeWindow::new(at(0), at(60)).unwrap() }
    }

    fn transaction(counter: u64) -> TransactionId {
        let coordinator = "empresa-a".parse().unwrap();
        TransactionId { coordinator, store: StoreId(7), epoch: 1, counter, nonce: 9 }
    }

    fn key() -> RequestKey {
        RequestKey { vehicle: "carro-1".parse().unwrap(), request: "r-1".parse().unwrap() }
    }

    const STORE: &str = "00000000000000000000000000000007";
    const NONCE: &str = "00000000000000000000000000000009";

    // What an older program reads, and people.
    #[test]
    fn a_branch_has_this_form() {
        let operators = || vec!["empresa-a".parse().unwrap(), "empresa-b".parse().unwrap()];
        let mut hold = Hold {
            transaction: transaction(22),
            key: key(),
            plug: None,
            participants: operators(),
            stores: [].into(),
            priority: Timestamp::from_millis(-5),
            stops: vec![stop()],
            replaces: None,
        };
        let text = |branch: &Branch| String::from_utf8(super::branch(branch)).unwrap();
        let begun =
            format!(r#""transaction":"empresa-a.{STORE}.1.22.{NONCE}","vehicle":"carro-1","request":"r-1""#);
        let participants = r#""participants":["empresa-a","empresa-b"]"#;
        let stops =
            r#""priority":-5,"stops":[{"number":3,"evse":"B-1","start":1796000000000,"end":1796000060000}]"#;
        assert_eq!(
            text(&Branch::Prepared { hold: Arc::new(hold.clone()) }),
            format!(r#"{{"state":"prepared","hold":{{{begun},{participants},{stops}}}}}"#)
        );
        hold.plug = Some(Plug::ALL[0]);
        hold.stores = operators().into_iter().map(|operator| (operator, StoreId(7))).collect();
        hold.replaces = Some(transaction(21));
        let stores = format!(r#""stores":{{"empresa-a":"{STORE}","empresa-b":"{STORE}"}}"#);
        let replaces = format!(r#""replaces":"empresa-a.{STORE}.1.21.{NONCE}""#);
        let plug = format!(r#""plug":"{}""#, Plug::ALL[0].name());
        let hold = Some(Arc::new(hold));
        let at = Timestamp::from_millis(12);
        assert_eq!(
            text(&Branch::Aborted { cause: AbortCause::Heuristic, at, hold }),
            format!(
                r#"{{"state":"aborted","hold":{{{begun},{plug},{participants},{stores},{stops},{replaces}}},"cause":"heuristic","at":12}}"#
            )
        );
    }

    #[test]
    fn a_trip_has_this_form() {
        let operator: OperatorId = "empresa-b".parse().unwrap();
        let request =
            TripRequest::new(key(), None, vec![TripStop { operator: operator.clone(), stop: stop() }]);
        let planned = Planned { wish: "{\"a\"}".into(), itinerary: "é".into() };
        let trip = Trip {
            id: "abc".parse().unwrap(),
            transaction: transaction(22),
            request: Arc::new(request.unwrap().planned_for(planned)),
            decided: Timestamp::from_millis(12),
            stage: Stage::Committed { unacknowledged: [operator.clone()].into() },
            lost: [operator.clone()].into(),
            replaces: Some(transaction(21)),
            participants: [operator].into(),
        };
        assert_eq!(
            String::from_utf8(super::trip(&trip)).unwrap(),
            format!(
                r#"{{"id":"abc","transaction":"empresa-a.{STORE}.1.22.{NONCE}","vehicle":"carro-1","request":"r-1","stops":[{{"operator":"empresa-b","number":0,"evse":"B-1","start":1796000000000,"end":1796000060000}}],"decided":12,"stage":"committed","waiting_for":["empresa-b"],"lost":["empresa-b"],"replaces":"empresa-a.{STORE}.1.21.{NONCE}","participants":["empresa-b"],"planned":{{"wish":"{{\"a\"}}","itinerary":"é"}}}}"#
            )
        );
    }
}
