//! A client's connection: read what the socket has, answer all of it into one buffer, send once.
//!
//! A round takes every complete request that has arrived and every answer that was made
//! elsewhere. Writes are acknowledged into the buffer at once; the buffer is sent when the commit
//! log counts them as safe. While a buffer waits to be sent nothing is read, so that a client
//! that does not read holds one buffer.

use crate::admission::{Charge, RETRY_PERIOD};
use crate::answers::failing;
use crate::client::{Client, Closing};
use crate::convert::cluster_error;
use crate::dispatch::Turn;
use crate::inbound::{Fatal, Inbound};
use crate::outbound::Outbound;
use crate::record::State;
use crate::worker::{Stage, Worker};
use dodona_env::net::Stream;
use dodona_protocol::{Encoding, Extras, ResponseWriter};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a client may take to get through STARTUP and authentication.
pub(crate) const LOGIN_TIME: Duration = Duration::from_secs(60);

/// Serves a client until it goes.
pub(crate) async fn serve(worker: Rc<Worker>, stream: Box<dyn Stream>, address: SocketAddr) {
    let entered = worker.enter(address);
    let client = &entered.client;
    if *worker.shared.phase.borrow() != crate::shared::Phase::Serving {
        return;
    }
    let mut connection = Connection {
        charge: worker.shared.admission.charge(0),
        worker: &worker,
        client,
        stream,
        inbound: Inbound::new(),
        outbound: Outbound::default(),
        login: None,
    };
    connection.limit_login();
    if let Err(error) = connection.run().await {
        tracing::debug!(client = %address, %error, "a connection broke");
    }
}

/// Why a turn of a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// Bytes have been read.
    Read,
    /// There are answers or events to send.
    Mail,
    /// The client has gone, or the connection has to end.
    End,
}

struct Connection<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    stream: Box<dyn Stream>,
    inbound: Inbound,
    outbound: Outbound,
    /// Counts the memory of requests that have not arrived whole.
    charge: Charge,
    /// Keeps the task alive that ends a login which takes too long.
    login: Option<Rc<()>>,
}

