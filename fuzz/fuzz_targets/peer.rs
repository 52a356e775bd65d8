//! Bytes from another node: those of a connection as they come, and those of a frame whose checksum is right. What a message holds is
//! refused, or the same after a round trip.
#![no_main]

use dodona_cluster::foreign;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = foreign::connection(input);
    let _ = foreign::frame(input);
});
