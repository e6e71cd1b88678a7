//! What a company offers: stations (OCPI: locations) with EVSEs, and EVSEs with connectors.

use std::fmt;

use thiserror::Error;

use crate::ids::{ConnectorId, EvseId, StationId};

/// A place where cars charge.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Unique within the company.
    pub id: StationId,
    /// For people.
    pub name: String,
    /// For people.
    pub city: String,
    /// Federative unit, two capital letters.
    pub state: String,
    /// Degrees, WGS 84, -90 to 90.
    pub latitude: f64,
    /// Degrees, WGS 84, -180 to 180.
    pub longitude: f64,
    /// Metres above the sea, if the company says so.
    pub altitude_m: Option<f64>,
    /// IANA name; times for people at this station are told in it.
    pub time_zone: String,
    /// What a session costs.
    pub tariff: Tariff,
    /// At least one.
    pub evses: Vec<Evse>,
}

/// What a session costs, in BRL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tariff {
    /// BRL per kWh, where no band says otherwise.
    pub price_kwh: f64,
    /// BRL once per session.
    pub activation_fee: f64,
    /// BRL per minute for a car that stays at the cable when it is charged.
    pub idle_fee_minute: f64,
    /// Other prices at some times of the day; where they overlap, the first holds.
    pub bands: Vec<PriceBand>,
}

/// A price at some times of the day, in the station's local time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceBand {
    /// From then on.
    pub from: DayTime,
    /// Until then; on the next day, if it is not after `from`.
    pub to: DayTime,
    /// BRL per kWh.
    pub price_kwh: f64,
}

/// A minute of the day, as clocks on the wall show it: 00:00 to 23:59.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayTime(u16);

/// A text that is no time of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no time of the day; write it as in 18:30")]
pub struct NoDayTime;

impl DayTime {
    /// Reads `18:30`.
    ///
    /// # Errors
    /// It is not two digits, a colon and two digits, or later than 23:59.
    pub fn from_text(text: &str) -> Result<DayTime, NoDayTime> {
        let number = |digits: &str| {
            let is_one = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_one.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (hours, minutes) = text.split_once(':').ok_or(NoDayTime)?;
        match (number(hours), number(minutes)) {
            (Some(hours @ 0..24), Some(minutes @ 0..60)) => Ok(DayTime(hours * 60 + minutes)),
            _ => Err(NoDayTime),
        }
    }

    /// Minutes since midnight, 0 to 1439.
    pub fn minute(self) -> u16 {
        self.0
    }
}

impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl fmt::Debug for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Serves one car at a time; the unit of reservation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evse {
    /// Unique within the company.
    pub id: EvseId,
    /// At least one; only one of them can be in use.
    pub connectors: Vec<Connector>,
}

impl Evse {
    /// Whether a car with this plug can charge here.
    pub fn fits(&self, plug: Plug) -> bool {
        self.connectors.iter().any(|connector| connector.plug == plug)
    }
}

/// A cable or a socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    /// Unique within the EVSE.
    pub id: ConnectorId,
    /// Its shape.
    pub plug: Plug,
    /// The most it delivers, in kW.
    pub power_kw: f64,
}

/// Not one of OCPI's connector types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a connector type of OCPI 2.2.1 or 2.3.0")]
pub struct UnknownPlug;

/// A connector type of OCPI (`ConnectorType`), by its name there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plug(&'static str);

impl Plug {
    /// CCS2, the usual fast-charging plug in Brazil.
    pub const CCS2: Plug = Plug("IEC_62196_T2_COMBO");
    /// Type 2, alternating current.
    pub const TYPE2: Plug = Plug("IEC_62196_T2");
    /// CHAdeMO.
    pub const CHADEMO: Plug = Plug("CHADEMO");

    /// Every known type.
    pub const ALL: [Plug; 40] = [
        Self::CCS2,
        Self::TYPE2,
        Self::CHADEMO,
        Plug("CHAOJI"),
        Plug("DOMESTIC_A"),
        Plug("DOMESTIC_B"),
        Plug("DOMESTIC_C"),
        Plug("DOMESTIC_D"),
        Plug("DOMESTIC_E"),
        Plug("DOMESTIC_F"),
        Plug("DOMESTIC_G"),
        Plug("DOMESTIC_H"),
        Plug("DOMESTIC_I"),
        Plug("DOMESTIC_J"),
        Plug("DOMESTIC_K"),
        Plug("DOMESTIC_L"),
        Plug("DOMESTIC_M"),
        Plug("DOMESTIC_N"),
        Plug("DOMESTIC_O"),
        Plug("GBT_AC"),
        Plug("GBT_DC"),
        Plug("IEC_60309_2_single_16"),
        Plug("IEC_60309_2_three_16"),
        Plug("IEC_60309_2_three_32"),
        Plug("IEC_60309_2_three_64"),
        Plug("IEC_62196_T1"),
        Plug("IEC_62196_T1_COMBO"),
        Plug("IEC_62196_T3A"),
        Plug("IEC_62196_T3C"),
        Plug("MCS"),
        Plug("NEMA_5_20"),
        Plug("NEMA_6_30"),
        Plug("NEMA_6_50"),
        Plug("NEMA_10_30"),
        Plug("NEMA_10_50"),
        Plug("NEMA_14_30"),
        Plug("NEMA_14_50"),
        Plug("SAE_J3400"),
        Plug("TESLA_R"),
        Plug("TESLA_S"),
    ];

    /// By OCPI's name, letter for letter.
    pub fn from_name(name: &str) -> Result<Plug, UnknownPlug> {
        Self::ALL.into_iter().find(|plug| plug.0 == name).ok_or(UnknownPlug)
    }

    /// OCPI's name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_has_four_digits() {
        for text in ["00:00", "09:05", "23:59"] {
            assert_eq!(DayTime::from_text(text).unwrap().to_string(), text);
        }
        assert_eq!(DayTime::from_text("18:30").unwrap().minute(), 1110);
        for text in ["", "9:05", "24:00", "12:60", "12h30", "-1:00", "+1:00", "12:30:00", "１２:30"] {
            assert_eq!(DayTime::from_text(text), Err(NoDayTime), "{text}");
        }
    }
}
