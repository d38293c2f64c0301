//! Lists, texts and byte strings whose length is part of their type.
//!
//! Invariant: nothing is reserved before it is read, and reading stops at the bound, so a claimed
//! length costs nothing.

use minicbor::data::Type;
use minicbor::{CborLen, Decode, Decoder, Encode, Encoder, decode, encode};

/// A list of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct List<T, const MAX: usize>(Vec<T>);

/// More than the type allows; holds the length that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{got} are too many: at most {max}")]
pub struct TooMany {
    /// Length offered.
    pub got: usize,
    /// Length allowed.
    pub max: usize,
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The list, if it is short enough.
    ///
    /// # Errors
    /// [`TooMany`] when it is not.
    pub fn new(items: Vec<T>) -> Result<Self, TooMany> {
        if items.len() > MAX {
            return Err(TooMany { got: items.len(), max: MAX });
        }
        Ok(Self(items))
    }

    /// The first `MAX` of `items`; what is beyond is left out.
    pub fn first_of(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
    }

    /// The items by value.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<C, T: Encode<C>, const MAX: usize> Encode<C> for List<T, MAX> {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(self.0.len() as u64)?;
        self.0.iter().try_for_each(|item| item.encode(e, ctx))
    }
}

impl<'b, C, T: Decode<'b, C>, const MAX: usize> Decode<'b, C> for List<T, MAX> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let Some(len) = d.array()?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MAX)
        else {
            return Err(decode::Error::message("list of unknown or forbidden length").at(at));
        };
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(d.decode_with(ctx)?);
        }
        Ok(Self(items))
    }
}

impl<C, T: CborLen<C>, const MAX: usize> CborLen<C> for List<T, MAX> {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        self.0.cbor_len(ctx)
    }
}

/// A byte string of at most `MAX` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Bytes<MAX> {
    /// The bytes, if they are few enough.
    ///
    /// # Errors
    /// [`TooMany`] when they are not.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooMany> {
        if bytes.len() > MAX {
            return Err(TooMany { got: bytes.len(), max: MAX });
        }
        Ok(Self(bytes))
    }

    /// The bytes by value.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> std::ops::Deref for Bytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl<C, const MAX: usize> Encode<C> for Bytes<MAX> {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for Bytes<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let bytes = d.bytes()?;
        if bytes.len() > MAX {
            return Err(decode::Error::message("byte string too long").at(at));
        }
        Ok(Self(bytes.to_vec()))
    }
}

impl<C, const MAX: usize> CborLen<C> for Bytes<MAX> {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        minicbor::bytes::ByteSlice::cbor_len(self.0.as_slice().into(), ctx)
    }
}

/// A text of at most `MAX` bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text, if it is short enough.
    ///
    /// # Errors
    /// [`TooMany`] when it is not.
    pub fn new(text: impl Into<String>) -> Result<Self, TooMany> {
        let text = text.into();
        if text.len() > MAX {
            return Err(TooMany { got: text.len(), max: MAX });
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl<C, const MAX: usize> Encode<C> for Text<MAX> {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for Text<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        if d.datatype()? != Type::String {
            return Err(decode::Error::message("text of unknown length").at(at));
        }
        let text = d.str()?;
        if text.len() > MAX {
            return Err(decode::Error::message("text too long").at(at));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<C, const MAX: usize> CborLen<C> for Text<MAX> {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        self.0.cbor_len(ctx)
    }
}
