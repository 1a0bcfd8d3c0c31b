//! What a task gives back, and how it is written into the host's memory.

use crate::{Error, host};
use muster_plugin_abi::{self as abi, CtxObject, Out, status};
use std::borrow::Cow;
use std::marker::PhantomData;

/// What a task can give back, at most 16 MiB unless the job says otherwise. The kind stands in the manifest, so that
/// outputs can be shown.
pub trait Output {
    /// `none`, `u64`, `i64`, `f64`, `text`, `json` or `bytes`. The host looks: a number that has not 8 bytes, text that
    /// is not UTF-8 and json that is not one JSON document make the task fail.
    const KIND: &'static str;

    /// Appends the result's bytes.
    ///
    /// # Errors
    /// Over the limit, no memory, or a value that cannot be written.
    fn append(self, sink: &mut Sink<'_>) -> Result<(), Error>;
}

/// Results of earlier tasks, read back for [`Reduce`](crate::Reduce).
pub trait FromResult: Sized {
    /// The value from its bytes.
    ///
    /// # Errors
    /// When the bytes are no such value.
    fn from_result(bytes: &[u8]) -> Result<Self, Error>;
}

/// A JSON document as output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Says that [`Context::write`](crate::Context::write) wrote the result, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written;

/// The room for results that the host lends.
#[derive(Debug)]
pub struct Sink<'a> {
    out: *mut Out,
    ctx: *mut CtxObject,
    /// Memory of our own, when the host lends none.
    own: Option<Vec<u8>>,
    lent: PhantomData<&'a mut Out>,
}

impl<'a> Sink<'a> {
    /// # Safety
    /// `out` must be valid for `'a`, nobody else may use it meanwhile, and it must be as the header says.
    pub(crate) unsafe fn lent(out: *mut Out, ctx: *mut CtxObject) -> Self {
        Self { out, ctx, own: None, lent: PhantomData }
    }

    /// Collects what `write` appends, in memory of our own.
    pub(crate) fn collect(write: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
        let mut out = Out {
            struct_size: abi::size_of_table::<Out>(),
            reserved0: 0,
            data: std::ptr::null_mut(),
            data_len: 0,
            data_cap: 0,
            lens: std::ptr::null_mut(),
            lens_len: 0,
            lens_cap: 0,
            data_soft_max: usize::MAX,
        };
        let ctx = std::ptr::null_mut();
        let mut sink = Sink { out: &raw mut out, ctx, own: Some(Vec::new()), lent: PhantomData };
        write(&mut sink)?;
        let len = sink.len();
        let mut data = sink.own.take().unwrap_or_default();
        // SAFETY: `put` wrote the first `len` bytes of this vector's room, and `reserve` kept len within it.
        unsafe { data.set_len(len) };
        Ok(data)
    }

