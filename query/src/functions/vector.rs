//! Similarity of vectors of floats.

use crate::error::{CqlError, invalid};

/// How similarity is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Similarity {
    Cosine,
    Euclidean,
    DotProduct,
}

fn floats(vector: &[u8]) -> impl Iterator<Item = f32> {
    let (chunks, _) = vector.as_chunks::<4>();
    chunks.iter().map(|chunk| f32::from_be_bytes(*chunk))
}

fn sum(pairs: impl Iterator<Item = (f32, f32)>, part: impl Fn(f32, f32) -> f32) -> f32 {
    pairs.map(|(a, b)| part(a, b)).sum()
}

/// The similarity of two vectors of one length, from 0 to 1 where they are normal.
pub(super) fn execute(similarity: Similarity, name: &str, a: &[u8], b: &[u8]) -> Result<Vec<u8>, CqlError> {
    let pairs = || floats(a).zip(floats(b));
    let result = match similarity {
        Similarity::DotProduct => (1.0 + sum(pairs(), |a, b| a * b)) / 2.0,
        Similarity::Euclidean => 1.0 / (1.0 + sum(pairs(), |a, b| (a - b) * (a - b))),
        Similarity::Cosine => {
            if floats(a).all(|n| n == 0.0) || floats(b).all(|n| n == 0.0) {
                return invalid(format!("Function system.{name} doesn't support all-zero vectors."));
            }
            let dot = sum(pairs(), |a, b| a * b);
            let length = |vector| -> f32 { floats(vector).map(|n| n * n).sum() };
            let lengths = (f64::from(length(a)) * f64::from(length(b))).sqrt();
            (1.0 + (f64::from(dot) / lengths) as f32) / 2.0
        }
    };
    Ok(result.to_be_bytes().to_vec())
}
