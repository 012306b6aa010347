//! What a key may spend and has spent, by the day, week and month of UTC and in all. The router counts; here is
//! what the counts mean at a moment.

use crate::money::PicoUsd;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Longer than any month and shorter than two.
const NEXT_MONTH_DAYS: u64 = 31;

/// A period in which a key may spend so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A day, from midnight UTC.
    Day,
    /// A week, from Monday's midnight UTC.
    Week,
    /// A month, from the midnight UTC of its first day.
    Month,
    /// As long as the key lives.
    Lifetime,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Lifetime];

    /// The name in documents and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Lifetime => "lifetime",
        }
    }

    /// When the window that holds a moment began; both in milliseconds since 1970.
    pub const fn began_ms(self, at_ms: u64) -> u64 {
        let days = at_ms / DAY_MS;
        let first_day = match self {
            Self::Day => days,
            // The first day of 1970 was a Thursday: three days after a Monday.
            Self::Week => days.saturating_sub((days + 3) % 7),
            Self::Month => days + 1 - day_of_month(days),
            Self::Lifetime => 0,
        };
        first_day * DAY_MS
    }

    /// When it ends; never for a lifetime.
    pub const fn ends_ms(self, at_ms: u64) -> Option<u64> {
        let began_ms = self.began_ms(at_ms);
        match self {
            Self::Day => Some(began_ms + DAY_MS),
            // The week of 1970's first day began before it.
            Self::Week if began_ms == 0 => Some(4 * DAY_MS),
            Self::Week => Some(began_ms + 7 * DAY_MS),
            Self::Month => Some(Self::Month.began_ms(began_ms + NEXT_MONTH_DAYS * DAY_MS)),
            Self::Lifetime => None,
        }
    }
}

/// The day of the month, from 1, of a day counted from 1970's first: Howard Hinnant's `civil_from_days`, which
/// lets years begin in March and counts in eras of 400 years.
const fn day_of_month(days: u64) -> u64 {
    let of_era = (days + 719_468) % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5 + 1
}

/// What a key may spend in each window; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpendLimits {
    /// In a day.
    pub day: Option<PicoUsd>,
    /// In a week.
    pub week: Option<PicoUsd>,
    /// In a month.
    pub month: Option<PicoUsd>,
    /// In all.
    pub lifetime: Option<PicoUsd>,
}

impl SpendLimits {
    /// The limit of a window.
    pub const fn of(&self, window: Window) -> Option<PicoUsd> {
        match window {
            Window::Day => self.day,
            Window::Week => self.week,
            Window::Month => self.month,
            Window::Lifetime => self.lifetime,
        }
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// The windows that have one, the shortest first.
    pub fn windows(&self) -> impl Iterator<Item = (Window, PicoUsd)> {
        Window::ALL.into_iter().filter_map(|window| Some((window, self.of(window)?)))
    }

    /// The window that keeps a key from spending on at this moment, for the longest, and its limit.
    pub fn reached(&self, spent: &Spent, at_ms: u64) -> Option<(Window, PicoUsd)> {
        self.windows().filter(|(window, limit)| spent.within(*window, at_ms) >= *limit).last()
    }
}

/// What was spent up to a moment, in the windows that held that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The moment, in milliseconds since 1970.
    pub at_ms: u64,
    /// In its day.
    pub day: PicoUsd,
    /// In its week.
    pub week: PicoUsd,
    /// In its month.
    pub month: PicoUsd,
    /// In all.
    pub lifetime: PicoUsd,
}

impl Spent {
    /// What was spent in the window that holds `at_ms`: nothing, if it began since.
    pub fn within(&self, window: Window, at_ms: u64) -> PicoUsd {
        if window.began_ms(at_ms) > self.at_ms {
            return PicoUsd::ZERO;
        }
        match window {
            Window::Day => self.day,
            Window::Week => self.week,
            Window::Month => self.month,
            Window::Lifetime => self.lifetime,
        }
    }

