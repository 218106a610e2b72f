//! A sketch of many durations: their count, total, extremes, and quantiles within a relative error.
//!
//! It counts durations, as whole nanoseconds, in bins that are at most 1/64 as wide as where they
//! begin; a quantile is told as the middle of its bin. All of its state is integers that add up, and
//! the extremes: so merging is associative and commutative, and whatever a log is split into, the
//! sketch of the whole is the same, to the bit. It has at most [`MAX_BINS`] bins, and one of few
//! durations is small: there may be as many sketches as there are samples.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::is_few;

/// What a quantile is off by at most, of itself (or half a nanosecond).
pub const RELATIVE_ERROR: f64 = 0.01;

/// How many bins a sketch has at most: 64 for each power of two that nanoseconds in a `u64` reach,
/// but for the first seven, where each number is a bin of its own.
pub const MAX_BINS: usize = 59 << SUB_BITS;

const NANOSECONDS: f64 = 1e9;
/// A bin is told by the power of two, and so many bits behind the highest.
const SUB_BITS: u32 = 6;

/// A mergeable sketch of durations; see the module's head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// In ascending order of their keys; none is empty.
    bins: Vec<Bin>,
    count: u64,
    /// Cannot overflow: no more than `u64::MAX` times `u64::MAX`.
    total_ns: u128,
    /// The least and the greatest, as they were observed.
    extremes_s: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bin {
    key: u16,
    count: u64,
}

impl Durations {
    /// Takes in a duration; false if it is none (negative, infinite, no number), and counts nowhere.
    ///
    /// Of one longer than 584 years only the maximum tells how long it was.
    pub fn observe(&mut self, duration_s: f64) -> bool {
        if !duration_s.is_finite() || duration_s < 0.0 {
            return false;
        }
        // Casts of what is too large give the largest.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ns = (duration_s * NANOSECONDS).round() as u64;
        let key = key_of(ns);
        match self.bins.binary_search_by_key(&key, |bin| bin.key) {
            Ok(at) => self.bins[at].count += 1,
            Err(at) => self.bins.insert(at, Bin { key, count: 1 }),
        }
        self.count += 1;
        self.total_ns += u128::from(ns);
        self.widen(duration_s, duration_s);
        true
    }

    /// Whether it is one that can be: of those that come from elsewhere, not all are.
    pub(crate) fn is_sound(&self) -> bool {
        let ascend = self.bins.is_sorted_by(|before, bin| before.key < bin.key);
        let in_range = self.bins.iter().all(|bin| usize::from(bin.key) < MAX_BINS);
        let counts = self.bins.iter().try_fold(0_u64, |sum, bin| sum.checked_add(bin.count));
        let has_extremes = self.extremes_s.is_some() == (self.count > 0);
        let is_few = is_few(self.count) && self.total_ns < 1 << 112;
        ascend && in_range && counts == Some(self.count) && has_extremes && is_few
    }

