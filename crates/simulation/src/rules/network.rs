//! The network between companies: it loses, repeats, reorders and delays messages, and parts companies.

use super::message::{Call, Message, Purpose, Reply};
use super::node::operator;
use super::queue::{MILLI, Micros, SECOND};
use super::settings::{LATE_MAX, Settings};
use super::trace::trace;
use super::world::{Event, World};

/// What would arrive while it is checked whether everything has healed arrives this much later.
pub const HEALING: Micros = 20 * SECOND;
/// Copies of messages that are kept to arrive after a month.
const KEPT_MAX: usize = 12;

/// Which ways are cut.
#[derive(Debug, Default)]
pub struct Network {
    /// Bit `to` of `cut[from]`.
    pub cut: [u8; 8],
    /// Copies that arrive after a month.
    pub kept: Vec<(usize, Message)>,
    pub kept_replies: Vec<(usize, Reply)>,
}

impl World {
    /// Sends a message and waits for its reply.
    pub fn send(&mut self, from: usize, to: usize, message: Message, purpose: Purpose) {
        let call = self.calls.len();
        self.calls.push(Call { from, to, run: self.nodes[from].run, purpose, is_open: true });
        trace!(self, "{} -> {}  {message:?} (call {call})", operator(from), operator(to));
        self.counts.messages += 1;
        self.model_says(from, &message);
        if self.settings.month_passes && self.network.kept.len() < KEPT_MAX && self.random.u32(..16) == 0 {
            self.network.kept.push((call, message.clone()));
        }
        self.queue.push(self.now + self.nodes[from].answer_max, Event::Silence { call });
        self.carry(from, to, |world, after| {
            world.queue.push(world.now + after, Event::Arrive { call, message: message.clone() });
        });
    }

    /// Sends a reply.
    pub fn reply(&mut self, call: usize, reply: Reply) {
        let Call { from, to, purpose, .. } = self.calls[call];
        trace!(self, "{} <- {}  {reply:?} (call {call})", operator(from), operator(to));
        self.counts.messages += 1;
        self.model_replies(to, purpose, &reply);
        let kept = self.network.kept_replies.len();
        if self.settings.month_passes && kept < KEPT_MAX && self.random.u32(..16) == 0 {
            self.network.kept_replies.push((call, reply.clone()));
        }
        self.carry(to, from, |world, after| {
            world.queue.push(world.now + after, Event::Return { call, reply: reply.clone() });
        });
    }

    pub fn arrive(&mut self, call: usize, message: Message) {
        let Call { from, to, .. } = self.calls[call];
        let node = &self.nodes[to];
        if !node.is_up {
            // Refused at once, if the refusal finds its way.
            self.carry(to, from, |world, after| world.queue.push(world.now + after, Event::Silence { call }));
        } else if self.now < node.frozen_until {
            self.queue.push(node.frozen_until, Event::Arrive { call, message });
        } else {
            self.receive(to, from, call, message);
        }
    }

    pub fn returned(&mut self, call: usize, reply: Option<Reply>) {
        let Call { from, to, run, purpose, is_open } = self.calls[call];
        let node = &self.nodes[from];
        // Votes may come from the grave: whoever counts them must know what is long over.
        let is_vote = matches!(reply, Some(Reply::Vote(_)));
        if (node.run != run && !is_vote) || !node.is_up || (!is_open && reply.is_none()) {
            return;
        }
        if self.now < node.frozen_until {
            let event = match reply {
                Some(reply) => Event::Return { call, reply },
                None => Event::Silence { call },
            };
            self.queue.push(self.nodes[from].frozen_until, event);
            return;
        }
        self.calls[call].is_open = false;
        self.take_reply(from, to, purpose, reply, is_open && run == self.nodes[from].run);
    }

    /// Whether the way is cut, from one company to another.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.network.cut[from] & (1 << to) != 0
    }

    /// How long something is on its way when nothing is wrong.
    pub fn travel(&mut self) -> Micros {
        self.random.u64(100..=self.settings.messages.travel_max)
    }

    // Lets `arrive` happen as often as the network brings what was sent, each time after what it takes.
    fn carry(&mut self, from: usize, to: usize, mut arrive: impl FnMut(&mut Self, Micros)) {
        if self.is_healed {
            let after = self.travel();
            return arrive(self, after);
        }
        let (loss, repetition) = (self.settings.messages.loss, self.settings.messages.repetition);
        let is_repeated = Settings::happens(&mut self.random, repetition);
        for _ in 0..=u32::from(is_repeated) {
            if self.is_cut(from, to) || Settings::happens(&mut self.random, loss) {
                trace!(self, "        lost on the way from {} to {}", operator(from), operator(to));
                self.counts.lost += 1;
                continue;
            }
            let after = self.delayed_travel();
            arrive(self, after);
        }
        self.counts.repeated += u64::from(is_repeated);
    }

    fn delayed_travel(&mut self) -> Micros {
        let mut after = self.travel();
        if Settings::happens(&mut self.random, self.settings.messages.delay) {
            after += self.random.u64(10 * MILLI..4 * SECOND);
            self.counts.delayed += 1;
        } else if Settings::happens(&mut self.random, self.settings.messages.long_delay) {
            after += self.random.u64(SECOND..LATE_MAX);
            self.counts.delayed += 1;
        }
        if self.now + after > self.settings.healed { after + HEALING } else { after }
    }
}
