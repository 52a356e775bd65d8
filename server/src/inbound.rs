//! What a client sends: bytes from the socket, envelopes out of the bytes.

use crate::buffers::{Buffers, READ_BYTES};
use dodona_env::net::Stream;
use dodona_protocol::frame::{FrameProblem, HEADER_BYTES};
use dodona_protocol::segment::Step;
use dodona_protocol::{
    DecodeError, Envelope, EnvelopeRules, ErrorResponse, FrameError, SegmentError, SegmentFormat,
    SegmentReader, Version,
};
use dodona_types::limits::MAX_FRAME_BYTES;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

/// Why a connection has to be closed, and what to tell the client first.
#[derive(Debug)]
pub(crate) struct Fatal {
    /// The stream to answer on.
    pub(crate) stream: i16,
    /// The answer's version.
    pub(crate) version: Version,
    /// The answer is not put into a segment.
    pub(crate) unsegmented: bool,
    /// What is wrong.
    pub(crate) response: ErrorResponse,
}

/// What to do after an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Take the next one.
    Continue,
    /// Stop for now: enough has been answered for one write.
    Pause,
    /// What comes next is in segments.
    Segments(SegmentFormat),
}

/// The bytes read and not decoded yet. It holds a buffer only while there are some.
#[derive(Debug, Default)]
struct Unread {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Unread {
    fn get(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn poll_fill(
        &mut self,
        stream: &mut dyn Stream,
        buffers: &Buffers,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(buffers);
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        let polled = Pin::new(stream).poll_read(context, &mut room);
        let read = room.filled().len();
        self.end += read;
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(read)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.give_back(buffers);
                Poll::Pending
            }
        }
    }

    /// Makes room behind what is there. A message is refused by its header when it is too long, so
    /// that a buffer grows no further than a message may be long.
    fn make_room(&mut self, buffers: &Buffers) {
        if self.bytes.is_empty() {
            self.bytes = buffers.take_inbound();
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    fn give_back(&mut self, buffers: &Buffers) {
        if self.start == self.end {
            buffers.give_inbound(std::mem::take(&mut self.bytes));
            (self.start, self.end) = (0, 0);
        }
    }
}

/// Makes envelopes of a client's bytes.
#[derive(Debug)]
pub(crate) struct Inbound {
    unread: Unread,
    rules: EnvelopeRules,
    segments: Option<SegmentReader>,
    /// Envelopes of a segment that were not answered when a round ended.
    left_over: Vec<u8>,
}

impl Inbound {
    pub(crate) fn new() -> Self {
        Self {
            unread: Unread::default(),
            rules: EnvelopeRules::server(MAX_FRAME_BYTES),
            segments: None,
            left_over: Vec::new(),
        }
    }

    /// Reads what the socket has; 0 bytes at its end.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &mut dyn Stream,
        buffers: &Buffers,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.unread.poll_fill(stream, buffers, context)
    }

    /// Bytes of memory held beyond a buffer of usual size.
    pub(crate) fn excess_bytes(&self) -> usize {
        let assembled = self.segments.as_ref().map_or(0, SegmentReader::held_bytes);
        self.unread.bytes.len().saturating_sub(READ_BYTES) + assembled + self.left_over.capacity()
    }

    /// Gives the buffer back if everything in it has been decoded.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        self.unread.give_back(buffers);
    }

    /// Passes the envelopes that are complete to `each`. Returns true if it asked to pause: there
    /// may be more without reading.
    ///
    /// # Errors
    /// What has arrived is not acceptable, or `each` fails.
    pub(crate) fn decode(
        &mut self,
        each: &mut dyn FnMut(&Envelope<'_>) -> Result<Flow, Fatal>,
    ) -> Result<bool, Fatal> {
        if !self.left_over.is_empty() {
            let left_over = std::mem::take(&mut self.left_over);
            let (used, flow) = each_envelope(&mut self.rules, true, &left_over, each)?;
            if flow == Flow::Pause {
                self.left_over = left_over[used..].to_vec();
                return Ok(true);
            }
        }
        loop {
            let Some(segments) = &mut self.segments else {
                let (used, flow) = each_envelope(&mut self.rules, false, self.unread.get(), each)?;
                self.unread.start += used;
                match flow {
                    Flow::Continue => return Ok(false),
                    Flow::Pause => return Ok(true),
                    Flow::Segments(format) => {
                        self.segments = Some(SegmentReader::new(format, self.rules));
                        // The answers to what follows are in segments too: another round.
                        return Ok(true);
                    }
                }
            };
            let version = self.rules.version.unwrap_or(Version::HIGHEST);
            let step = segments.next(self.unread.get()).map_err(|error| segment_error(version, error))?;
            match step {
                Step::Incomplete => return Ok(false),
                Step::Partial { consumed } => self.unread.start += consumed,
                Step::Envelopes { envelopes, consumed } => {
                    let (used, flow) = each_envelope(&mut self.rules, true, envelopes, each)?;
                    if flow == Flow::Pause {
                        self.left_over = envelopes[used..].to_vec();
                    } else if used < envelopes.len() {
                        return Err(segment_error(version, SegmentError::MixedSegments));
                    }
                    self.unread.start += consumed;
                    if flow == Flow::Pause {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

/// Passes whole envelopes to `each`; returns how many bytes they took.
fn each_envelope(
    rules: &mut EnvelopeRules,
    segmented: bool,
    bytes: &[u8],
    each: &mut dyn FnMut(&Envelope<'_>) -> Result<Flow, Fatal>,
) -> Result<(usize, Flow), Fatal> {
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let Some((envelope, length)) =
            rules.next(rest).map_err(|error| frame_error(rules, segmented, rest, error))?
        else {
            return Ok((used, Flow::Continue));
        };
        rules.version = Some(envelope.header.version);
        let flow = each(&envelope)?;
        used += length;
        if flow != Flow::Continue {
            return Ok((used, flow));
        }
    }
}

fn frame_error(rules: &EnvelopeRules, segmented: bool, bytes: &[u8], error: FrameError) -> Fatal {
    let claimed = bytes.first().and_then(|byte| Version::from_number(byte & 0x7F));
    let unknown = matches!(error.problem, FrameProblem::UnsupportedVersion(_) | FrameProblem::BetaVersion(_));
    Fatal {
        stream: error.stream,
        version: if unknown {
            Version::HIGHEST
        } else {
            rules.version.or(claimed).unwrap_or(Version::HIGHEST)
        },
        unsegmented: unknown || !segmented,
        response: ErrorResponse::protocol(&error),
    }
}

fn segment_error(version: Version, error: SegmentError) -> Fatal {
    match error {
        SegmentError::Frame(error) => Fatal {
            stream: error.stream,
            version,
            unsegmented: false,
            response: ErrorResponse::protocol(&error),
        },
        error => Fatal { stream: 0, version, unsegmented: false, response: ErrorResponse::protocol(&error) },
    }
}

/// A body that does not decode.
pub(crate) fn body_error(envelope: &Envelope<'_>, error: &DecodeError) -> Fatal {
    Fatal {
        stream: envelope.header.stream,
        version: envelope.header.version,
        unsegmented: false,
        response: ErrorResponse::protocol(error),
    }
}

const _: () = assert!(READ_BYTES > HEADER_BYTES);
