//! The primes that the sieve crosses off with.

/// The odd primes up to `limit`, by the sieve of Eratosthenes.
pub fn odd_primes(limit: u32) -> Vec<u32> {
    let limit = limit as usize;
    // Place i stands for 2 i + 3.
    let mut composite = vec![false; limit.saturating_sub(1) / 2];
    let mut primes = Vec::new();
    for at in 0..composite.len() {
        if composite[at] {
            continue;
        }
        let prime = 2 * at + 3;
        primes.push(prime as u32);
        let square = (prime * prime - 3) / 2;
        for multiple in (square..composite.len()).step_by(prime) {
            composite[multiple] = true;
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_right() {
        for limit in 0..3 {
            assert_eq!(odd_primes(limit), [0; 0]);
        }
        assert_eq!(odd_primes(3), [3]);
        assert_eq!(odd_primes(4), [3]);
        assert_eq!(odd_primes(31), [3, 5, 7, 11, 13, 17, 19, 23, 29, 31]);
        assert_eq!(odd_primes(100_000).len(), 9_592 - 1);
    }
}
