//! The cars of journeys: those of the catalogue, and a car of one's own.

use recarga_reservation::Plug;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema};

/// Letters of a car's name.
const NAME_LETTERS_MAX: usize = 60;
/// Plugs of one car.
const PLUGS_MAX: usize = 10;
/// Points of a charging curve.
const CURVE_POINTS_MAX: usize = 101;

/// A car, with what its maker publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CarBody {
    /// For people.
    #[schema(example = "Meu carro")]
    pub nome: String,
    /// Energy between empty and full, in kWh, 5 to 500.
    #[schema(minimum = 5, maximum = 500)]
    pub bateria_kwh: f64,
    /// The most it takes of direct current, in kW, 1 to 1000.
    #[schema(minimum = 1, maximum = 1000)]
    pub potencia_cc_kw: f64,
    /// The most it takes of alternating current, in kW, 1 to 100.
    #[schema(minimum = 1, maximum = 100)]
    pub potencia_ca_kw: f64,
    /// What it can be plugged into.
    #[serde(with = "fields::texts")]
    #[schema(value_type = Vec<schema::Plugue>)]
    pub plugues: Vec<Plug>,
    /// As published, in km, 50 to 2000.
    #[schema(minimum = 50, maximum = 2000)]
    pub autonomia_km: f64,
    /// In which cycle that was measured.
    #[serde(with = "fields::word")]
    pub ciclo: Cycle,
    /// Empty, in kg, 200 to 10000.
    #[schema(minimum = 200, maximum = 10000)]
    pub massa_kg: f64,
    /// Drag coefficient times frontal area, in m², 0.1 to 10.
    #[schema(minimum = 0.1, maximum = 10)]
    pub area_arrasto_m2: f64,
    /// Power by charge: points of [per cent, kW], from 0 per cent on.
    #[schema(min_items = 1, max_items = 101)]
    pub curva: Vec<(f64, f64)>,
}

/// How a published range was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Cycle {
    /// The world's.
    #[serde(rename = "WLTP")]
    Wltp,
    /// Brazil's label.
    #[serde(rename = "PBEV")]
    Pbev,
}

/// The cars of the catalogue: `GET /modelos`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelsAnswer {
    /// The cars, in the order of the catalogue.
    #[serde(with = "fields::objects")]
    pub modelos: Vec<ModelView>,
}

/// A car of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelView {
    /// What to write in `modelo`.
    pub modelo: String,
    /// For people.
    pub nome: String,
    /// What its battery gives, in kWh.
    pub bateria_kwh: f64,
    /// The most it takes, in kW.
    pub potencia_max_kw: f64,
    /// What it can be plugged into.
    #[serde(with = "fields::texts")]
    #[schema(value_type = Vec<schema::Plugue>)]
    pub plugues: Vec<Plug>,
    /// How far a full battery goes at 90 km/h on the flat, in km.
    pub autonomia_km: f64,
}

impl CarBody {
    // Names the field and the cure.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let invalid = |field: &str, cure: &str| {
            Err(Problem::new(ProblemKind::InvalidField, cure.to_owned()).at(format!("carro.{field}")))
        };
        if self.nome.trim().is_empty() || self.nome.chars().count() > NAME_LETTERS_MAX {
            return invalid("nome", "use de 1 a 60 letras");
        }
        let limits = [
            ("bateria_kwh", self.bateria_kwh, 5.0..=500.0, "use de 5 a 500 kWh"),
            ("potencia_cc_kw", self.potencia_cc_kw, 1.0..=1000.0, "use de 1 a 1000 kW"),
            ("potencia_ca_kw", self.potencia_ca_kw, 1.0..=100.0, "use de 1 a 100 kW"),
            ("autonomia_km", self.autonomia_km, 50.0..=2000.0, "use de 50 a 2000 km"),
            ("massa_kg", self.massa_kg, 200.0..=10_000.0, "use de 200 a 10000 kg"),
            ("area_arrasto_m2", self.area_arrasto_m2, 0.1..=10.0, "use de 0.1 a 10 m²"),
        ];
        if let Some((field, _, _, cure)) = limits.iter().find(|(_, value, range, _)| !range.contains(value)) {
            return invalid(field, cure);
        }
        if self.plugues.is_empty() || self.plugues.len() > PLUGS_MAX {
            return invalid("plugues", "diga de 1 a 10 plugues");
        }
        let is_point =
            |(percent, kw): &(f64, f64)| (0.0..=100.0).contains(percent) && (0.1..=1000.0).contains(kw);
        let grows = self.curva.windows(2).all(|two| two[0].0 < two[1].0);
        if !(1..=CURVE_POINTS_MAX).contains(&self.curva.len()) || !self.curva.iter().all(is_point) || !grows {
            return invalid(
                "curva",
                "use de 1 a 101 pontos [carga em %, kW], com a carga crescendo de ponto a ponto",
            );
        }
        Ok(())
    }
}
