//! Values that travel as JSON texts: how each is read, written and asked for.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use recarga_reservation::{
    ConnectorId, DayTime, EvseId, IdError, OperatorId, Plug, RequestId, StationId, StoreId, Timestamp,
    TransactionId, TripId, VehicleId,
};
use serde::Serializer;

use crate::instant;
use crate::problem::{Problem, ProblemKind};

/// A value that travels as a text.
pub trait Text: Sized + sealed::Sealed {
    /// What the text must be, in Portuguese.
    const EXPECTED: &'static str;

    /// Reads the text.
    ///
    /// # Errors
    /// In Portuguese, what is wrong with it and how to write it.
    fn read(text: &str) -> Result<Self, Cow<'static, str>>;

    /// Writes the text.
    ///
    /// # Errors
    /// Those of the serialiser.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Reads a text that came outside of a body: a path segment, a header, a query parameter, an option of a program.
/// `field` is what to call it in the problem.
///
/// # Errors
/// [`ProblemKind::InvalidField`] with the cure.
pub fn parse<T: Text>(text: &str, field: &str) -> Result<T, Problem> {
    T::read(text).map_err(|detail| Problem::new(ProblemKind::InvalidField, detail).at(field))
}

mod sealed {
    pub trait Sealed {}
}

const ID_LENGTH_MAX: usize = 64;
const SHOWN_MAX: usize = 80;

/// A text from outside, short enough to be shown in an answer.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

macro_rules! id_text {
    ($($name:ident)*) => {$(
        impl sealed::Sealed for $name {}

        impl Text for $name {
            const EXPECTED: &'static str = "um identificador: 1 a 64 caracteres A-Z a-z 0-9 . _ -";

            fn read(text: &str) -> Result<Self, Cow<'static, str>> {
                $name::new(text).map_err(|_| explain_id(text))
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

id_text!(OperatorId StationId EvseId ConnectorId VehicleId RequestId TripId);

impl sealed::Sealed for TransactionId {}
impl sealed::Sealed for StoreId {}
impl sealed::Sealed for Plug {}
impl sealed::Sealed for Timestamp {}
impl sealed::Sealed for DayTime {}

impl Text for TransactionId {
    const EXPECTED: &'static str = "uma sessão: empresa.depósito.época.contador.acaso";

    fn read(text: &str) -> Result<Self, Cow<'static, str>> {
        from_str(text, "não é uma sessão; use, sem mudar nada, a `sessao` que a empresa coordenadora criou")
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Text for StoreId {
    const EXPECTED: &'static str = "um depósito: 32 dígitos hexadecimais minúsculos";

    fn read(text: &str) -> Result<Self, Cow<'static, str>> {
        from_str(text, "não é um depósito; use 32 dígitos hexadecimais minúsculos")
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Text for Plug {
    const EXPECTED: &'static str = "o nome OCPI de um plugue, como IEC_62196_T2_COMBO";

    fn read(text: &str) -> Result<Self, Cow<'static, str>> {
        Plug::from_name(text).map_err(|_| {
            let names: Vec<&str> = Plug::ALL.iter().map(|plug| plug.name()).collect();
            Cow::Owned(format!("plugue desconhecido `{}`; use um de: {}", shown(text), names.join(", ")))
        })
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Text for Timestamp {
    const EXPECTED: &'static str = "um instante RFC 3339, como 2026-12-01T14:00:00Z";

    fn read(text: &str) -> Result<Self, Cow<'static, str>> {
        instant::parse(text)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(instant::write(*self, &mut [0; instant::LENGTH_MAX]))
    }
}

impl Text for DayTime {
    const EXPECTED: &'static str = "uma hora do dia, como 18:30";

    fn read(text: &str) -> Result<Self, Cow<'static, str>> {
        DayTime::from_text(text)
            .map_err(|_| Cow::Borrowed("não é uma hora do dia; use dois dígitos de cada, como 18:30"))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn from_str<T>(text: &str, otherwise: &'static str) -> Result<T, Cow<'static, str>>
where
    T: FromStr<Err = IdError> + Display,
{
    text.parse().map_err(|_| Cow::Borrowed(otherwise))
}

fn explain_id(text: &str) -> Cow<'static, str> {
    const CURE: &str = "use 1 a 64 caracteres A-Z a-z 0-9 . _ - , o primeiro letra ou dígito";
    let length = text.chars().count();
    let foreign = text.chars().find(|one| !(one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '-')));
    Cow::Owned(match foreign {
        _ if text.is_empty() => format!("o identificador está vazio; {CURE}"),
        Some(foreign) => format!("o caractere {foreign:?} não é permitido; {CURE}"),
        None if length > ID_LENGTH_MAX => format!("tem {length} caracteres; {CURE}"),
        None => format!("não pode começar por {:?}; {CURE}", text.chars().next().unwrap_or_default()),
    })
}
