//! serde's side of a [`Cursor`].
//!
//! It is written here, not taken from a crate, for what a generic one cannot do: it learns the
//! valid keys of each section from serde, and so matches environment variables, names the nearest
//! key, reports several problems in one go, and knows the line of each.

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::cursor::{Child, Cursor};
use super::error::Warning;
use super::failure::Failure;
use super::node::Value;
use super::types::OBSOLETE;

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let place = self.place();
            self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))
                .and_then(|number| {
                    <$type>::try_from(number).map_err(|error| Failure::new(error.to_string()))
                })
                .and_then(|number| visitor.$visit(number))
                .map_err(place)
        }
    )*};
}

impl Cursor<'_> {
    fn integer(&self, min: i128, max: i128) -> Result<i128, Failure> {
        let expected = if min == 0 {
            format!("a whole number from 0 to {max}")
        } else {
            format!("a whole number from {min} to {max}")
        };
        self.scalar(&expected)?
            .as_integer()
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.expected(&expected))
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if !self.overrides.is_empty() {
            return self.deserialize_map(visitor);
        }
        match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar(scalar) => {
                let place = self.place();
                let text = || self.text().unwrap_or(&scalar.text);
                self.record(&scalar.text);
                let result = if let Some(truth) = scalar.as_bool() {
                    visitor.visit_bool(truth)
                } else if let Some(number) = scalar.as_integer() {
                    if let Ok(number) = u64::try_from(number) {
                        visitor.visit_u64(number)
                    } else if let Ok(number) = i64::try_from(number) {
                        visitor.visit_i64(number)
                    } else {
                        visitor.visit_str(text())
                    }
                } else if let Some(number) = scalar.as_float() {
                    visitor.visit_f64(number)
                } else {
                    visitor.visit_str(text())
                };
                result.map_err(place)
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.scalar("true or false")
            .and_then(|scalar| {
                scalar
                    .as_bool()
                    .ok_or_else(|| self.expected("true or false"))
            })
            .and_then(|truth| visitor.visit_bool(truth))
            .map_err(place)
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.scalar("a number")
            .and_then(|scalar| scalar.as_float().ok_or_else(|| self.expected("a number")))
            .and_then(|number| visitor.visit_f64(number))
            .map_err(place)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.text()
            .and_then(|text| visitor.visit_str(text))
            .map_err(place)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        if self.is_nothing() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
        .map_err(place)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        if self.is_nothing() {
            visitor.visit_unit()
        } else {
            Err(self.expected("nothing"))
        }
        .map_err(place)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.place();
        if name == OBSOLETE {
            self.pass.warnings.borrow_mut().push(Warning {
                origin: self.origin(),
                key: self.path,
                message: "has no effect any more and can be removed".to_owned(),
            });
            visitor.visit_unit()
        } else {
            visitor.visit_newtype_struct(self)
        }
        .map_err(place)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.items()
            .and_then(|items| {
                visitor.visit_seq(Items {
                    items: items.into_iter(),
                })
            })
            .map_err(place)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.place();
        self.free_entries()
            .and_then(|children| visitor.visit_map(Children::new(children)))
            .map_err(place)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.place();
        self.section(fields)
            .and_then(|children| visitor.visit_map(Children::new(children)))
            .map_err(place)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.place();
        let result = match self.value() {
            Value::Scalar(scalar) if self.overrides.is_empty() => {
                let text = scalar.text.clone();
                self.record(&text);
                visitor.visit_enum(IntoDeserializer::<Failure>::into_deserializer(text))
            }
            Value::List(_) => Err(Failure::new(format!(
                "expected one of `{}`, found a list",
                variants.join("`, `")
            ))),
            _ => self.section(variants).and_then(|mut children| {
                match (children.pop(), children.is_empty()) {
                    (Some(only), true) => visitor.visit_enum(Variant(only)),
                    _ => Err(Failure::new(format!(
                        "expected exactly one of `{}`",
                        variants.join("`, `")
                    ))),
                }
            }),
        };
        result.map_err(place)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}

struct Children<'s> {
    rest: std::vec::IntoIter<Child<'s>>,
    value: Option<Cursor<'s>>,
}

impl<'s> Children<'s> {
    fn new(children: Vec<Child<'s>>) -> Self {
        Self {
            rest: children.into_iter(),
            value: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for Children<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let Some(Child { key, cursor }) = self.rest.next() else {
            return Ok(None);
        };
        let place = cursor.place();
        self.value = Some(cursor);
        seed.deserialize(IntoDeserializer::<Failure>::into_deserializer(key))
            .map(Some)
            .map_err(place)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some(cursor) = self.value.take() else {
            return Err(Failure::new("a value was asked for before its key"));
        };
        // What fails after the value was read (`try_from`) still belongs to this key.
        let place = cursor.place();
        seed.deserialize(cursor).map_err(place)
    }
}

struct Items<'s> {
    items: std::vec::IntoIter<Cursor<'s>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some(cursor) = self.items.next() else {
            return Ok(None);
        };
        let place = cursor.place();
        seed.deserialize(cursor).map(Some).map_err(place)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Variant<'s>(Child<'s>);

impl<'de, 's> de::EnumAccess<'de> for Variant<'s> {
    type Error = Failure;
    type Variant = Cursor<'s>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Cursor<'s>), Failure> {
        let name = IntoDeserializer::<Failure>::into_deserializer(self.0.key);
        Ok((seed.deserialize(name)?, self.0.cursor))
    }
}

impl<'de> de::VariantAccess<'de> for Cursor<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        serde::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_struct("", fields, visitor)
    }
}
