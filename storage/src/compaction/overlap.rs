//! Files that overlap in the ring (Cassandra `Overlaps`).

use super::Candidate;
use dodona_types::Token;

/// A narrower part of the ring is taken for the whole: a file of few partitions is not dense.
const NARROWEST_SPAN: f64 = 1.0 / (1_u64 << 48) as f64;

/// True if the files may hold the same partition.
#[must_use]
pub fn overlap(a: &Candidate, b: &Candidate) -> bool {
    a.tokens.0 <= b.tokens.1 && b.tokens.0 <= a.tokens.1
}

/// The part of the ring from one token to another, both included.
#[must_use]
pub fn span((first, last): (Token, Token)) -> f64 {
    last.ordinal().saturating_sub(first.ordinal()) as f64 / u64::MAX as f64
}

/// The part of the ring that spans cover together.
#[must_use]
pub fn union_of_spans(mut spans: Vec<(Token, Token)>) -> f64 {
    spans.retain(|(first, last)| first <= last);
    spans.sort_unstable();
    let mut merged: Vec<(Token, Token)> = Vec::new();
    for (first, last) in spans {
        match merged.last_mut() {
            Some(open) if first <= open.1 => open.1 = open.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into_iter().map(span).sum()
}

/// Bytes that there would be if the whole ring were as full as the part that the file was
/// written for.
#[must_use]
pub fn density(file: &Candidate) -> f64 {
    let written_for = file.covered_tokens as f64 / u64::MAX as f64;
    let span = if written_for > 0.0 { written_for } else { span(file.tokens) };
    file.bytes as f64 / if span < NARROWEST_SPAN { 1.0 } else { span }
}

/// The density that the merge of files has at most.
#[must_use]
pub fn combined_density(files: &[&Candidate]) -> f64 {
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let span = union_of_spans(files.iter().map(|file| file.tokens).collect());
    bytes as f64 / if span < NARROWEST_SPAN { 1.0 } else { span }
}

/// The largest sets of files that cover one place of the ring, in the order of the ring: none is
/// a part of another.
#[must_use]
pub fn overlap_sets<'a>(files: &[&'a Candidate]) -> Vec<Vec<&'a Candidate>> {
    let mut sorted = files.to_vec();
    sorted.sort_by_key(|file| (file.tokens.0, file.id));
    let mut sets: Vec<Vec<&Candidate>> = Vec::new();
    let mut active: Vec<&Candidate> = Vec::new();
    for file in sorted {
        if active.iter().any(|open| open.tokens.1 < file.tokens.0) {
            sets.push(active.clone());
            active.retain(|open| open.tokens.1 >= file.tokens.0);
        }
        active.push(file);
    }
    if !active.is_empty() {
        sets.push(active);
    }
    sets
}

/// Groups of files such that no two groups overlap.
#[must_use]
pub fn disjoint_groups<'a>(files: &[&'a Candidate]) -> Vec<Vec<&'a Candidate>> {
    let mut sorted = files.to_vec();
    sorted.sort_by_key(|file| (file.tokens.0, file.id));
    let mut groups: Vec<(Token, Vec<&Candidate>)> = Vec::new();
    for file in sorted {
        match groups.last_mut() {
            Some((end, group)) if file.tokens.0 <= *end => {
                *end = (*end).max(file.tokens.1);
                group.push(file);
            }
            _ => groups.push((file.tokens.1, vec![file])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
