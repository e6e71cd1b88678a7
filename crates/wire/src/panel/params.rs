//! What can be asked for, of each list its own: what a list does not use is refused, or it would seem to be heeded.

use recarga_reservation::{EvseId, Timestamp, VehicleId};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::problem::{Problem, ProblemKind};
use crate::text;

macro_rules! params {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $field:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
        #[serde(deny_unknown_fields, default)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            $($(#[$what])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<String>,)*
        }

        impl From<$name> for PanelParams {
            fn from(given: $name) -> Self {
                Self { $($field: given.$field,)* ..Self::default() }
            }
        }
    };
}

params! {
    /// The parameters of calendars.
    CalendarParams {
        /// First instant of the period.
        de,
        /// First instant after it.
        ate,
        /// Only this EVSE.
        ponto_id,
        /// Most EVSEs on a page.
        limite,
        /// The `proximo` of the page before.
        cursor,
    }
}

params! {
    /// The parameters of figures.
    FiguresParams {
        /// First instant of the period.
        de,
        /// First instant after it.
        ate,
        /// Only this EVSE.
        ponto_id,
    }
}

params! {
    /// The parameters of trips that a company coordinated.
    PanelTripsParams {
        /// Only this car.
        veiculo_id,
        /// Most trips on a page.
        limite,
        /// The `proximo` of the page before.
        cursor,
    }
}

params! {
    /// The parameters of sessions.
    SessionsParams {
        /// Most sessions.
        limite,
    }
}

params! {
    /// The parameters of stations.
    StationsParams {
        /// First instant of the window.
        de,
        /// First instant after it.
        ate,
        /// Most stations on a page.
        limite,
        /// The `proximo` of the page before.
        cursor,
    }
}

/// All of them, of which each list has some.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PanelParams {
    /// First instant of the period.
    pub de: Option<String>,
    /// First instant after it.
    pub ate: Option<String>,
    /// Only this EVSE.
    pub ponto_id: Option<String>,
    /// Only this car.
    pub veiculo_id: Option<String>,
    /// Most entries on a page.
    pub limite: Option<String>,
    /// The `proximo` of the page before.
    pub cursor: Option<String>,
}

/// The checked parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PanelQuery {
    /// First instant of the period.
    pub from: Option<Timestamp>,
    /// First instant after it.
    pub until: Option<Timestamp>,
    /// Only this EVSE.
    pub evse: Option<EvseId>,
    /// Only this car.
    pub vehicle: Option<VehicleId>,
    /// Most entries on a page.
    pub limit: usize,
    /// After what.
    pub cursor: Option<String>,
}

impl PanelParams {
    /// Checks every parameter; `usual` and `most` are entries on a page.
    ///
    /// # Errors
    /// A [`Problem`] that names the parameter and the cure.
    pub fn into_query(self, usual: usize, most: usize) -> Result<PanelQuery, Problem> {
        let given = |param: Option<String>| param.filter(|text| !text.is_empty());
        let instant = |param, name| given(param).map(|text| text::parse(&text, name)).transpose();
        let (from, until) = (instant(self.de, "de")?, instant(self.ate, "ate")?);
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            let detail = "o período termina antes de começar: `ate` deve ser posterior a `de`";
            return Err(Problem::new(ProblemKind::ReversedWindow, detail).at("ate"));
        }
        let limit = |text: String| {
            text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
                let detail = format!("use um número inteiro de 1 a {most}");
                Problem::new(ProblemKind::InvalidField, detail).at("limite")
            })
        };
        Ok(PanelQuery {
            from,
            until,
            evse: given(self.ponto_id).map(|text| text::parse(&text, "ponto_id")).transpose()?,
            vehicle: given(self.veiculo_id).map(|text| text::parse(&text, "veiculo_id")).transpose()?,
            limit: given(self.limite).map(limit).transpose()?.unwrap_or(usual),
            cursor: given(self.cursor),
        })
    }
}
