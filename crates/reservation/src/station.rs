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
    /// IANA name; times for people at this station are told in it.
    pub time_zone: String,
    /// What a session costs.
    pub tariff: Tariff,
    /// At least one.
    pub evses: Vec<Evse>,
}

/// What a session costs, in BRL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tariff {
    /// BRL per kWh.
    pub price_kwh: f64,
    /// BRL once per session.
    pub activation_fee: f64,
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