    /// Takes in what another one has observed.
    pub fn merge(&mut self, other: &Self) {
        let Some((min_s, max_s)) = other.extremes_s else { return };
        self.widen(min_s, max_s);
        self.count += other.count;
        self.total_ns += other.total_ns;
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        // Mostly all of the other's bins are there: adding them up needs no memory.
        let mut at = 0;
        for (done, bin) in other.bins.iter().enumerate() {
            while self.bins.get(at).is_some_and(|ours| ours.key < bin.key) {
                at += 1;
            }
            match self.bins.get_mut(at) {
                Some(ours) if ours.key == bin.key => ours.count += bin.count,
                _ => {
                    let rest = self.bins.split_off(at);
                    zip_into(&mut self.bins, &rest, &other.bins[done..]);
                    return;
                }
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them added up, seconds: of nanoseconds as integers, so their order makes no difference.
    #[allow(clippy::cast_precision_loss)]
    pub fn total_s(&self) -> f64 {
        self.total_ns as f64 / NANOSECONDS
    }

    /// Their mean, seconds; None: there are none.
    #[allow(clippy::cast_precision_loss)]
    pub fn mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total_s() / self.count as f64)
    }

    /// The shortest, exactly, seconds.
    pub fn min_s(&self) -> Option<f64> {
        Some(self.extremes_s?.0)
    }

    /// The longest, exactly, seconds.
    pub fn max_s(&self) -> Option<f64> {
        Some(self.extremes_s?.1)
    }

    /// The least duration such that the share `q` of all (0 to 1) is not longer (SQL's
    /// `percentile_disc`), within [`RELATIVE_ERROR`], seconds. None: there are none, or `q` is no share.
    pub fn quantile_s(&self, q: f64) -> Option<f64> {
        let (min_s, max_s) = self.extremes_s?;
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        // These are known exactly.
        if rank == 1 {
            return Some(min_s);
        }
        if rank == self.count {
            return Some(max_s);
        }
        let mut seen = 0;
        let bin = self.bins.iter().find(|bin| {
            seen += bin.count;
            seen >= rank
        })?;
        Some((middle_ns(bin.key) / NANOSECONDS).clamp(min_s, max_s))
    }

    fn widen(&mut self, min_s: f64, max_s: f64) {
        // No -0.0, which is equal to 0.0 and so might stand for it or not.
        let (min_s, max_s) = (min_s + 0.0, max_s + 0.0);
        self.extremes_s = Some(match self.extremes_s {
            None => (min_s, max_s),
            Some((least_s, greatest_s)) => (least_s.min(min_s), greatest_s.max(max_s)),
        });
    }
}

/// Puts the bins of both behind those that are there, all of which have lesser keys.
fn zip_into(bins: &mut Vec<Bin>, mut left: &[Bin], mut right: &[Bin]) {
    bins.reserve(left.len() + right.len());
    while let ([first, left_rest @ ..], [second, right_rest @ ..]) = (left, right) {
        let order = first.key.cmp(&second.key);
        let both = if order == Ordering::Equal { second.count } else { 0 };
        bins.push(match order {
            Ordering::Greater => *second,
            _ => Bin { key: first.key, count: first.count + both },
        });
        if order != Ordering::Greater {
            left = left_rest;
        }
        if order != Ordering::Less {
            right = right_rest;
        }
    }
    bins.extend_from_slice(left);
    bins.extend_from_slice(right);
}

/// The bin of a number: how far its leading bits are from its end, and those bits, the highest of
/// which is only told where there are too few of them.
#[allow(clippy::cast_possible_truncation)]
fn key_of(ns: u64) -> u16 {
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // Below MAX_BINS.
    ((u64::from(shift) << SUB_BITS) + (ns >> shift)) as u16
}

/// The middle between the least and the greatest number of a bin.
#[allow(clippy::cast_precision_loss)]
fn middle_ns(key: u16) -> f64 {
    let key = u64::from(key);
    let shift = (key >> SUB_BITS).saturating_sub(1);
    let least = (key - (shift << SUB_BITS)) << shift;
    least as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
// Casts of test values, which are small.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(durations_s: &[f64]) -> Durations {
        let mut durations = Durations::default();
        for &duration_s in durations_s {
            durations.observe(duration_s);
        }
        durations
    }

    /// Durations of any size, some of them often.
    fn durations_s() -> impl Strategy<Value = Vec<f64>> {
        let one = prop_oneof![
            4 => (-10.0..10.0_f64).prop_map(|exponent| 10.0_f64.powf(exponent)),
            2 => (0..2000_u32).prop_map(|ns| f64::from(ns) / 1e9),
            1 => Just(0.0),
            1 => Just(0.25),
            1 => 0.0..f64::MAX,
        ];
        vec(one, 0..200)
    }

    fn quantile_exactly_s(sorted_s: &[f64], q: f64) -> f64 {
        let rank = (q * sorted_s.len() as f64).ceil() as usize;
        sorted_s[rank.clamp(1, sorted_s.len()) - 1]
    }

