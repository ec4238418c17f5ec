//! Random numbers: the system's, or the same ones again for a test.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

/// A source of random numbers. Cheap to clone; clones of a seeded source draw from one sequence.
#[derive(Clone)]
pub struct Chance(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Chance {
    /// Numbers that nobody can guess: ChaCha seeded and reseeded by the operating system, fit for nonces and passwords.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The sequence that belongs to this seed. For tests and simulations only: it is no secret.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.draw(|rng| rng.fill_bytes(bytes));
    }

    /// A number in `0..bound`; zero for a bound of zero.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        self.draw(|rng| rng.random_range(0..bound))
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&self) -> f64 {
        self.draw(|rng| rng.random::<f64>())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for chance")]
    fn draw<T>(&self, take: impl FnOnce(&mut dyn RngCore) -> T) -> T {
        match &self.0 {
            Source::System => take(&mut rand::rng()),
            Source::Seeded(rng) => take(&mut *rng.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Chance::system()",
            Source::Seeded(_) => "Chance::seeded(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let draw = |chance: Chance| (chance.bytes::<16>(), chance.below(1000), chance.fraction().to_bits());
        assert_eq!(draw(Chance::seeded(7)), draw(Chance::seeded(7)));
        assert_ne!(draw(Chance::seeded(7)), draw(Chance::seeded(8)));
        assert_ne!(draw(Chance::system()), draw(Chance::system()));
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        for chance in [Chance::seeded(1), Chance::system()] {
            assert_eq!(chance.below(0), 0);
            assert_eq!(chance.below(1), 0);
            assert!((0..1000).all(|_| chance.below(3) < 3));
            assert!((0..1000).all(|_| (0.0..1.0).contains(&chance.fraction())));
        }
    }
}