impl Connection<'_> {
    async fn run(&mut self) -> io::Result<()> {
        let clock = std::sync::Arc::clone(&self.worker.shared.node.env.clock);
        let mut more = false;
        loop {
            if !more && poll_fn(|context| self.poll_ready(context)).await? == Ready::End {
                return Ok(());
            }
            let began = clock.mono();
            self.outbound.begin(self.client.segments.get(), &self.worker.buffers);
            let turn = self.turn();
            self.append_mail();
            self.make_safe().await;
            let fatal = match turn {
                Ok((paused, answered)) => {
                    more = paused;
                    let now = clock.mono();
                    let took = now.saturating_sub(began);
                    self.worker.metrics.latency.record(took, answered);
                    self.worker.shared.node.coordinator.note_served(&self.outbound.served, now, took);
                    None
                }
                Err(fatal) => Some(fatal),
            };
            if let Some(fatal) = fatal {
                return self.refuse(&fatal).await;
            }
            self.outbound.end();
            let sent = self.outbound.send(&mut *self.stream, &self.worker.buffers).await?;
            self.worker.metrics.bytes_written.add(sent as u64);
            if self.client.closing() == Closing::Now {
                return Ok(());
            }
        }
    }

    /// Ready when there is something to do.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let closing = self.client.closing();
        if closing == Closing::No
            && self.may_read()
            && let Poll::Ready(read) =
                self.inbound.poll_fill(&mut *self.stream, &self.worker.buffers, context)
        {
            let read = read?;
            self.worker.metrics.bytes_read.add(read as u64);
            return Poll::Ready(Ok(if read == 0 { Ready::End } else { Ready::Read }));
        }
        if !self.client.has_mail(context.waker()) {
            return Poll::Pending;
        }
        // An answer that is there is sent before the end.
        let ends = closing == Closing::Now || (closing == Closing::Drain && self.client.is_idle());
        Poll::Ready(Ok(if ends { Ready::End } else { Ready::Mail }))
    }

    /// True if more may be taken in. If not, the task is woken when that may have changed.
    fn may_read(&self) -> bool {
        let admission = &self.worker.shared.admission;
        if self.client.throws_on_overload.get() {
            return true;
        }
        if admission.is_too_much(self.client.in_flight_bytes()) {
            return false;
        }
        // A message that has begun to arrive is let in, or two of them could wait for each other.
        if admission.is_full() && self.charge.bytes() == 0 {
            let client = Rc::clone(self.client);
            self.worker.shared.node.env.tasks.spawn_local(async move {
                dodona_env::clock::sleep(RETRY_PERIOD).await;
                client.wake();
            });
            return false;
        }
        true
    }

    /// Answers what has arrived. Returns whether there is more, and how many were answered.
    fn turn(&mut self) -> Result<(bool, u64), Fatal> {
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer_all()));
        let excess = self.inbound.excess_bytes();
        if excess != self.charge.bytes() {
            self.charge.set(excess);
        }
        self.inbound.rest(&self.worker.buffers);
        answered.unwrap_or_else(|_| Err(self.panicked()))
    }

    fn answer_all(&mut self) -> Result<(bool, u64), Fatal> {
        let worker = self.worker;
        let mut statements = worker.statements.borrow_mut();
        statements.refresh(worker.shared.node.schema_epoch());
        let mut turn = Turn {
            worker,
            client: self.client,
            out: &mut self.outbound,
            scratch: &mut worker.scratch.borrow_mut(),
            statements: &mut statements,
            answered: 0,
        };
        let paused = self.inbound.decode(&mut |envelope| turn.answer(envelope))?;
        Ok((paused, turn.answered))
    }

    fn panicked(&self) -> Fatal {
        self.worker.metrics.panics.add(1);
        if self.worker.stage.get() == Stage::Executing {
            self.worker.shared.fail("a request panicked while it was executed");
        }
        let encoding = self.client.encoding.get();
        Fatal {
            stream: 0,
            version: encoding.version,
            unsegmented: false,
            response: dodona_protocol::ErrorResponse::new(
                dodona_protocol::ErrorBody::ServerError,
                "the server failed on this request: see its log",
            ),
        }
    }

    /// Appends the answers that were made elsewhere, and events.
    fn append_mail(&mut self) {
        for answer in self.client.take_answers() {
            self.outbound.bytes.extend_from_slice(&answer.bytes);
        }
        let encoding = self.client.encoding.get();
        for event in self.client.take_events() {
            ResponseWriter::new(&mut self.outbound.bytes, encoding).event(&event);
        }
        if self.client.state() == State::Ready {
            self.login = None;
        }
    }

    /// Waits until the writes of this round are safe; those that will not be become errors.
    async fn make_safe(&mut self) {
        let (worker, position) = (self.worker, self.outbound.safe_at());
        let coordinator = &worker.shared.node.coordinator;
        if position == 0 || coordinator.is_safe(position) {
            return;
        }
        if let Err(error) = coordinator.wait_safe(position).await {
            self.outbound.withdraw(
                self.client.encoding.get(),
                |position| coordinator.is_safe(position),
                |asked| {
                    let response =
                        cluster_error(&error, failing(worker, asked.consistency, Some(asked.write)));
                    worker.metrics.error(response.body.code());
                    response
                },
            );
        }
    }

    /// Tells the client what it did wrong, and ends the connection.
    async fn refuse(&mut self, fatal: &Fatal) -> io::Result<()> {
        self.worker.metrics.protocol_errors.add(1);
        self.worker.metrics.error(fatal.response.body.code());
        tracing::debug!(client = %self.client.session().client, error = fatal.response.message, "refused");
        let encoding = Encoding::new(fatal.version, self.client.encoding.get().compression);
        let write = |outbound: &mut Outbound| {
            let writer = ResponseWriter::new(&mut outbound.bytes, encoding);
            writer.error(fatal.stream, &Extras::default(), &fatal.response);
        };
        if fatal.unsegmented {
            self.outbound.end();
            write(&mut self.outbound);
        } else {
            write(&mut self.outbound);
            self.outbound.end();
        }
        let sent = self.outbound.send(&mut *self.stream, &self.worker.buffers).await?;
        self.worker.metrics.bytes_written.add(sent as u64);
        poll_fn(|context| std::pin::Pin::new(&mut *self.stream).poll_shutdown(context)).await
    }

    /// Ends the connection if the client does not get through the login in time.
    fn limit_login(&mut self) {
        let alive = Rc::new(());
        let (watched, client) = (Rc::downgrade(&alive), Rc::downgrade(self.client));
        self.login = Some(alive);
        self.worker.shared.node.env.tasks.spawn_local(async move {
            dodona_env::clock::sleep(LOGIN_TIME).await;
            if watched.strong_count() > 0
                && let Some(client) = client.upgrade()
            {
                client.close(Closing::Now);
            }
        });
    }
}
