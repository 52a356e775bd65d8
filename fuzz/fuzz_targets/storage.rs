//! Bytes that a disk or another node may give: blocks, filters, footers, log records, mutations and
//! read commands. An error, or something that can be walked to its end.
#![no_main]

use dodona_storage::commit_log::format::{mutations, Header, parse_record};
use dodona_storage::sstable::block::{Block, BlockCursor};
use dodona_storage::sstable::compression::decompress;
use dodona_storage::sstable::filter::Filter;
use dodona_storage::sstable::format::{Footer, partition_prefix_bytes};
use dodona_types::read_command::ReadCommand;
use dodona_types::{Fragment, MutationView, RowView, Token};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    match choice % 8 {
        0 => block(bytes),
        1 => filter(bytes),
        2 => drop(Footer::decode("footer", Uuid::nil(), 0, bytes)),
        3 => log(bytes),
        4 => mutation(bytes),
        5 => drop(RowView::validate(bytes)),
        6 => read_command(bytes),
        _ => compressed(bytes),
    }
});

fn block(bytes: &[u8]) {
    let (target, bytes) = bytes.split_at(bytes.len().min(4));
    let Ok(block) = Block::new(bytes.into()) else { return };
    let mut cursor = BlockCursor::default();
    let mut placed = cursor.seek_first(&block);
    while placed.is_ok() && cursor.key().is_some() {
        let _ = block.value(cursor.value_range());
        let _ = partition_prefix_bytes(cursor.key().unwrap_or_default());
        placed = cursor.advance(&block);
    }
    let _ = cursor.seek(&block, target);
    let _ = cursor.seek_last(&block, target, true);
}

fn filter(bytes: &[u8]) {
    if let Ok(filter) = Filter::decode(bytes) {
        let _ = filter.may_contain(Token(0x0123_4567_89ab_cdef));
        assert_eq!(filter.encode(), bytes);
    }
}

fn log(bytes: &[u8]) {
    let _ = Header::parse("segment", bytes);
    assert!(parse_record(bytes, 0).is_none_or(|record| record.total_bytes() <= bytes.len()));
    for found in mutations(bytes).flatten() {
        mutation(found);
    }
}

fn mutation(bytes: &[u8]) {
    let Ok(view) = MutationView::parse(bytes) else { return };
    let valid = view.validate().is_ok();
    for fragment in view.fragments() {
        match fragment {
            Ok(Fragment::StaticRow(row) | Fragment::Row(_, row)) if valid => {
                let row = RowView::parse(row).expect("a row that was validated");
                assert!(row.items().all(|item| item.is_ok()), "an item that was validated");
            }
            fragment => assert!(fragment.is_ok() || !valid),
        }
    }
}

fn read_command(bytes: &[u8]) {
    if let Ok(command) = ReadCommand::decode(bytes) {
        let encoded = command.encode();
        assert_eq!(ReadCommand::decode(&encoded).expect("what was encoded").encode(), encoded);
    }
}

fn compressed(bytes: &[u8]) {
    let Some((&[code, low, high], payload)) = bytes.split_first_chunk() else { return };
    let claimed = usize::from(u16::from_le_bytes([low, high]));
    if let Ok(block) = decompress("file", 0, code % 4, payload, claimed) {
        assert_eq!(block.len(), claimed);
    }
}
