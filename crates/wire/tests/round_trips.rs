//! Whatever the rules can say survives the way over the wire.

#![expect(clippy::unwrap_used, reason = "in a test a failure to unwrap is the report")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use recarga_reservation::{
    EvseId, Firmness, Hold, OperatorId, Plug, Reason, Refusal, RequestKey, Stage, Stop, StoreId,
    TRIP_STOPS_MAX, TimeWindow, Timestamp, TransactionId, Trip, TripRequest, TripStop,
};
use recarga_wire::availability::{AvailabilityQuery, Near};
use recarga_wire::batch::{
    BatchAnswer, BatchRequest, Operation, OperationAnswer, decode_batch, decode_batch_answer,
};
use recarga_wire::hold::{HoldAnswer, HoldRequest};
use recarga_wire::peer::{Asked, read_confirmed, read_vote};
use recarga_wire::problem::Stops;
use recarga_wire::session::{
    CancelReason, CancelRequest, ConfirmRequest, InquiryRequest, SessionAnswer, SessionState,
};
use recarga_wire::trip::{TripAnswer, TripBody};
use recarga_wire::vehicle::{VehicleRequestBody, Wish, salvage};
use recarga_wire::version::Version;
use recarga_wire::{Problem, decode, encode};

fn id<T: std::str::FromStr + std::fmt::Debug>() -> impl Strategy<Value = T>
where
    T::Err: std::fmt::Debug,
{
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|text| text.parse().unwrap())
}

// Years 0 to 9999, as RFC 3339 has them.
fn instant() -> impl Strategy<Value = Timestamp> {
    (-62_167_219_200_000i64..253_402_000_000_000).prop_map(Timestamp::from_millis)
}

fn window() -> impl Strategy<Value = TimeWindow> {
    (instant(), 1u64..100_000_000)
        .prop_map(|(start, millis)| TimeWindow::new(start, start + Duration::from_millis(millis)).unwrap())
}

fn transaction() -> impl Strategy<Value = TransactionId> {
    (id(), any::<(u128, u64, u64, u128)>()).prop_map(|(coordinator, (store, epoch, counter, nonce))| {
        TransactionId { coordinator, store: StoreId(store), epoch, counter, nonce }
    })
}

fn plug() -> impl Strategy<Value = Plug> {
    proptest::sample::select(&Plug::ALL[..])
}

fn key() -> impl Strategy<Value = RequestKey> {
    (id(), id()).prop_map(|(vehicle, request)| RequestKey { vehicle, request })
}

