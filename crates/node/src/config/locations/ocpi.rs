//! OCPI 2.2.1 / 2.3.0 Location objects, as exported by a charging company's other systems. Unknown fields are
//! ignored, as OCPI demands.

use serde::Deserialize;

use super::{ConnectorTable, EvseTable, LocationTable, TariffTable};

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    // The envelope of an OCPI response, a bare list, or one object.
    Response { data: Vec<Location> },
    List(Vec<Location>),
    One(Box<Location>),
}

#[derive(Deserialize)]
struct Location {
    id: String,
    #[serde(default)]
    name: Option<String>,
    city: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    address: String,
    coordinates: Coordinates,
    time_zone: String,
    #[serde(default)]
    evses: Vec<Evse>,
}

#[derive(Deserialize)]
struct Coordinates {
    latitude: Degrees,
    longitude: Degrees,
}

// OCPI sends degrees as text; many systems send numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Degrees {
    Text(String),
    Number(f64),
}

#[derive(Deserialize)]
struct Evse {
    uid: String,
    #[serde(default)]
    evse_id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    connectors: Vec<Connector>,
}

#[derive(Deserialize)]
struct Connector {
    id: String,
    standard: String,
    #[serde(default)]
    max_electric_power: Option<f64>,
    #[serde(default, alias = "voltage")]
    max_voltage: f64,
    #[serde(default, alias = "amperage")]
    max_amperage: f64,
    #[serde(default)]
    power_type: Option<String>,
}

pub fn parse(text: &str, tariff: &TariffTable) -> Result<Vec<LocationTable>, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        format!("not OCPI locations (a response with \"data\", a list, or one Location object): {error}")
    })?;
    let locations = match document {
        Document::Response { data } | Document::List(data) => data,
        Document::One(location) => vec![*location],
    };
    locations.into_iter().map(|location| convert(location, tariff.clone())).collect()
}

fn convert(location: Location, tariff: TariffTable) -> Result<LocationTable, String> {
    let degrees = |degrees: &Degrees| match degrees {
        Degrees::Number(number) => Ok(*number),
        Degrees::Text(text) => {
            text.trim().parse().map_err(|_| format!("location {}: \"{text}\" are no degrees", location.id))
        }
    };
    let (latitude, longitude) =
        (degrees(&location.coordinates.latitude)?, degrees(&location.coordinates.longitude)?);
    let offered = |evse: &Evse| !matches!(evse.status.as_deref(), Some("REMOVED" | "PLANNED"));
    Ok(LocationTable {
        name: location.name.unwrap_or(location.address),
        city: location.city,
        // OCPI's state is free text; without one the check asks for it.
        state: location.state.unwrap_or_default(),
        latitude,
        longitude,
        altitude_m: None,
        time_zone: location.time_zone,
        tariff,
        evses: location.evses.into_iter().filter(offered).map(convert_evse).collect(),
        id: location.id,
    })
}

fn convert_evse(evse: Evse) -> EvseTable {
    // The eMI3 id may contain "*", which neither topics nor URLs like; the uid always identifies the EVSE.
    let id = evse.evse_id.map(|id| id.replace('*', "-")).unwrap_or(evse.uid);
    let connectors = evse.connectors.into_iter().map(|connector| ConnectorTable {
        power_kw: power_kw(&connector),
        id: connector.id,
        plug: connector.standard,
    });
    EvseTable { id, connectors: connectors.collect() }
}

fn power_kw(connector: &Connector) -> f64 {
    let phases = match connector.power_type.as_deref() {
        Some("AC_3_PHASE") => 3.0,
        Some("AC_2_PHASE" | "AC_2_PHASE_SPLIT") => 2.0,
        _ => 1.0,
    };
    let watts =
        connector.max_electric_power.unwrap_or(connector.max_voltage * connector.max_amperage * phases);
    (watts / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATION: &str = r#"{"country_code":"BR","party_id":"EMA","id":"LOC1","publish":true,"name":"Posto Um",
        "address":"Av. Um, 1","city":"Salvador","state":"BA","country":"BRA","time_zone":"America/Bahia",
        "coordinates":{"latitude":"-12.97","longitude":"-38.5"},"last_updated":"2026-01-01T00:00:00Z",
        "evses":[{"uid":"1","evse_id":"BR*EMA*E1","status":"AVAILABLE","connectors":[
          {"id":"1","standard":"IEC_62196_T2","format":"SOCKET","power_type":"AC_3_PHASE","max_voltage":230,
           "max_amperage":32,"last_updated":"2026-01-01T00:00:00Z"},
          {"id":"2","standard":"IEC_62196_T2_COMBO","power_type":"DC","max_voltage":500,"max_amperage":125,
           "max_electric_power":60000}]},
         {"uid":"2","status":"REMOVED","connectors":[]}]}"#;

    #[test]
    fn a_location_is_understood_alone_in_a_list_and_in_a_response() {
        let tariff = TariffTable { price_kwh: 2.0, ..TariffTable::default() };
        for text in [
            LOCATION.to_owned(),
            format!("[{LOCATION}]"),
            format!("{{\"data\":[{LOCATION}],\"status_code\":1000}}"),
        ] {
            let mut problems = Vec::new();
            let stations = super::super::check(parse(&text, &tariff).unwrap(), &mut problems);
            assert_eq!(problems, [""; 0]);
            let evses = &stations[0].evses;
            assert_eq!(evses.len(), 1, "what is removed is not offered");
            assert_eq!(evses[0].id.as_str(), "BR-EMA-E1");
            let powers: Vec<f64> = evses[0].connectors.iter().map(|one| one.power_kw).collect();
            assert_eq!(powers, [22.1, 60.0]);
        }
    }
}
