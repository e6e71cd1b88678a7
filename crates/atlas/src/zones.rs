//! The time zone of a place of which only its position is known: that of the state of the nearest city. That is right but
//! for an island and the far west of Amazonas.

use crate::cities;

/// Its IANA name.
pub fn of(latitude: f64, longitude: f64) -> String {
    // Degrees of longitude are shorter away from the equator.
    let shrink = latitude.to_radians().cos();
    let apart = |city: &cities::City| {
        let position = &city.position;
        (position.latitude - latitude).powi(2) + ((position.longitude - longitude) * shrink).powi(2)
    };
    let nearest = cities::all().iter().min_by(|one, other| apart(one).total_cmp(&apart(other)));
    of_state(nearest.map_or("", |city| city.state.as_str()))
}

/// The IANA name of the zone of a federative unit, two letters.
pub fn of_state(state: &str) -> String {
    let name = match state {
        "AC" => "Rio_Branco",
        "AL" | "SE" => "Maceio",
        "AM" => "Manaus",
        "AP" | "PA" => "Belem",
        "BA" => "Bahia",
        "CE" | "MA" | "PB" | "PI" | "RN" => "Fortaleza",
        "MS" => "Campo_Grande",
        "MT" => "Cuiaba",
        "PE" => "Recife",
        "RO" => "Porto_Velho",
        "RR" => "Boa_Vista",
        "TO" => "Araguaina",
        _ => "Sao_Paulo",
    };
    format!("America/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_zone_of_its_state() {
        for (latitude, longitude, zone) in [
            (-8.05, -34.88, "America/Recife"),
            (-3.1, -60.0, "America/Manaus"),
            (-9.97, -67.81, "America/Rio_Branco"),
            (-23.5, -46.6, "America/Sao_Paulo"),
        ] {
            assert_eq!(of(latitude, longitude), zone);
        }
    }

    // The page in the browser has a table of its own.
    #[test]
    fn the_page_says_the_same() {
        let page = include_str!("../../../web/src/state/zones.ts");
        let states: std::collections::BTreeSet<&str> =
            cities::all().iter().map(|city| &*city.state).collect();
        assert_eq!(states.len(), 27);
        for state in states {
            let own = of_state(state);
            let said = page
                .lines()
                .find_map(|line| line.trim().strip_prefix(state)?.strip_prefix(": '")?.strip_suffix("',"));
            assert_eq!(own, format!("America/{}", said.unwrap_or("Sao_Paulo")), "{state}");
        }
    }
}
