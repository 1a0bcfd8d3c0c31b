//! Frames between an agent and its executors: what was read and is written again reads the same, in both directions.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use muster_fuzz::{assert_one_line, split};
use muster_worker::crash::CrashFile;
use muster_worker::frame::{FrameBuffer, FrameError, FromExecutor, ToExecutor, split_frame};
use std::fs::File;
use std::os::unix::fs::FileExt;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = split(input, 4) else { return };
    match kind {
        0 => again(bytes, FromExecutor::decode, FromExecutor::encode),
        1 => again(bytes, ToExecutor::decode, ToExecutor::encode),
        2 => stream(bytes),
        _ => crash_record(bytes),
    }
});

/// Compared as bytes: a number that is none differs from itself.
fn again<T>(bytes: &[u8], decode: fn(Bytes) -> Result<T, FrameError>, encode: fn(&T) -> Vec<u8>) {
    let message = match decode(Bytes::copy_from_slice(bytes)) {
        Ok(message) => message,
        Err(error) => return assert_one_line(error),
    };
    let written = encode(&message);
    let mut stream = BytesMut::from(&written[..]);
    let frame = split_frame(&mut stream).expect("it was just written").expect("it is whole");
    assert!(stream.is_empty(), "{} bytes follow the frame", stream.len());
    let read = decode(frame).expect("what is written can be read");
    assert_eq!(encode(&read), written);
}

/// A stream is cut into the same frames however it arrives.
fn stream(bytes: &[u8]) {
    let mut whole = BytesMut::from(bytes);
    let (mut frames, mut error) = (Vec::new(), None);
    loop {
        match split_frame(&mut whole) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break,
            Err(found) => {
                error = Some(found);
                break;
            }
        }
    }
    let mut buffer = FrameBuffer::default();
    let mut at = 0;
    for piece in bytes.chunks(3) {
        buffer.extend(piece);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => {
                    assert_eq!(frames.get(at), Some(&frame));
                    at += 1;
                }
                Ok(None) => break,
                Err(found) => {
                    assert_eq!(Some(found), error);
                    assert_eq!(at, frames.len());
                    return;
                }
            }
        }
    }
    assert_eq!((at, None), (frames.len(), error));
    for frame in frames {
        again(&frame, FromExecutor::decode, FromExecutor::encode);
    }
}

/// What a dying executor left, whose plugin can write there as well. What the bytes lack of its length is zeros.
fn crash_record(bytes: &[u8]) {
    let record = CrashFile::create().expect("there is memory");
    let file = File::from(record.for_executor().expect("there are descriptors"));
    let room = file.metadata().expect("it is open").len() as usize;
    file.write_all_at(&bytes[..bytes.len().min(room)], 0).expect("there is room");
    if let Some(crash) = record.read() {
        drop((crash.is_stack_overflow(), crash.is_impossible_address(), crash.places()));
    }
}