    /// The same after more was spent. A clock that went back adds to the windows that were counted in last.
    #[must_use]
    pub fn plus(&self, amount: PicoUsd, at_ms: u64) -> Self {
        let at_ms = at_ms.max(self.at_ms);
        let more = |window| self.within(window, at_ms) + amount;
        Self {
            at_ms,
            day: more(Window::Day),
            week: more(Window::Week),
            month: more(Window::Month),
            lifetime: more(Window::Lifetime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Midnight UTC of days, as `date -u -d … +%s000` tells them.
    const THURSDAY_26_NOVEMBER_2026: u64 = 1_795_651_200_000;
    const MONDAY_23_NOVEMBER_2026: u64 = 1_795_392_000_000;
    const FIRST_OF_NOVEMBER_2026: u64 = 1_793_491_200_000;
    const FIRST_OF_DECEMBER_2026: u64 = 1_796_083_200_000;

    #[test]
    fn windows_are_those_of_the_calendar() {
        let noon = THURSDAY_26_NOVEMBER_2026 + DAY_MS / 2;
        assert_eq!(Window::Day.began_ms(noon), THURSDAY_26_NOVEMBER_2026);
        assert_eq!(Window::Day.ends_ms(noon), Some(THURSDAY_26_NOVEMBER_2026 + DAY_MS));
        assert_eq!(Window::Week.began_ms(noon), MONDAY_23_NOVEMBER_2026);
        assert_eq!(Window::Week.ends_ms(noon), Some(MONDAY_23_NOVEMBER_2026 + 7 * DAY_MS));
        assert_eq!(Window::Month.began_ms(noon), FIRST_OF_NOVEMBER_2026);
        assert_eq!(Window::Month.ends_ms(noon), Some(FIRST_OF_DECEMBER_2026));
        assert_eq!((Window::Lifetime.began_ms(noon), Window::Lifetime.ends_ms(noon)), (0, None));
    }

    #[test]
    fn months_follow_each_other_without_gaps_through_leap_years() {
        let (mut began, mut lengths) = (0, Vec::new());
        while lengths.len() < 12 * 40 {
            let end = Window::Month.ends_ms(began).unwrap();
            assert_eq!(Window::Month.began_ms(end), end);
            assert_eq!(Window::Month.began_ms(end - 1), began);
            lengths.push((end - began) / DAY_MS);
            began = end;
        }
        assert_eq!(lengths[..12], [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
        let leap: Vec<usize> = (0..40).filter(|year| lengths[year * 12 + 1] == 29).collect();
        assert_eq!(leap, [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]);
    }

    #[test]
    fn a_new_window_begins_at_nothing_and_a_longer_one_goes_on() {
        let spent = Spent::default().plus(PicoUsd(5), THURSDAY_26_NOVEMBER_2026);
        let next_day = THURSDAY_26_NOVEMBER_2026 + DAY_MS;
        assert_eq!(spent.within(Window::Day, next_day - 1), PicoUsd(5));
        assert_eq!(spent.within(Window::Day, next_day), PicoUsd::ZERO);
        let more = spent.plus(PicoUsd(2), next_day);
        assert_eq!((more.day, more.week), (PicoUsd(2), PicoUsd(7)));
        let next_month = more.plus(PicoUsd(1), FIRST_OF_DECEMBER_2026);
        assert_eq!((next_month.month, next_month.lifetime), (PicoUsd(1), PicoUsd(8)));
        // A clock that went back neither loses what was spent nor opens a window again.
        let back = more.plus(PicoUsd(1), THURSDAY_26_NOVEMBER_2026);
        assert_eq!((back.day, back.at_ms), (PicoUsd(3), next_day));
    }

    #[test]
    fn the_limit_that_holds_the_longest_is_the_one_named() {
        let limits = SpendLimits {
            day: Some(PicoUsd(5)),
            month: Some(PicoUsd(5)),
            lifetime: Some(PicoUsd(6)),
            ..SpendLimits::default()
        };
        let now = THURSDAY_26_NOVEMBER_2026;
        let spent = |pico| Spent::default().plus(PicoUsd(pico), now);
        assert_eq!(limits.reached(&spent(4), now), None);
        assert_eq!(limits.reached(&spent(5), now), Some((Window::Month, PicoUsd(5))));
        assert_eq!(limits.reached(&spent(6), now), Some((Window::Lifetime, PicoUsd(6))));
        assert_eq!(limits.reached(&spent(5), FIRST_OF_DECEMBER_2026), None);
        assert!(limits.any() && !SpendLimits::default().any());
    }
}