    proptest! {
        /// Each quantile is what it is exactly, within the error that is promised.
        #[test]
        fn quantiles_are_within_the_bound(durations_s in durations_s(), q in 0.0..=1.0_f64) {
            let sketch = of(&durations_s);
            let mut sorted_s = durations_s;
            sorted_s.sort_by(f64::total_cmp);
            let Some(told_s) = sketch.quantile_s(q) else {
                prop_assert!(sorted_s.is_empty());
                return Ok(());
            };
            // Those of more than 584 years are all one.
            let exactly_s = quantile_exactly_s(&sorted_s, q);
            if exactly_s < 1.8e10 {
                let bound_s = exactly_s * RELATIVE_ERROR + 0.501e-9;
                prop_assert!((told_s - exactly_s).abs() <= bound_s, "{told_s} for {exactly_s}");
            }
            prop_assert!(told_s >= sorted_s[0] && told_s <= sorted_s[sorted_s.len() - 1]);
        }

        /// However durations are split and in whatever order they are merged, the state is the same.
        #[test]
        fn splits_make_no_difference(parts in vec(durations_s(), 0..5), seed in any::<usize>()) {
            let whole = of(&parts.concat());
            let sketches: Vec<_> = parts.iter().map(|part| of(part)).collect();
            let mut left = Durations::default();
            for sketch in &sketches {
                left.merge(sketch);
            }
            let mut right = Durations::default();
            for sketch in sketches.iter().rev() {
                let mut both = sketch.clone();
                both.merge(&right);
                right = both;
            }
            let mut turned = Durations::default();
            for at in 0..sketches.len() {
                turned.merge(&sketches[(at + seed % sketches.len()) % sketches.len()]);
            }
            prop_assert_eq!(&left, &whole);
            prop_assert_eq!(&right, &whole);
            prop_assert_eq!(&turned, &whole);
            prop_assert_eq!(left.total_s().to_bits(), whole.total_s().to_bits());
            prop_assert!(whole.bins.len() <= MAX_BINS && whole.bins.iter().all(|bin| bin.count > 0));
        }

        /// Count, total and extremes are those of the durations.
        #[test]
        fn sums_are_exact(all_ns in vec(0..1_u64 << 40, 1..100)) {
            let durations_s: Vec<_> = all_ns.iter().map(|&ns| ns as f64 / 1e9).collect();
            let sketch = of(&durations_s);
            let total_ns: u64 = all_ns.iter().sum();
            prop_assert_eq!(sketch.count(), all_ns.len() as u64);
            prop_assert_eq!(sketch.total_s().to_bits(), (total_ns as f64 / 1e9).to_bits());
            prop_assert_eq!(sketch.mean_s(), Some(sketch.total_s() / all_ns.len() as f64));
            prop_assert_eq!(sketch.min_s(), durations_s.iter().copied().reduce(f64::min));
            prop_assert_eq!(sketch.max_s(), durations_s.iter().copied().reduce(f64::max));
        }
    }

    /// Each bin begins where the one before ends, and is told by a number in it, near all of them.
    #[test]
    fn bins_leave_no_gap() {
        let mut expected = 0;
        for power in 0..64_u32 {
            let first = 1_u64 << power;
            let step = (first >> 7).max(1);
            for ns in (first..=first + (first - 1)).step_by(usize::try_from(step).expect("64 bits"))
            {
                let key = key_of(ns);
                assert!(key == expected || key == expected + 1, "{ns}");
                expected = key;
                let error = (middle_ns(key) - ns as f64).abs() / ns as f64;
                assert!(error <= 1.0 / 128.0, "{ns} is told as {}", middle_ns(key));
            }
        }
        assert_eq!(usize::from(key_of(u64::MAX)) + 1, MAX_BINS);
        assert_eq!(key_of(0), 0);
    }

    /// What is no duration is told to be none and changes nothing; the longest and the shortest fit.
    #[test]
    fn odd_durations() {
        let mut sketch = Durations::default();
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE] {
            assert!(!sketch.observe(odd));
        }
        assert_eq!(sketch, Durations::default());
        assert_eq!((sketch.mean_s(), sketch.quantile_s(0.5)), (None, None));
        for extreme in [-0.0, f64::MIN_POSITIVE, f64::MAX, f64::MAX] {
            assert!(sketch.observe(extreme));
        }
        assert_eq!((sketch.min_s(), sketch.max_s()), (Some(0.0), Some(f64::MAX)));
        assert_eq!(sketch.min_s().map(f64::is_sign_negative), Some(false));
        assert_eq!(sketch.count(), 4);
        assert_eq!(sketch.quantile_s(f64::NAN), None);
    }
}
