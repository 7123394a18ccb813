//! Stand-ins for keys that are missing, so that a mapping in which two keys are missing is told both in one pass.
//!
//! serde stops at the first missing key, and the only way past it is a value of whatever type the key has. A phantom is that
//! value: the simplest one of the type that is asked for. Nothing made of phantoms ever leaves [`crate::settings::de`].

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, VariantAccess, Visitor};

use crate::settings::mistake::Failure;
use crate::settings::spanned::{Handed, NODE, ONE_OR_MANY, SPANNED, hand};
use crate::settings::tree::{Node, Span, Value};

/// Texts that one or the other type with a grammar accepts: a name, a duration, a number, a URL.
const TEXTS: [&str; 4] = ["x", "1s", "1", "https://example.com"];

/// How often another phantom can be tried.
pub(crate) const ATTEMPTS: usize = TEXTS.len();

/// A value of any type, made from nothing.
#[derive(Clone)]
pub(crate) struct Phantom {
    pub(crate) span: Span,
    pub(crate) attempt: usize,
}

impl Phantom {
    fn text(&self) -> &'static str {
        TEXTS.get(self.attempt).copied().unwrap_or_default()
    }

    fn nothing<'de>() -> SeqDeserializer<std::iter::Empty<StrDeserializer<'de, Failure>>, Failure> {
        SeqDeserializer::new(std::iter::empty())
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            visitor.visit_u64(1)
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            visitor.visit_str(self.text())
        }
    )*};
}

impl<'de> Deserializer<'de> for Phantom {
    type Error = Failure;

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
    deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 }

    texts! { deserialize_any deserialize_str deserialize_string deserialize_char deserialize_bytes deserialize_byte_buf
    deserialize_identifier }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_bool(false)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            NODE => {
                hand(Handed::Node(Node { span: self.span, value: Value::Broken }));
                visitor.visit_unit()
            }
            SPANNED => {
                hand(Handed::Span(self.span.clone()));
                visitor.visit_newtype_struct(self)
            }
            ONE_OR_MANY => visitor.visit_seq(Self::nothing()),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_seq(Self::nothing())
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_seq(Self::nothing())
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_seq(Self::nothing())
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_map(Fields { names: [].iter(), phantom: self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_map(Fields { names: fields.iter(), phantom: self })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_enum(Variant { name: variants.first().copied().unwrap_or_default(), phantom: self })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}

struct Fields {
    names: std::slice::Iter<'static, &'static str>,
    phantom: Phantom,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        self.names.next().map(|name| seed.deserialize(StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        seed.deserialize(self.phantom.clone())
    }
}

struct Variant {
    name: &'static str,
    phantom: Phantom,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Failure;
    type Variant = Phantom;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Phantom), Failure> {
        Ok((seed.deserialize(StrDeserializer::new(self.name))?, self.phantom))
    }
}

impl<'de> VariantAccess<'de> for Phantom {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_struct("", fields, visitor)
    }
}
