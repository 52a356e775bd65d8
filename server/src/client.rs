//! What a connection shares with the tasks that answer its requests later.

use crate::admission::Charge;
use crate::record::{Record, State};
use bytes::BytesMut;
use dodona_protocol::request::EventType;
use dodona_protocol::{Compression, Encoding, SegmentFormat, Version};
use dodona_query::Session;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

/// Events that a client has not read; a client that reads none of this many is given up.
const MAX_WAITING_EVENTS: usize = 1_024;

/// An answer that was made outside the connection's own turn.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The envelope.
    pub(crate) bytes: BytesMut,
    /// What it and its request hold of the bytes in flight.
    pub(crate) charge: Charge,
}

/// A client, as far as several tasks of its core know it.
#[derive(Debug)]
pub(crate) struct Client {
    /// What other threads may know of it, its session among that.
    pub(crate) record: Arc<Record>,
    state: Cell<State>,
    /// Version and compression.
    pub(crate) encoding: Cell<Encoding>,
    /// How its segments are made, once it sends segments.
    pub(crate) segments: Cell<Option<SegmentFormat>>,
    /// It wants OVERLOADED errors.
    pub(crate) throws_on_overload: Cell<bool>,
    events: Cell<u8>,
    mailbox: RefCell<Mailbox>,
    in_flight_bytes: Cell<usize>,
    in_flight: Cell<usize>,
}

#[derive(Debug, Default)]
struct Mailbox {
    answers: Vec<Answer>,
    events: Vec<dodona_protocol::response::Event>,
    closing: Closing,
    waker: Option<Waker>,
}

/// Whether a connection has to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    /// It goes on.
    #[default]
    No,
    /// It ends once everything in flight has been answered.
    Drain,
    /// It ends at once.
    Now,
}

impl Client {
    pub(crate) fn new(record: Arc<Record>) -> Self {
        Self {
            record,
            state: Cell::new(State::Fresh),
            encoding: Cell::new(Encoding::new(Version::HIGHEST, Compression::None)),
            segments: Cell::new(None),
            throws_on_overload: Cell::new(false),
            events: Cell::new(0),
            mailbox: RefCell::default(),
            in_flight_bytes: Cell::new(0),
            in_flight: Cell::new(0),
        }
    }

    /// Its session.
    pub(crate) fn session(&self) -> &Session {
        &self.record.session
    }

    /// How far it has come.
    pub(crate) const fn state(&self) -> State {
        self.state.get()
    }

    /// Notes how far it has come.
    pub(crate) fn set_state(&self, state: State) {
        self.state.set(state);
        self.record.set_stage(state);
    }

    /// Registers for events.
    pub(crate) fn register(&self, events: &[EventType]) {
        let bits = events.iter().fold(self.events.get(), |bits, event| bits | 1 << *event as u8);
        self.events.set(bits);
    }

    /// True if the client wants events of this kind.
    pub(crate) const fn wants(&self, event: EventType) -> bool {
        self.events.get() & 1 << event as u8 != 0
    }

    /// Notes that a request of `charge` is being answered elsewhere.
    pub(crate) fn begin(&self, charge: &Charge) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.in_flight_bytes.set(self.in_flight_bytes.get() + charge.bytes());
    }

    /// Hands over the answer of a request that held `before` bytes so far.
    pub(crate) fn finish(&self, before: usize, answer: Answer) {
        let bytes = self.in_flight_bytes.get() - before + answer.charge.bytes();
        self.in_flight_bytes.set(bytes);
        self.mailbox.borrow_mut().answers.push(answer);
        self.wake();
    }

    /// Bytes of the requests that are answered elsewhere, and of their answers.
    pub(crate) const fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes.get()
    }

    /// True if no request is being answered elsewhere.
    pub(crate) const fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// Tells the client of an event.
    pub(crate) fn tell(&self, event: &dodona_protocol::response::Event) {
        let mut mailbox = self.mailbox.borrow_mut();
        if mailbox.events.len() < MAX_WAITING_EVENTS {
            mailbox.events.push(event.clone());
        } else {
            mailbox.closing = Closing::Now;
        }
        drop(mailbox);
        self.wake();
    }

    /// Ends the connection.
    pub(crate) fn close(&self, closing: Closing) {
        let mut mailbox = self.mailbox.borrow_mut();
        mailbox.closing = mailbox.closing.max(closing);
        drop(mailbox);
        self.wake();
    }

    /// Whether the connection has to end.
    pub(crate) fn closing(&self) -> Closing {
        self.mailbox.borrow().closing
    }

    /// True if there are answers or events to send, or the connection has to end. If not, `waker`
    /// is woken once there are.
    pub(crate) fn has_mail(&self, waker: &Waker) -> bool {
        let mut mailbox = self.mailbox.borrow_mut();
        if !mailbox.answers.is_empty() || !mailbox.events.is_empty() || mailbox.closing == Closing::Now {
            return true;
        }
        if mailbox.closing == Closing::Drain && self.is_idle() {
            return true;
        }
        match &mut mailbox.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }

    /// The oldest answer, if there is one.
    pub(crate) fn take_answers(&self) -> Vec<Answer> {
        let answers = std::mem::take(&mut self.mailbox.borrow_mut().answers);
        let bytes: usize = answers.iter().map(|answer| answer.charge.bytes()).sum();
        self.in_flight.set(self.in_flight.get() - answers.len());
        self.in_flight_bytes.set(self.in_flight_bytes.get() - bytes);
        answers
    }

    /// The events to send.
    pub(crate) fn take_events(&self) -> Vec<dodona_protocol::response::Event> {
        std::mem::take(&mut self.mailbox.borrow_mut().events)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        let waker = self.mailbox.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
