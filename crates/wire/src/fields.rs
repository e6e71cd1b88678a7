//! How fields are read and written: for `#[serde(with = "...")]`. Every refusal is in Portuguese and says the cure.
//!
//! Reading checks at once, so that the JSON reader itself knows the path of what is wrong.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::text::Text;

/// One text.
pub(crate) mod text {
    use super::*;

    pub fn serialize<T: Text, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.write(serializer)
    }

    pub fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A text that may be absent or null. Needs `#[serde(default)]` beside it.
pub(crate) mod optional_text {
    use super::*;

    pub fn serialize<T: Text, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.write(serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        Ok(Option::<AsText<T>>::deserialize(deserializer)?.map(|text| text.0))
    }
}

/// A list of texts.
pub(crate) mod texts {
    use super::*;

    pub fn serialize<'a, T, L, S>(values: &'a L, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Text + 'a,
        &'a L: IntoIterator<Item = &'a T>,
        S: Serializer,
    {
        serializer.collect_seq(values.into_iter().map(TextRef))
    }

    pub fn deserialize<'de, T, L, D>(deserializer: D) -> Result<L, D::Error>
    where
        T: Text,
        L: Default + Extend<T> + IntoIterator<Item = T>,
        D: Deserializer<'de>,
    {
        list::<AsText<T>, T, L, D>(deserializer, |text| text.0)
    }
}

/// One JSON object, never an array in its place.
pub(crate) mod object {
    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        AsObject::deserialize(deserializer).map(|object| object.0)
    }
}

/// An object that may be absent or null. Needs `#[serde(default)]` beside it.
pub(crate) mod optional_object {
    use super::*;

    pub use super::object::serialize;

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Option::<AsObject<T>>::deserialize(deserializer)?.map(|object| object.0))
    }
}

/// A list of objects.
pub(crate) mod objects {
    use super::*;

    pub use super::object::serialize;

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        list::<AsObject<T>, T, Vec<T>, D>(deserializer, |object| object.0)
    }
}

/// A list of objects that may be absent or null. Needs `#[serde(default)]` beside it.
pub(crate) mod optional_objects {
    use super::*;

    pub use super::object::serialize;

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let list = Option::<Vec<AsObject<T>>>::deserialize(deserializer)?;
        Ok(list.map(|list| list.into_iter().map(|object| object.0).collect()))
    }
}

/// One word of an enumeration. Derived readers of enumerations also take an object in its place.
pub(crate) mod word {
    use super::*;

    pub use super::object::serialize;

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        AsWord::deserialize(deserializer).map(|word| word.0)
    }
}

/// A word that may be absent or null. Needs `#[serde(default)]` beside it.
pub(crate) mod optional_word {
    use super::*;

    pub use super::object::serialize;

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Option::<AsWord<T>>::deserialize(deserializer)?.map(|word| word.0))
    }
}

/// Numbers within limits.
pub(crate) mod number {
    use super::*;

    macro_rules! within {
        ($($name:ident $min:literal $max:literal $unit:literal)*) => {$(
            pub fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
                let value = f64::deserialize(deserializer)?;
                if (f64::from($min)..=f64::from($max)).contains(&value) {
                    return Ok(value);
                }
                let cure = concat!("está fora dos limites; use um número de ", $min, " a ", $max, $unit);
                Err(de::Error::custom(cure))
            }
        )*};
    }

    macro_rules! optional {
        ($($name:ident $of:ident)*) => {$(
            pub fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
                struct Checked(f64);
                impl<'de> Deserialize<'de> for Checked {
                    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        $of(deserializer).map(Checked)
                    }
                }
                Ok(Option::<Checked>::deserialize(deserializer)?.map(|checked| checked.0))
            }
        )*};
    }

    optional! {
        optional_reserve reserve
        optional_cruise cruise
        optional_wait wait
        optional_temperature temperature
    }

    within! {
        percent 0 100 ""
        reserve 0 50 ""
        cruise 40 130 " km/h"
        wait 0 1440 " minutos"
        temperature -30 50 " °C"
        latitude -90 90 " graus"
        longitude -180 180 " graus"
        speed 0 400 " km/h"
        range 0 5000 " km"
    }

    pub fn valid_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let value = u32::deserialize(deserializer)?;
        if (1..=3600).contains(&value) {
            return Ok(value);
        }
        Err(de::Error::custom("está fora dos limites; use um número inteiro de 1 a 3600 segundos"))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }
}

struct AsText<T>(T);

impl<'de, T: Text> Deserialize<'de> for AsText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer).map(AsText)
    }
}

struct TextRef<'a, T>(&'a T);

impl<T: Text> Serialize for TextRef<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

// Derived readers of structs also take an array with the fields in order. Nobody means that.
struct AsObject<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("um objeto JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(AsObject)
    }
}

struct AsWord<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsWord<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for WordVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("um texto")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                T::deserialize(de::value::StrDeserializer::new(text))
            }
        }

        deserializer.deserialize_str(WordVisitor(PhantomData)).map(AsWord)
    }
}

fn list<'de, W, T, L, D>(deserializer: D, unwrap: fn(W) -> T) -> Result<L, D::Error>
where
    W: Deserialize<'de>,
    L: Default + Extend<T>,
    D: Deserializer<'de>,
{
    struct ListVisitor<W, T, L>(fn(W) -> T, PhantomData<L>);

    impl<'de, W: Deserialize<'de>, T, L: Default + Extend<T>> Visitor<'de> for ListVisitor<W, T, L> {
        type Value = L;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("uma lista")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<L, A::Error> {
            let mut list = L::default();
            while let Some(element) = sequence.next_element()? {
                list.extend([(self.0)(element)]);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(ListVisitor(unwrap, PhantomData))
}
