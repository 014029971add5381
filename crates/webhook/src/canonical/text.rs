//! JSON text that is written anew as it is read: none of it is held as a value.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// The text of a JSON object whose keys are in the order in which they are written, at every level. What is not cannot be
/// written.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.trim_ascii_start().first() != Some(&b'{') {
            return Err(S::Error::custom("no object"));
        }
        let mut from = serde_json::Deserializer::from_slice(self.0);
        let written = from.deserialize_any(Anew(to)).map_err(S::Error::custom)?;
        from.end().map_err(S::Error::custom)?;
        Ok(written)
    }
}

/// Writes what it sees.
struct Anew<S>(S);

/// Something that is yet to be read, and can be once.
struct Unread<D>(Cell<Option<D>>);

impl<'de, D: Deserializer<'de>> Serialize for Unread<D> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let from = self.0.take().ok_or_else(|| S::Error::custom("read before"))?;
        from.deserialize_any(Anew(to)).map_err(S::Error::custom)
    }
}

impl<'de, S: Serializer> Visitor<'de> for Anew<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<S::Ok, E> {
        self.0.serialize_bool(value).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<S::Ok, E> {
        self.0.serialize_u64(value).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<S::Ok, E> {
        self.0.serialize_i64(value).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<S::Ok, E> {
        self.0.serialize_f64(value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<S::Ok, E> {
        self.0.serialize_str(value).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<S::Ok, A::Error> {
        let mut to = self.0.serialize_seq(None).map_err(A::Error::custom)?;
        while from.next_element_seed(Element(&mut to))?.is_some() {}
        to.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<S::Ok, A::Error> {
        let mut to = self.0.serialize_map(None).map_err(A::Error::custom)?;
        let mut last: Option<Cow<'de, str>> = None;
        while let Some(key) = from.next_key_seed(Key)? {
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(A::Error::custom("keys are not in order"));
            }
            to.serialize_key(&*key).map_err(A::Error::custom)?;
            from.next_value_seed(Field(&mut to))?;
            last = Some(key);
        }
        to.end().map_err(A::Error::custom)
    }
}

struct Element<'a, T>(&'a mut T);

impl<'de, T: SerializeSeq> DeserializeSeed<'de> for Element<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Unread(Cell::new(Some(from)))).map_err(D::Error::custom)
    }
}

struct Field<'a, T>(&'a mut T);

impl<'de, T: SerializeMap> DeserializeSeed<'de> for Field<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Unread(Cell::new(Some(from)))).map_err(D::Error::custom)
    }
}

/// A key: a part of the text, unless something in it is escaped.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{to_vec, try_to_vec};
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_text_is_written_as_what_it_holds_is() {
        let texts = [
            r#"{}"#,
            r#" { "a" : [ ] , "b" : { } } "#,
            r#"{"a":[1,-2,0.5,1e16,1e-7,18446744073709551615,18446744073709551616,-0,null,true,false,"x"],"b":{"a":{"a":[[]]}}}"#,
            r#"{"B":"héllo ☃ 𝄞","a":"\"\\\b\f\n\r\t\u0001\u007f\u0080\ud834\udd1e\/","a\n":1,"é":"\u00e9"}"#,
        ];
        for text in texts {
            let value: Value = serde_json::from_str(text).expect(text);
            assert_eq!(try_to_vec(&Text(text.as_bytes()), 0), Some(to_vec(&value)), "{text}");
        }
    }

    #[test]
    fn what_would_be_written_otherwise_as_a_value_is_not_written() {
        for text in [
            "",
            "1",
            "[]",
            "null",
            "{",
            "{} {}",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":[{"b":1,"\u0061":2}]}"#,
        ] {
            assert_eq!(try_to_vec(&Text(text.as_bytes()), 0), None, "{text}");
        }
    }
}
