//! Buffers that the connections of a core share.

use bytes::BytesMut;
use std::cell::RefCell;

/// How much of a socket is read at once, and the size of the buffers that a core lends out.
pub(crate) const READ_BYTES: usize = 64 << 10;
/// Buffers that a core keeps for reuse.
const SPARE_BUFFERS: usize = 32;
/// Bytes of an output buffer when it is new.
const SEND_BYTES: usize = 16 << 10;
/// A longer output buffer is not kept.
const MAX_SPARE_SEND_BYTES: usize = 256 << 10;

/// Buffers that connections borrow while they have something to read or to send, so that one that
/// is idle holds none.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    inbound: RefCell<Vec<Vec<u8>>>,
    outbound: RefCell<Vec<BytesMut>>,
}

impl Buffers {
    /// A buffer to read into: all of its length may be overwritten.
    pub(crate) fn take_inbound(&self) -> Vec<u8> {
        self.inbound.borrow_mut().pop().unwrap_or_else(|| vec![0; READ_BYTES])
    }

    /// Gives a buffer back.
    pub(crate) fn give_inbound(&self, buffer: Vec<u8>) {
        let mut spare = self.inbound.borrow_mut();
        if buffer.len() == READ_BYTES && spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
    }

    /// An empty buffer to write into.
    pub(crate) fn take_outbound(&self) -> BytesMut {
        self.outbound.borrow_mut().pop().unwrap_or_else(|| BytesMut::with_capacity(SEND_BYTES))
    }

    /// Gives a buffer back.
    pub(crate) fn give_outbound(&self, mut buffer: BytesMut) {
        let mut spare = self.outbound.borrow_mut();
        if (SEND_BYTES..=MAX_SPARE_SEND_BYTES).contains(&buffer.capacity()) && spare.len() < SPARE_BUFFERS {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