    /// Appends bytes to the running task's result.
    ///
    /// # Errors
    /// Over the limit of one result, or no memory.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `out` is valid and ours for 'a, as the constructors demand.
        let (len, cap) = unsafe { ((*self.out).data_len, (*self.out).data_cap) };
        if cap - len < bytes.len() {
            self.reserve(bytes.len())?;
        }
        // SAFETY: there is room for `bytes` behind `len`: checked above, or made by `reserve`.
        unsafe {
            let at = (*self.out).data.add(len);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
            (*self.out).data_len = len + bytes.len();
        }
        Ok(())
    }

    /// Bytes so far, also those of earlier tasks.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: as in `put`.
        unsafe { (*self.out).data_len }
    }

    /// True when the host wants to ship what is there.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        // SAFETY: as in `put`.
        unsafe { (*self.out).data_len >= (*self.out).data_soft_max }
    }

    /// Notes that task number `at` of the range has `len` bytes.
    #[inline]
    pub(crate) fn close(&mut self, at: usize, len: usize) -> Result<(), Error> {
        let Ok(len) = u32::try_from(len) else {
            return Err(Error::new(status::LIMIT, "a result has 4 GiB or more"));
        };
        // SAFETY: the host made room in `lens` for every task of the range, and `at` is below its count.
        unsafe {
            (*self.out).lens.add(at).write(len);
            (*self.out).lens_len = at + 1;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn reserve(&mut self, more: usize) -> Result<(), Error> {
        // SAFETY: as in `put`.
        let out = unsafe { &mut *self.out };
        if let Some(own) = &mut self.own {
            // SAFETY: `put` wrote the first `data_len` bytes of this vector's room.
            unsafe { own.set_len(out.data_len) };
            own.reserve(more);
            (out.data, out.data_cap) = (own.as_mut_ptr(), own.capacity());
            return Ok(());
        }
        let Some((host, reserve)) = host::table().and_then(|host| Some((host, host.out_reserve?))) else {
            return Err(Error::new(status::ABI, "the host cannot make room for results"));
        };
        // SAFETY: the function belongs to this table, and ctx and out came with the running call.
        match unsafe { reserve(host.this, self.ctx, out, more) } {
            status::OK if out.data_cap - out.data_len >= more => Ok(()),
            status::OK => Err(Error::new(status::ABI, "the host made less room than asked")),
            status::LIMIT => Err(Error::new(
                status::LIMIT,
                format_args!(
                    "the result is over the job's limit, which is 16 MiB unless it says otherwise: {more} bytes more \
                     do not fit; give less back, or write a file and give its name"
                ),
            )),
            other => Err(Error::new(other, format_args!("no memory for {more} more bytes of results"))),
        }
    }
}

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.put(bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Output for () {
    const KIND: &'static str = "none";

    #[inline]
    fn append(self, _sink: &mut Sink<'_>) -> Result<(), Error> {
        Ok(())
    }
}

impl Output for Written {
    const KIND: &'static str = "bytes";

    #[inline]
    fn append(self, _sink: &mut Sink<'_>) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! number {
    ($($type:ident)+) => {$(
        impl Output for $type {
            const KIND: &'static str = stringify!($type);

            #[inline]
            fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
                sink.put(&self.to_le_bytes())
            }
        }

        impl FromResult for $type {
            #[inline]
            fn from_result(bytes: &[u8]) -> Result<Self, Error> {
                bytes.try_into().map($type::from_le_bytes).map_err(|_| {
                    Error::failed(format_args!(
                        "a result of {} bytes is no {}: it must have 8", bytes.len(), stringify!($type)
                    ))
                })
            }
        }
    )+};
}

number!(u64 i64 f64);

macro_rules! sequence {
    ($kind:literal: $($type:ty)+) => {$(
        impl Output for $type {
            const KIND: &'static str = $kind;

            #[inline]
            fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
                sink.put(self.as_ref())
            }
        }
    )+};
}

impl Output for Cow<'static, str> {
    const KIND: &'static str = "text";

    #[inline]
    fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.put(self.as_bytes())
    }
}

sequence!("bytes": Vec<u8> &'static [u8] Cow<'static, [u8]>);
sequence!("text": String &'static str);

impl<const N: usize> Output for [u8; N] {
    const KIND: &'static str = "bytes";

    #[inline]
    fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.put(&self)
    }
}

impl<T: serde::Serialize> Output for Json<T> {
    const KIND: &'static str = "json";

    fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
        serde_json::to_writer(sink, &self.0).map_err(|error| Error::from(error).context("output as JSON"))
    }
}

impl<T: serde::de::DeserializeOwned> FromResult for Json<T> {
    fn from_result(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self(serde_json::from_slice(bytes)?))
    }
}

impl FromResult for String {
    fn from_result(bytes: &[u8]) -> Result<Self, Error> {
        Ok(std::str::from_utf8(bytes)?.to_owned())
    }
}

impl FromResult for Vec<u8> {
    fn from_result(bytes: &[u8]) -> Result<Self, Error> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(output: impl Output) -> Vec<u8> {
        Sink::collect(|sink| output.append(sink)).unwrap()
    }

    #[test]
    fn outputs_have_the_bytes_of_their_kind() {
        assert_eq!(bytes(()), b"");
        assert_eq!(bytes(258_u64), [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(-1_i64), [0xff; 8]);
        assert_eq!(bytes("h\u{e9}"), "h\u{e9}".as_bytes());
        assert_eq!(bytes(Json([1, 2])), b"[1,2]");
        assert_eq!(bytes(vec![7; 10_000]), [7; 10_000]);
    }

    #[test]
    fn results_are_read_back() {
        assert_eq!(f64::from_result(&bytes(1.5)).unwrap(), 1.5);
        assert_eq!(Json::<Vec<u8>>::from_result(b"[1]").unwrap().0, [1]);
        assert!(u64::from_result(b"123").unwrap_err().message().contains("must have 8"));
    }
}
