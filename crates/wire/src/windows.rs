//! Time windows as `{"inicio","fim"}`: for `#[serde(with = "windows")]`.

use recarga_reservation::{TimeWindow, Timestamp};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::fields;

pub(crate) fn serialize<L, S>(windows: &L, serializer: S) -> Result<S::Ok, S::Error>
where
    L: AsRef<[TimeWindow]> + ?Sized,
    S: Serializer,
{
    let free = |window: &TimeWindow| Free { inicio: window.start(), fim: window.end() };
    serializer.collect_seq(windows.as_ref().iter().map(free))
}

pub(crate) fn deserialize<'de, L, D>(deserializer: D) -> Result<L, D::Error>
where
    L: From<Vec<TimeWindow>>,
    D: Deserializer<'de>,
{
    let free: Vec<Free> = fields::objects::deserialize(deserializer)?;
    let windows: Result<Vec<TimeWindow>, _> =
        free.into_iter().map(|free| TimeWindow::new(free.inicio, free.fim)).collect();
    windows.map(L::from).map_err(|_| de::Error::custom("uma janela livre termina antes de começar"))
}

#[derive(Serialize, Deserialize)]
struct Free {
    #[serde(with = "fields::text")]
    inicio: Timestamp,
    #[serde(with = "fields::text")]
    fim: Timestamp,
}