// One after the other, so that one car can make them.
fn windows(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<TimeWindow>> {
    (0i64..4_000_000_000_000, vec((0u64..9_000_000, 1u64..9_000_000), count)).prop_map(|(from, gaps)| {
        let mut end = Timestamp::from_millis(from);
        let next = |(gap, length): (u64, u64)| {
            let start = end + Duration::from_millis(gap);
            end = start + Duration::from_millis(length);
            TimeWindow::new(start, end).unwrap()
        };
        gaps.into_iter().map(next).collect()
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    let numbered = |windows: Vec<TimeWindow>| {
        let stop = |(number, window)| id::<EvseId>().prop_map(move |evse| Stop { number, evse, window });
        (0u16..).zip(windows).map(stop).collect::<Vec<_>>()
    };
    let stops = windows(1..=TRIP_STOPS_MAX).prop_flat_map(numbered);
    let participants = vec((id::<OperatorId>(), option::of(any::<u128>())), 1..=32);
    (transaction(), key(), option::of(plug()), participants, instant(), stops, option::of(transaction()))
        .prop_map(|(transaction, key, plug, participants, priority, stops, replaces)| Hold {
            transaction,
            key,
            plug,
            stores: participants
                .iter()
                .filter_map(|(operator, store)| Some((operator.clone(), StoreId((*store)?))))
                .collect(),
            participants: participants.into_iter().map(|(operator, _)| operator).collect(),
            priority,
            stops,
            replaces,
        })
}

fn trip_request() -> impl Strategy<Value = TripRequest> {
    let stops = windows(1..=TRIP_STOPS_MAX).prop_flat_map(|windows| {
        let stop = |window| {
            (id::<OperatorId>(), id::<EvseId>()).prop_map(move |(operator, evse)| TripStop {
                operator,
                stop: Stop { number: 0, evse, window },
            })
        };
        windows.into_iter().map(stop).collect::<Vec<_>>()
    });
    (key(), option::of(plug()), stops)
        .prop_map(|(key, plug, stops)| TripRequest::new(key, plug, stops).unwrap())
}

fn reason() -> impl Strategy<Value = Reason> {
    let seconds = || (0u32..).prop_map(|seconds| Duration::from_secs(seconds.into()));
    prop_oneof![
        Just(Reason::UnknownEvse),
        Just(Reason::WrongPlug),
        Just(Reason::OutOfService),
        Just(Reason::InThePast),
        seconds().prop_map(|max| Reason::TooLong { max }),
        seconds().prop_map(|max| Reason::TooFarAhead { max }),
        (0usize..1000).prop_map(|max| Reason::StopCount { max }),
        Just(Reason::StopsOverlap),
        Just(Reason::Held),
        vec(window(), 0..4).prop_map(|free| Reason::Booked { free }),
        Just(Reason::Closed),
        Just(Reason::Different),
        transaction().prop_map(|transaction| Reason::RequestedElsewhere { transaction }),
        Just(Reason::QuotaReached),
        (id(), 0u32.., 0u32..).prop_map(|(operator, max, used)| Reason::TooManyTrips { operator, max, used }),
        (id(), seconds(), seconds()).prop_map(|(operator, max, used)| Reason::TooMuchTime {
            operator,
            max,
            used
        }),
        Just(Reason::Stale),
        id().prop_map(|operator| Reason::Unreachable { operator }),
        Just(Reason::TooSlow),
        Just(Reason::Withdrawn),
    ]
}

fn query() -> impl Strategy<Value = AvailabilityQuery> {
    let near =
        (-900i32..=900, -1800i32..=1800, 1u32..20_000).prop_map(|(latitude, longitude, radius)| Near {
            latitude: f64::from(latitude) / 10.0,
            longitude: f64::from(longitude) / 10.0,
            radius_km: f64::from(radius),
        });
    let power = (0u32..10_000).prop_map(f64::from);
    (
        option::of(window()),
        option::of("[A-Z]{2}"),
        option::of(plug()),
        option::of(power),
        option::of(id()),
        option::of(near),
        option::of(1usize..=500),
        option::of("\\PC{1,40}"),
        option::of(any::<u64>()),
    )
        .prop_map(|(window, state, plug, power_kw_min, evse, near, limit, cursor, changed_after)| {
            AvailabilityQuery {
                from: window.map(TimeWindow::start),
                until: window.map(TimeWindow::end),
                state,
                plug,
                power_kw_min,
                evse,
                near,
                limit,
                cursor,
                changed_after,
            }
        })
}

// Written piece by piece or by the library: the same bytes. Read piece by piece or by the library, to which a space
// leaves the message: the same.
fn same_bytes(message: &impl recarga_wire::Message) -> Vec<u8> {
    let written = encode(message);
    assert_eq!(String::from_utf8_lossy(&written), serde_json::to_string(message).unwrap());
    written
}

fn with_a_space(message: &[u8]) -> Vec<u8> {
    [b" ", message].concat()
}

proptest! {
    #[test]
    fn whoever_writes_and_reads_it(hold in hold(), soft in any::<bool>(), operator in id::<OperatorId>(), at in instant(), name in "\\PC{0,20}") {
        let firmness = if soft { Firmness::Soft } else { Firmness::Prepared };
        let request = HoldRequest::new(&hold, firmness, Duration::from_secs(7));
        same_bytes(&request);
        let confirm = ConfirmRequest::new(&hold.transaction);
        same_bytes(&confirm);
        let cancel = CancelRequest::new(&hold.transaction, CancelReason::Aborto);
        let mut operations = vec![Operation::ReservaTemporaria(request), Operation::ConfirmarReserva(confirm)];
        operations.push(Operation::CancelarReserva(cancel));
        if soft {
            operations.push(Operation::ConsultarTransacao(InquiryRequest::new(&hold.transaction)));
        }
        let traced = operations.into_iter().map(|one| (one, soft.then(|| name.clone())));
        let batch = same_bytes(&BatchRequest::new(traced, Version::OWN));
        let (one, other) = (decode_batch(&batch).unwrap(), decode_batch(&with_a_space(&batch)).unwrap());
        prop_assert_eq!((one.operations, one.traces), (other.operations, other.traces));

        let mut held = HoldAnswer::new(&hold, firmness, &operator, hold.transaction.store, at);
        held.reservas[0].reserva_id.push_str(&name);
        let done = SessionAnswer::new(&hold.transaction, SessionState::Confirmada, &operator);
        let (held_alone, done_alone) = (same_bytes(&held), same_bytes(&done));
        let asked = Asked { operator: &operator, transaction: &hold.transaction };
        prop_assert_eq!(read_vote(asked, 201, &held_alone), read_vote(asked, 201, &with_a_space(&held_alone)));
        prop_assert_eq!(read_confirmed(asked, 200, &done_alone), Ok(Ok(())));
        prop_assert_eq!(read_confirmed(asked, 200, &with_a_space(&done_alone)), Ok(Ok(())));
        let answers = vec![
            OperationAnswer::new(201, held),
            OperationAnswer::new(200, done),
            Problem::from_refusal(&Refusal::whole(Reason::Held), Stops::OfTrip).as_vote().into(),
        ];
        let answers = answers.into_iter().take(if soft { 3 } else { 2 }).collect();
        let answers = same_bytes(&BatchAnswer { resultados: answers });
        let count = if soft { 3 } else { 2 };
        for answers in [answers.clone(), with_a_space(&answers)] {
            let read = decode_batch_answer(&answers, count).unwrap();
            prop_assert_eq!(read_vote(asked, read[0].status, read[0].body.clone()), read_vote(asked, 201, &held_alone));
            prop_assert_eq!(read_confirmed(asked, read[1].status, read[1].body.clone()), Ok(Ok(())));
        }
    }

    #[test]
    fn booked_trips(request in trip_request(), transaction in transaction(), trip in id(), at in instant(), lost in any::<bool>(), stage in 0..4) {
        let participants: BTreeSet<OperatorId> = request.stops().iter().map(|one| one.operator.clone()).collect();
        let stage = match stage {
            0 => Stage::Committed { unacknowledged: participants.clone() },
            1 => Stage::Settled,
            2 => Stage::Cancelled { unreleased: participants.clone() },
            _ => Stage::Replaced,
        };
        let lost = if lost { participants.clone() } else { Default::default() };
        let request = Arc::new(request);
        let trip = Trip { id: trip, transaction, request, decided: at, stage, lost, replaces: None, participants };
        let answer = TripAnswer::new(&trip);
        prop_assert_eq!(decode::<TripAnswer>(&same_bytes(&answer)), Ok(answer));
    }

    #[test]
    fn holds(hold in hold(), soft in any::<bool>(), seconds in 1u64..=3600) {
        let firmness = if soft { Firmness::Soft } else { Firmness::Prepared };
        let valid_for = Duration::from_secs(seconds);
        let request = HoldRequest::new(&hold, firmness, valid_for);
        let sent = encode(&request);
        let read = decode::<HoldRequest>(&sent).and_then(HoldRequest::into_hold);
        prop_assert_eq!(read, Ok((hold.clone(), firmness, valid_for)));

        let operations = vec![
            Operation::ReservaTemporaria(request),
            Operation::ConfirmarReserva(ConfirmRequest::new(&hold.transaction)),
            Operation::CancelarReserva(CancelRequest::new(&hold.transaction, CancelReason::ViagemCancelada)),
            Operation::ConsultarTransacao(InquiryRequest::new(&hold.transaction)),
        ];
        let batch = BatchRequest::new(operations.iter().map(|one| (one.clone(), None)), Version::OWN);
        let read: Result<Vec<_>, _> = decode_batch(&encode(&batch)).unwrap().operations.into_iter().collect();
        prop_assert_eq!(read, Ok(operations));
    }

    #[test]
    fn trips(request in trip_request(), operator in option::of(id::<OperatorId>()), expires in option::of(instant())) {
        let read = decode::<TripBody>(&encode(&TripBody::new(&request))).and_then(|body| body.into_request(None));
        prop_assert_eq!(read, Ok(request.clone()));

        let sent = encode(&VehicleRequestBody::book(&request, operator.clone(), expires));
        let read = decode::<VehicleRequestBody>(&sent).unwrap().into_request(&request.key().vehicle).unwrap();
        prop_assert_eq!((read.operator, read.expires), (operator, expires));
        let salvaged = salvage(&sent);
        prop_assert_eq!(salvaged.request.as_ref(), Some(&request.key().request));
        prop_assert_eq!(salvaged.vehicle.as_ref(), Some(&request.key().vehicle));
        prop_assert_eq!(read.wish, Wish::Book(request));
    }

    #[test]
    fn refusals(reason in reason(), stop in option::of(0u16..16)) {
        let refusal = Refusal { stop, reason };
        let problem = Problem::from_refusal(&refusal, Stops::OfTrip);
        prop_assert!(problem.to_refusal().is_err(), "not a vote until it says so");
        let vote = problem.as_vote();
        let read = decode::<Problem>(&encode(&vote)).unwrap();
        prop_assert_eq!(&read, &vote);
        prop_assert_eq!(read.to_refusal(), Ok(refusal));
    }

    #[test]
    fn queries(query in query()) {
        prop_assert_eq!(AvailabilityQuery::decode(&query.encode()), Ok(query));
    }
}
