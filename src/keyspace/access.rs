//! When and how often a key was used: the 24 bits that LRU and LFU keep in an entry.
//!
//! LRU: seconds of the clock modulo 2^24. LFU: 16 bits of minutes since the last decay, 8 bits of a logarithmic counter
//! that is born at 5 (`LFU_INIT_VAL`), grows with probability 1/((counter-5)*log_factor+1) and loses one each
//! `lfu-decay-time` minutes. As in Redis 4.0 and later.

const CLOCK_MASK: i64 = (1 << 24) - 1;
const LFU_INITIAL: u32 = 5;

/// How accesses are recorded; from `maxmemory-policy` and the `lfu-*` directives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessPolicy {
    Lru,
    Lfu { log_factor: u32, decay_minutes: u32 },
}

/// The LRU clock: seconds, 24 bits.
pub fn lru_clock(now_ms: i64) -> u32 {
    ((now_ms / 1000) & CLOCK_MASK) as u32
}

fn minutes(now_ms: i64) -> u32 {
    ((now_ms / 60_000) & 0xffff) as u32
}

/// Seconds since the access that `access` records.
pub fn idle_secs(access: u32, now_ms: i64) -> u64 {
    u64::from(lru_clock(now_ms).wrapping_sub(access) & CLOCK_MASK as u32)
}

/// The LRU bits of a key that has been idle for `secs` seconds.
pub fn access_of_idle(secs: u64, now_ms: i64) -> u32 {
    lru_clock(now_ms).wrapping_sub(secs as u32) & CLOCK_MASK as u32
}

/// The LFU bits of a key with the given counter.
pub fn access_of_frequency(frequency: u8, now_ms: i64) -> u32 {
    minutes(now_ms) << 8 | u32::from(frequency)
}

impl AccessPolicy {
    /// The bits of a new key.
    #[inline]
    pub fn initial(self, now_ms: i64) -> u32 {
        match self {
            AccessPolicy::Lru => lru_clock(now_ms),
            AccessPolicy::Lfu { .. } => minutes(now_ms) << 8 | LFU_INITIAL,
        }
    }

    /// The bits after one more access. `random` is uniform over all 64-bit numbers.
    #[inline]
    pub fn touched(self, access: u32, now_ms: i64, random: impl FnOnce() -> u64) -> u32 {
        match self {
            AccessPolicy::Lru => lru_clock(now_ms),
            AccessPolicy::Lfu { log_factor, .. } => {
                let counter = self.frequency(access, now_ms);
                let base = u64::from(counter.saturating_sub(LFU_INITIAL));
                let grows = counter < 255 && random() <= u64::MAX / (base * u64::from(log_factor) + 1);
                minutes(now_ms) << 8 | (counter + u32::from(grows))
            }
        }
    }

    /// The LFU counter after decay (OBJECT FREQ).
    pub fn frequency(self, access: u32, now_ms: i64) -> u32 {
        let counter = access & 0xff;
        let AccessPolicy::Lfu { decay_minutes, .. } = self else { return counter };
        let elapsed = minutes(now_ms).wrapping_sub(access >> 8) & 0xffff;
        match decay_minutes {
            0 => counter,
            per => counter.saturating_sub(elapsed / per),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    #[test]
    fn idle_time_survives_the_clock_wrapping() {
        let now = ((1i64 << 24) + 10) * 1000;
        assert_eq!(idle_secs(access_of_idle(100, now), now), 100);
        assert_eq!(idle_secs(lru_clock(now - 5_000), now), 5);
    }

    #[test]
    fn frequency_decays_and_grows() {
        let lfu = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
        let fresh = lfu.initial(0);
        assert_eq!(lfu.frequency(fresh, 0), 5);
        assert_eq!(lfu.frequency(fresh, 3 * MINUTE_MS), 2);
        assert_eq!(lfu.frequency(lfu.touched(fresh, 0, || 0), 0), 6);
        assert_eq!(lfu.frequency(lfu.touched(access_of_frequency(100, 0), 0, || u64::MAX), 0), 100);
        assert_eq!(lfu.frequency(lfu.touched(access_of_frequency(255, 0), 0, || 0), 0), 255);
    }
}
