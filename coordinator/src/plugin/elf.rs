//! Reads the manifest out of a plugin's ELF note. No code of the plugin ever runs here; the client that
//! pushes it and the worker that loads it check far more.

use super::PLUGIN_MAX_BYTES;
use crate::store::PluginRecord;
use object::LittleEndian;
use object::elf::{EM_AARCH64, EM_X86_64, ET_DYN, FileHeader64};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader};
use serde::Deserialize;
use std::borrow::Cow;

/// Owner, section and type of the note that holds the manifest (ABI 1).
const NOTE_OWNER: &[u8] = b"muster";
const NOTE_SECTION: &[u8] = b".note.muster";
const NOTE_TYPE: u32 = 0x4d53_5452;
/// The longest name or version.
const NAME_MAX_BYTES: usize = 128;

type Header = FileHeader64<LittleEndian>;

/// Why a file is not taken as a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Too much in it.
    #[error("the file has {size} bytes: at most {PLUGIN_MAX_BYTES} are taken")]
    TooLarge {
        /// Its size.
        size: u64,
    },
    /// Something else.
    #[error("the file is not a 64-bit little-endian ELF file; build the plugin as a shared object for Linux")]
    NotElf,
    /// A program, an object file or a core dump.
    #[error(
        "the file is an ELF file but not a shared object; build the plugin as a cdylib (or with -shared)"
    )]
    NotShared,
    /// No worker could run it.
    #[error("the file is for ELF machine {machine}; muster runs on x86_64 and aarch64")]
    OtherMachine {
        /// The number of the machine.
        machine: u16,
    },
    /// It lies about itself.
    #[error("the file is damaged ({reason}); build it again")]
    Damaged {
        /// What does not fit.
        reason: String,
    },
    /// No manifest.
    #[error("the file has no muster manifest; it is not a muster plugin, or was not built with the SDK")]
    NoManifest,
    /// More than one manifest.
    #[error("the file has {count} muster manifests; a plugin exports one workload")]
    ManyManifests {
        /// How many.
        count: usize,
    },
    /// A manifest that cannot be used.
    #[error("the manifest is wrong: {reason}")]
    BadManifest {
        /// What is wrong.
        reason: String,
    },
}

/// The part of a manifest that the coordinator needs.
#[derive(Deserialize)]
struct Manifest {
    muster: u32,
    name: String,
    version: String,
}

/// What is to be known about the plugin in `bytes`.
///
/// # Errors
/// Why it is not one.
pub fn describe(bytes: &[u8], added_unix_ns: u64) -> Result<PluginRecord, FileError> {
    let size = bytes.len() as u64;
    match size {
        0 => return Err(FileError::Empty),
        1..=PLUGIN_MAX_BYTES => {}
        _ => return Err(FileError::TooLarge { size }),
    }
    // The reader takes structures in place, which needs an aligned start.
    let aligned: Cow<'_, [u8]> = if (bytes.as_ptr() as usize).is_multiple_of(8) {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(bytes.to_vec())
    };
    let target = target(&aligned)?;
    let manifest = manifest(&aligned)?;
    let parsed = check(&manifest)?;
    Ok(PluginRecord {
        digest: *blake3::hash(bytes).as_bytes(),
        name: parsed.name,
        version: parsed.version,
        target,
        size,
        manifest,
        added_unix_ns,
    })
}

fn header(bytes: &[u8]) -> Result<&Header, FileError> {
    let header = Header::parse(bytes).map_err(|_| FileError::NotElf)?;
    if header.is_class_64() && header.is_little_endian() { Ok(header) } else { Err(FileError::NotElf) }
}

fn target(bytes: &[u8]) -> Result<String, FileError> {
    let header = header(bytes)?;
    if header.e_type(LittleEndian) != ET_DYN {
        return Err(FileError::NotShared);
    }
    let machine = match header.e_machine(LittleEndian) {
        EM_X86_64 => "x86_64",
        EM_AARCH64 => "aarch64",
        machine => return Err(FileError::OtherMachine { machine }),
    };
    let musl = bytes.windows(9).any(|window| window == b"libc.musl");
    Ok(format!("{machine}-unknown-linux-{}", if musl { "musl" } else { "gnu" }))
}

fn manifest(bytes: &[u8]) -> Result<String, FileError> {
    let header = header(bytes)?;
    let mut found = Vec::new();
    for segment in header.program_headers(LittleEndian, bytes).map_err(damaged)? {
        if let Some(notes) = segment.notes(LittleEndian, bytes).map_err(damaged)? {
            collect(notes, &mut found)?;
        }
    }
    if found.is_empty() {
        // Some assemblers do not mark the section as notes, so that it gets no segment of that kind.
        let sections = header.sections(LittleEndian, bytes).map_err(damaged)?;
        if let Some((_, section)) = sections.section_by_name(LittleEndian, NOTE_SECTION) {
            let data = section.data(LittleEndian, bytes).map_err(damaged)?;
            collect(NoteIterator::new(LittleEndian, 4, data).map_err(damaged)?, &mut found)?;
        }
    }
    match found.len() {
        0 => Err(FileError::NoManifest),
        1 => Ok(found.remove(0)),
        count => Err(FileError::ManyManifests { count }),
    }
}

