use super::*;

const SERVER: EnvelopeRules = EnvelopeRules::server(1_000);

fn problem(bytes: &[u8]) -> (i16, String) {
    let error = SERVER.next(bytes).unwrap_err();
    (error.stream, error.to_string())
}

#[test]
fn a_header_is_nine_bytes_in_the_order_of_the_specification() {
    let header = Header {
        version: Version::V4,
        direction: Direction::Response,
        flags: Flags::TRACING.with(Flags::WARNING),
        stream: -1,
        opcode: Opcode::Event,
        body_bytes: 0x0102_0304,
    };
    assert_eq!(header.encode(), [0x84, 0x0A, 0xFF, 0xFF, 0x0C, 1, 2, 3, 4]);
}

#[test]
fn every_opcode_has_the_number_and_direction_of_the_specification() {
    for code in 0..=u8::MAX {
        let opcode = Opcode::from_code(code);
        assert_eq!(opcode.is_some(), code <= 0x10 && code != 4, "{code}");
        if let Some(opcode) = opcode {
            assert_eq!(opcode.code(), code);
            let is_request = [0x01, 0x05, 0x07, 0x09, 0x0A, 0x0B, 0x0D, 0x0F].contains(&code);
            assert_eq!(opcode.direction() == Direction::Request, is_request, "{opcode}");
        }
    }
}

#[test]
fn envelopes_are_found_one_after_another_and_only_when_complete() {
    let mut bytes = vec![4, 0, 0, 7, 5, 0, 0, 0, 0];
    bytes.extend([3, 2, 0x12, 0x34, 7, 0, 0, 0, 2, 0xAA, 0xBB]);
    let (first, used) = SERVER.next(&bytes).unwrap().unwrap();
    assert_eq!(
        (first.header.opcode, first.header.stream, first.body, used),
        (Opcode::Options, 7, &[][..], 9)
    );
    let (second, used) = SERVER.next(&bytes[9..]).unwrap().unwrap();
    assert_eq!((second.header.version, second.header.stream, used), (Version::V3, 0x1234, 11));
    assert_eq!(second.body, [0xAA, 0xBB]);
    for length in 0..11 {
        assert_eq!(SERVER.next(&bytes[9..9 + length]), Ok(None), "{length}");
    }
}

#[test]
fn an_unknown_version_is_answered_in_cassandras_words_on_the_same_stream() {
    let (stream, text) = problem(&[66, 0, 1, 2, 5, 0, 0, 0, 0]);
    assert_eq!(stream, 0x0102);
    let expected = "Invalid or unsupported protocol version (66); supported versions are (3/v3, 4/v4, 5/v5)";
    assert_eq!(text, expected);
}

#[test]
fn version_6_is_beta_without_the_flag_and_unsupported_with_it() {
    let (_, text) = problem(&[6, 0, 0, 0, 5, 0, 0, 0, 0]);
    assert_eq!(text, "Beta version of the protocol used (6/v6-beta), but USE_BETA flag is unset");
    let (_, text) = problem(&[6, 0x10, 0, 0, 5, 0, 0, 0, 0]);
    assert!(text.starts_with("Invalid or unsupported protocol version (6);"), "{text}");
}

#[test]
fn the_short_header_of_versions_1_and_2_does_not_wait_for_a_ninth_byte() {
    let (stream, text) = problem(&[2, 0, 9, 5, 0, 0, 0, 0]);
    assert_eq!(stream, 9);
    assert!(text.starts_with("Invalid or unsupported protocol version (2);"), "{text}");
}

#[test]
fn wrong_opcodes_directions_versions_and_lengths_are_refused() {
    let text = |bytes: &[u8]| problem(bytes).1;
    assert_eq!(text(&[4, 0, 0, 0, 0x20, 0, 0, 0, 0]), "Unknown opcode 32");
    assert_eq!(
        text(&[4, 0, 0, 0, 8, 0, 0, 0, 0]),
        "Wrong protocol direction (expected RESPONSE, got REQUEST) for opcode 8 (RESULT)"
    );
    assert_eq!(
        text(&[0x84, 0, 0, 0, 5, 0, 0, 0, 0]),
        "Wrong protocol direction (expected REQUEST, got RESPONSE) for opcode 5 (OPTIONS)"
    );
    assert!(SERVER.next(&[0x84, 0, 0, 0, 8, 0, 0, 0, 0]).is_err());
    assert!(text(&[4, 0, 0, 0, 7, 0, 0, 0x03, 0xE9]).contains("1001 bytes exceeds"));
    assert!(text(&[4, 0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF]).contains("4294967295 bytes exceeds"));
    let settled = EnvelopeRules { version: Some(Version::V5), ..SERVER };
    assert_eq!(
        settled.next(&[4, 0, 0, 0, 5, 0, 0, 0, 0]).unwrap_err().to_string(),
        "Invalid message version. Got 4/v4 but previous messages on this connection had version 5/v5"
    );
}
