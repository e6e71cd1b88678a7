//! What charging costs.

/// The tariff of a connector, in BRL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tariff {
    /// For each kWh, where no band says otherwise.
    pub per_kwh: f64,
    /// Once for each session.
    pub activation: f64,
    /// Other prices at some times of the day.
    pub bands: Vec<Band>,
}

/// A price at some times of the day, in the station's local time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// First minute of the day, 0 to 1439.
    pub from_minute: u16,
    /// First minute after; at or before `from_minute` it is on the next day.
    pub to_minute: u16,
    /// For each kWh.
    pub per_kwh: f64,
}

impl Tariff {
    /// For each kWh at a minute of the day; where bands overlap, the first holds.
    pub fn per_kwh_at(&self, minute_of_day: f64) -> f64 {
        let minute = minute_of_day.rem_euclid(1440.0);
        let band = self.bands.iter().find(|band| band.has(minute));
        band.map_or(self.per_kwh, |band| band.per_kwh)
    }

    /// The least that a kWh can cost.
    pub(crate) fn per_kwh_min(&self) -> f64 {
        self.bands.iter().map(|band| band.per_kwh).fold(self.per_kwh, f64::min)
    }
}

impl Band {
    fn has(&self, minute: f64) -> bool {
        let (from, to) = (f64::from(self.from_minute), f64::from(self.to_minute));
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_hold_at_their_times_also_across_midnight() {
        let band = |from_minute, to_minute, per_kwh| Band { from_minute, to_minute, per_kwh };
        let tariff = Tariff {
            per_kwh: 2.0,
            bands: vec![band(1080, 1260, 3.0), band(1320, 360, 1.0)],
            ..Tariff::default()
        };
        for (minute, price) in
            [(0.0, 1.0), (359.9, 1.0), (360.0, 2.0), (1080.0, 3.0), (1260.0, 2.0), (1500.0, 1.0), (-1.0, 1.0)]
        {
            assert_eq!(tariff.per_kwh_at(minute), price, "{minute}");
        }
        assert_eq!(tariff.per_kwh_min(), 1.0);
    }
}
