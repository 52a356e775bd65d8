//! A connection: envelopes out, envelopes in.

use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use dodona_protocol::request::{AuthResponse, Startup};
use dodona_protocol::segment::{SegmentRun, Step};
use dodona_protocol::{
    Compression, Encoding, Envelope, EnvelopeRules, Request, RequestExtras, Response, SegmentFormat,
    SegmentReader, Version,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{BenchArgs, BenchError};

/// How much of a socket is read at once.
const READ_BYTES: usize = 256 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    version: Version,
    rules: EnvelopeRules,
    /// Set once STARTUP has been answered in version 5.
    segments: Option<SegmentReader>,
    inbound: BytesMut,
    outbound: BytesMut,
}

impl Link {
    /// Connects to a contact point, opens the protocol, and logs in if the server asks.
    pub(super) async fn open(args: &BenchArgs, host: &str) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(args.address(host)).await.map_err(BenchError::io("connect"))?;
        stream.set_nodelay(true).map_err(BenchError::io("set TCP_NODELAY"))?;
        let rules = EnvelopeRules::client(args.protocol);
        let (inbound, outbound) = (BytesMut::with_capacity(READ_BYTES), BytesMut::new());
        let mut link = Self { stream, version: args.protocol, rules, segments: None, inbound, outbound };
        link.start(args).await?;
        Ok(link)
    }

    async fn start(&mut self, args: &BenchArgs) -> Result<(), BenchError> {
        let options = vec![(Startup::CQL_VERSION, "3.0.0"), (Startup::DRIVER_NAME, "dodona bench")];
        let startup = Request::Startup(Startup { options });
        let needs_login = self
            .call("STARTUP", &startup, |response| match response {
                Response::Ready => Some(false),
                Response::Authenticate(_) => Some(true),
                _ => None,
            })
            .await?;
        if self.version.has_segments() {
            self.segments = Some(SegmentReader::new(SegmentFormat::Plain, self.rules));
        }
        if needs_login {
            let token = format!("\0{}\0{}", args.user, args.password);
            let login = Request::AuthResponse(AuthResponse { token: Some(token.as_bytes()) });
            let accept = |response: &Response<'_>| matches!(response, Response::AuthSuccess(_)).then_some(());
            self.call("the login", &login, accept).await?;
        }
        Ok(())
    }

    /// Protocol version and compression of the bodies.
    pub(super) const fn encoding(&self) -> Encoding {
        Encoding::new(self.version, Compression::None)
    }

    /// Sends a request when no other is in flight, and passes the response to `read`, which
    /// returns `None` if it is not what was wanted.
    pub(super) async fn call<T>(
        &mut self,
        what: &'static str,
        request: &Request<'_>,
        read: impl Fn(&Response<'_>) -> Option<T>,
    ) -> Result<T, BenchError> {
        let encoding = self.encoding();
        self.write(|out| request.encode(encoding, 0, &RequestExtras::default(), out));
        loop {
            self.flush()?;
            std::future::poll_fn(|context| self.poll_progress(context)).await?;
            let mut answer = None;
            self.take_envelopes(|envelope| {
                let (_, response) = Response::decode(&envelope.header, envelope.body)?;
                answer = Some(match &response {
                    Response::Error(error) => Err(error.message.clone()),
                    response => read(response).ok_or_else(|| format!("{response:?}")),
                });
                Ok(())
            })?;
            if let Some(answer) = answer {
                return answer.map_err(|message| BenchError::Refused { what, message });
            }
        }
    }

    /// Appends envelopes to what will be sent.
    #[inline]
    pub(super) fn write(&mut self, envelopes: impl FnOnce(&mut BytesMut)) {
        if self.segments.is_some() {
            let run = SegmentRun::begin(&mut self.outbound, SegmentFormat::Plain);
            envelopes(&mut self.outbound);
            run.seal(&mut self.outbound);
        } else {
            envelopes(&mut self.outbound);
        }
    }

    /// Sends as much as the socket takes without waiting.
    pub(super) fn flush(&mut self) -> Result<(), BenchError> {
        while !self.outbound.is_empty() {
            match self.stream.try_write(&self.outbound) {
                Ok(sent) => self.outbound.advance(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(BenchError::io("send")(error)),
            }
        }
        Ok(())
    }

    /// Ready when something has been read, or when there is room for what waits to be sent.
    ///
    /// A read that does not fill its buffer tells tokio that the socket is empty, which saves
    /// asking it once more: `try_read` would not.
    pub(super) fn poll_progress(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BenchError>> {
        self.inbound.reserve(READ_BYTES);
        match pin!(self.stream.read_buf(&mut self.inbound)).poll(context) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(BenchError::Closed)),
            Poll::Ready(result) => return Poll::Ready(result.map(drop).map_err(BenchError::io("receive"))),
            Poll::Pending => {}
        }
        if self.outbound.is_empty() {
            Poll::Pending
        } else {
            self.stream.poll_write_ready(context).map(|_| Ok(()))
        }
    }

    /// Passes every whole envelope that has been read to `each`.
    pub(super) fn take_envelopes(
        &mut self,
        mut each: impl FnMut(&Envelope<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let Some(segments) = &mut self.segments else {
            let used = each_envelope(&self.rules, &self.inbound, &mut each)?;
            self.inbound.advance(used);
            return Ok(());
        };
        loop {
            let consumed = match segments.next(&self.inbound)? {
                Step::Incomplete => return Ok(()),
                Step::Partial { consumed } => consumed,
                Step::Envelopes { envelopes, consumed } => {
                    each_envelope(&self.rules, envelopes, &mut each)?;
                    consumed
                }
            };
            self.inbound.advance(consumed);
        }
    }
}

/// Passes every whole envelope to `each`; returns how many bytes they take.
pub(super) fn each_envelope(
    rules: &EnvelopeRules,
    bytes: &[u8],
    each: &mut impl FnMut(&Envelope<'_>) -> Result<(), BenchError>,
) -> Result<usize, BenchError> {
    let mut used = 0;
    while let Some((envelope, length)) = rules.next(&bytes[used..])? {
        each(&envelope)?;
        used += length;
    }
    Ok(used)
}
