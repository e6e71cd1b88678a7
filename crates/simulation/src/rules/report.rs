//! What a run did, in numbers, and how people are told.

/// Counts of what happened, summed over runs.
macro_rules! counts {
    ($($name:ident: $text:literal,)*) => {
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $(pub $name: u64,)* }

        impl Counts {
            pub fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }

            /// Each with its name, in order.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name),)*]
            }
        }
    };
}

counts! {
    events: "events",
    messages: "messages and replies between companies",
    lost: "lost on the way",
    repeated: "repeated on the way",
    delayed: "delayed on the way",
    flushes: "flushes",
    transactions: "transactions",
    committed: "transactions committed",
    changed: "of these, changes",
    aborted: "transactions aborted",
    yes: "votes yes",
    no: "votes no",
    waited: "holds that waited behind a younger trip",
    attempts_again: "attempts after a passing refusal",
    joined: "requests that joined one under way",
    asked: "questions of drivers",
    answers: "answers to drivers",
    booked: "drivers told that a trip is booked",
    refused: "drivers told that a trip is refused",
    elsewhere: "requests turned to another company",
    requested_elsewhere: "of these, refused as requested elsewhere",
    cancelled: "trips cancelled",
    withdrawn: "requests withdrawn",
    expired: "soft holds run out",
    inquiries: "questions about doubts",
    learnt: "doubts ended by an answer",
    heuristic: "heuristic releases",
    forced: "holds given up by command",
    mixed: "mixed outcomes reported",
    alarms: "alarms",
    kills: "processes killed",
    power_losses: "power losses",
    lost_disks: "disks lost",
    starts: "starts",
    freezes: "processes frozen",
    partitions: "partitions",
    clock_jumps: "wall clocks set",
    forgotten: "branches, tombstones and trips forgotten",
    haunted: "messages a month late",
}