fn collect(mut notes: NoteIterator<'_, Header>, found: &mut Vec<String>) -> Result<(), FileError> {
    while let Some(note) = notes.next().map_err(damaged)? {
        if note.name() != NOTE_OWNER || note.n_type(LittleEndian) != NOTE_TYPE {
            continue;
        }
        let text = note.desc().split(|&byte| byte == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text)
            .map_err(|_| FileError::BadManifest { reason: "it is not UTF-8".into() })?;
        found.push(text.to_owned());
    }
    Ok(())
}

fn check(manifest: &str) -> Result<Manifest, FileError> {
    let wrong = |reason: String| FileError::BadManifest { reason };
    // By way of a value: of a field that is there twice the last one counts, as for who loads the plugin.
    let value: serde_json::Value =
        serde_json::from_str(manifest).map_err(|error| wrong(error.to_string()))?;
    let parsed = Manifest::deserialize(value).map_err(|error| wrong(error.to_string()))?;
    if parsed.muster != 1 {
        let found = parsed.muster;
        return Err(wrong(format!("it is for plugin ABI {found}, this muster speaks 1; rebuild the plugin")));
    }
    for (field, text) in [("name", &parsed.name), ("version", &parsed.version)] {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if text.is_empty() || text.len() > NAME_MAX_BYTES || !text.chars().all(plain) {
            return Err(wrong(format!(
                "{field} is {text:?}: 1 to {NAME_MAX_BYTES} letters, digits, '-', '_', '.' and '+' are wanted"
            )));
        }
    }
    Ok(parsed)
}

fn damaged(error: object::read::Error) -> FileError {
    FileError::Damaged { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest ELF file that has these manifests: header, one note segment.
    fn fake_plugin(manifests: &[&str]) -> Vec<u8> {
        let mut notes = Vec::new();
        for manifest in manifests {
            let mut body = manifest.as_bytes().to_vec();
            body.push(0);
            let size = body.len() as u32;
            body.resize(body.len().next_multiple_of(4), 0);
            [7, size, NOTE_TYPE].iter().for_each(|word| notes.extend(word.to_le_bytes()));
            notes.extend(b"muster\0\0");
            notes.extend(body);
        }
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(3u16.to_le_bytes()); // e_type ET_DYN
        file.extend(EM_X86_64.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(0u64.to_le_bytes()); // e_entry
        file.extend(64u64.to_le_bytes()); // e_phoff
        file.extend(0u64.to_le_bytes()); // e_shoff
        file.extend(0u32.to_le_bytes());
        for half in [64u16, 56, 1, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        file.extend(4u32.to_le_bytes()); // p_type PT_NOTE
        file.extend(4u32.to_le_bytes());
        for word in [120u64, 0, 0, notes.len() as u64, notes.len() as u64, 4] {
            file.extend(word.to_le_bytes());
        }
        file.extend(notes);
        file
    }

    const GOOD: &str = r#"{"muster":1,"name":"fake","version":"1.0.0","input":"none","reduce":true}"#;

    #[test]
    fn reads_name_version_target_and_digest() {
        let file = fake_plugin(&[GOOD]);
        let plugin = describe(&file, 7).unwrap();
        assert_eq!((plugin.name.as_str(), plugin.version.as_str()), ("fake", "1.0.0"));
        assert_eq!(plugin.target, "x86_64-unknown-linux-gnu");
        assert_eq!(plugin.manifest, GOOD);
        assert_eq!(plugin.digest, *blake3::hash(&file).as_bytes());
    }

    #[test]
    fn of_a_field_that_is_there_twice_the_last_counts() {
        let file = fake_plugin(&[r#"{"muster":1,"name":"a","name":"b","version":"1.0.0"}"#]);
        assert_eq!(describe(&file, 7).unwrap().name, "b");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |file: &[u8]| describe(file, 0).unwrap_err();
        assert_eq!(error(b""), FileError::Empty);
        assert_eq!(error(b"#!/bin/sh\n"), FileError::NotElf);
        assert_eq!(error(&fake_plugin(&[])), FileError::NoManifest);
        assert_eq!(error(&fake_plugin(&[GOOD, GOOD])), FileError::ManyManifests { count: 2 });
        let mut program = fake_plugin(&[GOOD]);
        program[16] = 2;
        assert_eq!(error(&program), FileError::NotShared);
        let mut other = fake_plugin(&[GOOD]);
        other[18] = 243;
        assert_eq!(error(&other), FileError::OtherMachine { machine: 243 });
        let whole = fake_plugin(&[GOOD]);
        assert!(matches!(error(&whole[..130]), FileError::Damaged { .. }));
        for bad in [
            "{}",
            "[]",
            r#"{"muster":2,"name":"a","version":"1"}"#,
            r#"{"muster":1,"name":"a b","version":"1"}"#,
        ] {
            assert!(matches!(error(&fake_plugin(&[bad])), FileError::BadManifest { .. }), "{bad}");
        }
    }
}
