//! What a million reservations have in common.

use std::sync::Arc;

use recarga_reservation::{
    Branch, Firmness, Hold, HoldAnswer, HoldLimits, Participant, Patience, StoreId, TransactionId, Vote,
};

use crate::federation::{HOUR, NOW, evse, hours, key, operator, stop};

// There may be a million reservations, and a text takes as much as the rest of one.
#[test]
fn a_text_is_kept_once_however_many_reservations_have_it() {
    let offered = [evse("b-1")];
    let new = || Participant::new(operator("b"), StoreId(2), &offered, HoldLimits::default());
    let mut participant = new();
    // Of two companies in turn, so that those of one are not next to each other.
    let holds = [(1, "a"), (2, "c"), (3, "a")].map(|(counter, coordinator)| {
        let coordinator = || operator(coordinator);
        let transaction =
            TransactionId { coordinator: coordinator(), store: StoreId(1), epoch: 1, counter, nonce: 0 };
        Hold {
            transaction,
            key: key(&format!("r{counter}")),
            plug: None,
            participants: vec![coordinator(), operator("b")],
            stores: [(coordinator(), StoreId(1)), (operator("b"), StoreId(2))].into(),
            priority: NOW.utc,
            stops: vec![stop("b-1", hours(counter as u32, counter as u32 + 1))],
            replaces: None,
        }
    });
    for hold in &holds {
        let by = &hold.transaction.coordinator;
        let patience = Patience::MustVote;
        let step = participant.hold(by, hold, Firmness::Prepared, HOUR, patience, NOW).unwrap();
        assert!(matches!(step.answer, HoldAnswer::Vote(Vote::Yes { .. })));
    }
    let mut restored = new();
    for hold in &holds {
        let branch = Branch::Confirmed { hold: Arc::new(hold.clone()) };
        restored.restore(hold.transaction.clone(), branch, NOW);
    }
    for participant in [&participant, &restored] {
        let places = |hold: &Hold| {
            let Some(Branch::Prepared { hold } | Branch::Confirmed { hold }) =
                participant.branch(&hold.transaction)
            else {
                panic!("{hold:?} is not there")
            };
            let operators = hold.participants.iter().chain(hold.stores.keys());
            let operators = operators.chain([&hold.transaction.coordinator]).map(|one| one.as_str().as_ptr());
            operators.chain(hold.stops.iter().map(|stop| stop.evse.as_str().as_ptr())).collect::<Vec<_>>()
        };
        assert_eq!(places(&holds[0]), places(&holds[2]));
        assert_ne!(places(&holds[0]), places(&holds[1]));
    }
}
