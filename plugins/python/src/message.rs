//! What the bridge in Python is asked, and what it says.

use muster_sdk::{Error, Output, Sink};

/// A task.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub index: u64,
    /// None where the job has no inputs.
    pub input: Option<&'a [u8]>,
}

impl Request<'_> {
    /// As `bridge.py` reads it.
    pub fn encode(&self) -> Vec<u8> {
        let input = self.input.unwrap_or_default();
        let mut bytes = Vec::with_capacity(9 + input.len());
        bytes.extend(self.index.to_le_bytes());
        bytes.push(self.input.is_some().into());
        bytes.extend(input);
        bytes
    }
}

/// What a call of the bridge came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// It returned this JSON.
    Done(Vec<u8>),
    /// It raised an exception, which reads like this.
    Failed(String),
    /// It stopped because it was asked to.
    Cancelled,
    /// It ends the interpreter with this status.
    Exits(i32),
}

impl Reply {
    /// As `bridge.py` writes it.
    pub fn decode(mut bytes: Vec<u8>) -> Result<Self, Error> {
        let kind = bytes.first().copied();
        bytes.drain(..1.min(bytes.len()));
        match kind {
            Some(0) => Ok(Self::Done(bytes)),
            Some(1) => Ok(Self::Failed(text(&bytes))),
            Some(2) => Ok(Self::Cancelled),
            Some(3) => Ok(Self::Exits(text(&bytes).parse().unwrap_or(1))),
            Some(_) | None => Err(Error::failed("the interpreter gave something that is no reply")),
        }
    }

    /// The result of a task.
    pub fn into_document(self) -> Result<Document, Error> {
        match self {
            Self::Done(json) => Ok(Document(json)),
            Self::Failed(message) => Err(Error::failed(message)),
            Self::Cancelled => Err(Error::cancelled()),
            Self::Exits(status) => {
                Err(Error::failed(format_args!("the task ended the interpreter with status {status}")))
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text of a JSON document that Python has written.
#[derive(Debug)]
pub struct Document(Vec<u8>);

impl Output for Document {
    const KIND: &'static str = "json";

    fn append(self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.put(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_input_is_not_an_empty_one() {
        let request = |input| Request { index: 258, input }.encode();
        assert_eq!(request(None), [2, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(request(Some(b"")), [2, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(request(Some(b"ab")), [2, 1, 0, 0, 0, 0, 0, 0, 1, b'a', b'b']);
    }

    #[test]
    fn replies_are_read_and_what_is_none_is_refused() {
        let decode = |bytes: &[u8]| Reply::decode(bytes.to_vec());
        assert_eq!(decode(b"\0[1]").unwrap(), Reply::Done(b"[1]".to_vec()));
        assert_eq!(decode(b"\x01no").unwrap(), Reply::Failed("no".to_owned()));
        assert_eq!(decode(b"\x02").unwrap(), Reply::Cancelled);
        assert_eq!(decode(b"\x0342").unwrap(), Reply::Exits(42));
        assert!(decode(b"").is_err() && decode(b"\x09").is_err());
    }
}
