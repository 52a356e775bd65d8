//! Replicas hold the same once everything was read from all of them.

use std::collections::BTreeMap;

/// What replicas hold, as far as they were looked at: by partition, who was first and what it has.
#[derive(Default)]
pub struct Holdings {
    first: BTreeMap<u8, (usize, Vec<u8>)>,
}

impl Holdings {
    /// Compares what a replica holds of a partition (a digest) with what others do.
    ///
    /// # Errors
    /// They differ.
    pub fn judge(&mut self, partition: u8, replica: usize, holds: Vec<u8>) -> Result<(), String> {
        let (first, held) = self.first.entry(partition).or_insert_with(|| (replica, holds.clone()));
        if *held == holds {
            return Ok(());
        }
        Err(format!(
            "replicas {first} and {replica} hold partition {partition} differently after it was read from all"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found() {
        let mut holdings = Holdings::default();
        assert!(holdings.judge(1, 0, vec![1]).is_ok() && holdings.judge(1, 1, vec![1]).is_ok());
        assert!(holdings.judge(2, 0, vec![2]).is_ok() && holdings.judge(2, 2, vec![3]).is_err());
    }
}
