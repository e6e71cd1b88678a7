//! What the page in the browser shows besides what is built in.

use serde::Deserialize;

/// Pictures of maps from somewhere else: none are fetched unless the operator says from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// With `{z}`, `{x}` and `{y}`.
    pub tile_url: String,
    /// Whom to thank for them.
    pub attribution: String,
    /// Scheme, host and port of the address: all that a browser is allowed to fetch from there.
    pub origin: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PanelTable {
    #[serde(default)]
    tile_url: Option<String>,
    #[serde(default)]
    tile_attribution: Option<String>,
}

pub(super) fn check(table: PanelTable, problems: &mut Vec<String>) -> Option<Map> {
    let attribution = table.tile_attribution.unwrap_or_default();
    let Some(tile_url) = table.tile_url else {
        if !attribution.is_empty() {
            problems.push("panel.tile_attribution: there is no panel.tile_url; set both or none".to_owned());
        }
        return None;
    };
    match origin(&tile_url) {
        Some(origin) => Some(Map { tile_url, attribution, origin }),
        None => {
            problems.push(format!(
                "panel.tile_url: \"{tile_url}\" is not understood; write https://HOST/PATH with {{z}}, {{x}} and {{y}}"
            ));
            None
        }
    }
}

// None if it is no address of tiles. The origin goes into a header, so it has nothing but what a host and a port have.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let well_formed = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'))
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && ["{z}", "{x}", "{y}"].iter().all(|variable| path.contains(variable));
    (matches!(scheme, "http" | "https") && well_formed).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_tiles_are_taken() {
        let origin_of = |url| origin(url).unwrap_or_default();
        assert_eq!(origin_of("https://tiles.example.org/{z}/{x}/{y}.png"), "https://tiles.example.org");
        assert_eq!(origin_of("http://127.0.0.1:9000/t/{z}/{x}/{y}"), "http://127.0.0.1:9000");
        for bad in [
            "https://tiles.example.org/{z}/{x}.png",
            "javascript://x/{z}/{x}/{y}",
            "https://a;script-src *//{z}/{x}/{y}",
            "https:// a/{z}/{x}/{y}",
            "https:///{z}/{x}/{y}",
            "{z}{x}{y}",
        ] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }
}
