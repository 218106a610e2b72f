//! When things happened: how many in each stretch of time, of a log of whatever length.
//!
//! Counts stand in at most [`MAX_BUCKETS`] buckets of 2ⁿ milliseconds, with the least n for which they
//! suffice. Two neighbours become one as time goes on: what is counted where depends on the moments
//! alone, not on their order, so merging is associative and commutative.

use serde::{Deserialize, Serialize};

use super::is_few;

/// How many buckets there are at most.
const MAX_BUCKETS: i64 = 128;

/// How many moments lie in each stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverTime {
    /// A bucket is so many milliseconds wide, as a power of two.
    shift: u32,
    /// The number of the first bucket: what comes before it has none.
    first: i64,
    /// Neither the first nor the last is 0.
    counts: Vec<u64>,
    /// The first and the last moment, milliseconds since the epoch.
    span_ms: Option<(i64, i64)>,
}

impl OverTime {
    /// Takes in a moment, seconds since the epoch, of a year of four digits.
    pub fn observe(&mut self, epoch_s: f64) {
        // Such a year is far within the range.
        #[allow(clippy::cast_possible_truncation)]
        let ms = (epoch_s * 1000.0).floor() as i64;
        self.widen((ms, ms));
        self.add(ms, 1);
    }

    /// Whether it is one that can be: of those that come from elsewhere, not all are.
    pub(crate) fn is_sound(&self) -> bool {
        // Milliseconds of years of four digits.
        const MOMENTS_MS: std::ops::RangeInclusive<i64> = -(1 << 48)..=1 << 48;
        let Some((first_ms, last_ms)) = self.span_ms else { return self.counts.is_empty() };
        let is_within = |ms: Option<i64>| ms.is_some_and(|ms| MOMENTS_MS.contains(&ms));
        let behind = self.first.checked_add_unsigned(self.counts.len() as u64);
        self.shift < 48
            && self.counts.iter().all(|&count| is_few(count))
            && (1..=MAX_BUCKETS.unsigned_abs()).contains(&(self.counts.len() as u64))
            && first_ms <= last_ms
            && is_within(Some(first_ms))
            && is_within(Some(last_ms))
            && is_within(self.first.checked_mul(1 << self.shift))
            && is_within(behind.and_then(|behind| behind.checked_mul(1 << self.shift)))
    }

    /// Takes in what another one has observed.
    pub fn merge(&mut self, other: &Self) {
        let Some(span_ms) = other.span_ms else { return };
        self.widen(span_ms);
        while self.shift < other.shift {
            self.coarsen();
        }
        for (bucket, &count) in (other.first..).zip(&other.counts) {
            if count > 0 {
                self.add(bucket << other.shift, count);
            }
        }
    }

    /// The first and the last moment, milliseconds since the epoch.
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        self.span_ms
    }

    /// The same in so many stretches of `span_ms`; what lies in a bucket counts where its middle is.
    pub fn columns(&self, (since_ms, until_ms): (i64, i64), columns: usize) -> Vec<u64> {
        let mut shown = vec![0; columns];
        let Some((first_ms, last_ms)) = self.span_ms else { return shown };
        let length_ms = i128::from(until_ms - since_ms + 1);
        for (bucket, &count) in (self.first..).zip(&self.counts) {
            let middle_ms = (bucket << self.shift) + ((1_i64 << self.shift) - 1) / 2;
            let middle_ms = middle_ms.clamp(first_ms, last_ms);
            let from_start = i128::from(middle_ms - since_ms) * columns as i128 / length_ms;
            if let Some(column) = usize::try_from(from_start).ok().and_then(|at| shown.get_mut(at))
            {
                *column += count;
            }
        }
        shown
    }

    fn widen(&mut self, (since_ms, until_ms): (i64, i64)) {
        self.span_ms = Some(match self.span_ms {
            None => (since_ms, until_ms),
            Some((first, last)) => (first.min(since_ms), last.max(until_ms)),
        });
    }

    fn add(&mut self, ms: i64, count: u64) {
        if self.counts.is_empty() {
            self.first = ms >> self.shift;
            self.counts.push(count);
            return;
        }
        let bucket = loop {
            let bucket = ms >> self.shift;
            let behind = self.first.saturating_add_unsigned(self.counts.len() as u64);
            if behind.max(bucket + 1) - bucket.min(self.first) <= MAX_BUCKETS {
                break bucket;
            }
            self.coarsen();
        };
        if bucket < self.first {
            let more = usize::try_from(self.first - bucket).unwrap_or(0);
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = bucket;
        }
        let at = usize::try_from(bucket - self.first).unwrap_or(0);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += count;
    }

    /// Makes one bucket of two.
    fn coarsen(&mut self) {
        self.shift += 1;
        let first = self.first >> 1;
        let mut counts = Vec::with_capacity(self.counts.len() / 2 + 1);
        for (bucket, count) in (self.first..).zip(self.counts.drain(..)) {
            let at = usize::try_from((bucket >> 1) - first).unwrap_or(0);
            if at == counts.len() {
                counts.push(0);
            }
            counts[at] += count;
        }
        (self.first, self.counts) = (first, counts);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(moments_s: &[f64]) -> OverTime {
        let mut over_time = OverTime::default();
        for &moment_s in moments_s {
            over_time.observe(moment_s);
        }
        over_time
    }

    fn moments_s() -> impl Strategy<Value = Vec<f64>> {
        let near = (0_i32..5000).prop_map(|ms| 1.8e9 + f64::from(ms) / 1000.0);
        vec(prop_oneof![3 => near, 1 => -6.2e10..2.5e11], 0..60)
    }

    proptest! {
        /// However moments are split and ordered, the state is the same, and all are counted.
        #[test]
        fn splits_make_no_difference(parts in vec(moments_s(), 0..5), columns in 1_usize..40) {
            let mut all = parts.concat();
            let whole = of(&all);
            let mut merged = OverTime::default();
            for part in parts.iter().rev() {
                let mut both = of(part);
                both.merge(&merged);
                merged = both;
            }
            prop_assert_eq!(&merged, &whole);
            all.reverse();
            prop_assert_eq!(&of(&all), &whole);
            prop_assert!(whole.counts.len() <= 128);
            if let Some(span_ms) = whole.span_ms() {
                let shown = whole.columns(span_ms, columns);
                prop_assert_eq!(shown.len(), columns);
                prop_assert_eq!(shown.iter().sum::<u64>(), all.len() as u64);
            }
        }
    }

    /// What happens in one half of the time is shown in that half.
    #[test]
    fn columns_are_stretches_of_the_span() {
        let mut over_time = of(&[1000.0, 1000.1, 1000.2]);
        over_time.observe(1010.0);
        let span_ms = over_time.span_ms().expect("four moments");
        assert_eq!(over_time.columns(span_ms, 2), [3, 1]);
        assert_eq!(over_time.columns((985_000, 1_014_999), 3), [0, 3, 1]);
    }
}
