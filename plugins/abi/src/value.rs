//! The frozen value types: text, bytes, buffers, statuses and error text.

/// Statuses that calls return. An unknown negative one counts as [`status::FAILED`], an unknown positive one
/// as [`status::ABI`].
pub mod status {
    /// Done.
    pub const OK: i32 = 0;
    /// Deterministic failure: not retried.
    pub const FAILED: i32 = -1;
    /// May succeed on another try or worker.
    pub const TRANSIENT: i32 = -2;
    /// Stopped because of cancel or deadline.
    pub const CANCELLED: i32 = -3;
    /// Job parameters or task input rejected.
    pub const PARAMS: i32 = -4;
    /// This host and plugin cannot do it.
    pub const UNSUPPORTED: i32 = -5;
    /// No memory.
    pub const NOMEM: i32 = -6;
    /// Caught panic or exception: the object is poisoned.
    pub const PANIC: i32 = -7;
    /// A size, version or rule of the contract was broken.
    pub const ABI: i32 = -8;
    /// The result is over the job's limit.
    pub const LIMIT: i32 = -9;
}

/// Borrowed UTF-8 text, not NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// First byte; any value, also null, when `len` is 0.
    pub ptr: *const u8,
    /// Bytes.
    pub len: usize,
}

/// Borrowed bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// First byte; any value, also null, when `len` is 0.
    pub ptr: *const u8,
    /// Bytes.
    pub len: usize,
}

/// Room that the other side lends for writing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buf {
    /// First byte; null when there is no room.
    pub ptr: *mut u8,
    /// Bytes.
    pub len: usize,
}

impl Str {
    /// The empty text.
    pub const EMPTY: Self = Self { ptr: core::ptr::null(), len: 0 };

    /// Borrows `text` for as long as the receiver's rules say.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// The bytes, which should be UTF-8 but come from the other side.
    ///
    /// # Safety
    /// `ptr` must be valid for reading `len` bytes for `'a`, unless `len` is 0.
    #[must_use]
    pub const unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise is the same.
        unsafe { Bytes { ptr: self.ptr, len: self.len }.as_slice() }
    }
}

impl Bytes {
    /// No bytes.
    pub const EMPTY: Self = Self { ptr: core::ptr::null(), len: 0 };

    /// Borrows `bytes` for as long as the receiver's rules say.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` must be valid for reading `len` bytes for `'a`, unless `len` is 0.
    #[must_use]
    pub const unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller promises that the bytes are readable for 'a.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl Buf {
    /// No room.
    pub const NONE: Self = Self { ptr: core::ptr::null_mut(), len: 0 };
}

/// `muster_error`: room for the text of an error, allocated by the caller.
#[repr(C)]
#[derive(Debug)]
pub struct ErrorText {
    /// Bytes of this struct.
    pub struct_size: u32,
    /// Free for the plugin.
    pub plugin_code: i32,
    /// Bytes of the text.
    pub len: u32,
    /// Zero.
    pub reserved0: u32,
    /// The text; garbage behind `len`.
    pub text: [u8; Self::CAPACITY],
}

impl ErrorText {
    /// The longest text in bytes.
    pub const CAPACITY: usize = 2032;

    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            struct_size: crate::size_of_table::<Self>(),
            plugin_code: 0,
            len: 0,
            reserved0: 0,
            text: [0; Self::CAPACITY],
        }
    }

    /// Makes it ready for the next call.
    pub const fn clear(&mut self) {
        self.struct_size = crate::size_of_table::<Self>();
        self.plugin_code = 0;
        self.len = 0;
    }

    /// Stores `text`, cut at a character border when it is too long.
    pub fn set(&mut self, text: &str) {
        let mut len = text.len().min(Self::CAPACITY);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        self.text[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len = len as u32;
    }

    /// The text as far as it can be: a length that lies is cut to the capacity.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.text[..(self.len as usize).min(Self::CAPACITY)]
    }
}

impl Default for ErrorText {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_error_text_is_cut_at_a_character() {
        extern crate std;
        let mut error = ErrorText::new();
        let long: std::string::String = "\u{fc}".repeat(2000);
        error.set(&long[..]);
        assert_eq!(error.len as usize, ErrorText::CAPACITY);
        error.set(&std::format!("x{long}"));
        assert_eq!(error.len as usize, ErrorText::CAPACITY - 1);
        assert!(core::str::from_utf8(error.bytes()).is_ok());
    }

    #[test]
    fn a_lying_length_is_cut() {
        let mut error = ErrorText::new();
        error.len = u32::MAX;
        assert_eq!(error.bytes().len(), ErrorText::CAPACITY);
    }
}
