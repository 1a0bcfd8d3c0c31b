//! How much the links of one coordinator may be.

/// What may be open, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Tokens that are not revoked.
    pub tokens: usize,
    /// Connections that one identity may have open.
    pub connections: usize,
    /// Calls that may be under way at the same time on one connection.
    pub streams: u32,
    /// Bytes of the headers of one call.
    pub headers: u32,
}

impl Capacity {
    /// What holds unless a coordinator is told otherwise.
    pub const DEFAULT: Self = Self { tokens: 1_000, connections: 256, streams: 1_024, headers: 16 << 10 };
}

impl Default for Capacity {
    fn default() -> Self {
        Self::DEFAULT
    }
}
