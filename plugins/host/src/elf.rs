//! What an ELF file says about itself. Reads bytes only, and survives any bytes.

use crate::problem::Problem;
use muster_plugin_abi::{ABI_MAJOR, ENTRY_SYMBOL, NOTE_OWNER, NOTE_SECTION, NOTE_TYPE};
use object::elf;
use object::read::elf::{Dyn, ElfFile64, FileHeader, NoteIterator, ProgramHeader, SectionHeader};
use object::{LittleEndian, Object, ObjectSymbol};
use std::borrow::Cow;

/// The largest plugin file in bytes.
pub const PLUGIN_SIZE_MAX: u64 = 256 << 20;
/// Longer manifests are not read.
const MANIFEST_SIZE_MAX: usize = 1 << 20;

type File<'data> = ElfFile64<'data, LittleEndian>;

/// A kind of processor that muster runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// `x86_64`
    X86_64,
    /// `aarch64`
    Aarch64,
}

impl Machine {
    /// The one that this process runs on; none on others.
    #[must_use]
    pub const fn here() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// As in target triples.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    const fn from_elf(machine: u16) -> Option<Self> {
        match machine {
            elf::EM_X86_64 => Some(Self::X86_64),
            elf::EM_AARCH64 => Some(Self::Aarch64),
            _ => None,
        }
    }
}

/// What the file says, when nothing is wrong with it.
#[derive(Debug)]
pub(crate) struct Facts {
    pub machine: Machine,
    /// Target triple.
    pub target: String,
    /// JSON of the manifest.
    pub manifest: String,
    /// The newest glibc version that it asks for.
    pub glibc: Option<(u32, u32)>,
}

/// Reads the whole file in `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Result<Facts, Problem> {
    let size = bytes.len() as u64;
    if size > PLUGIN_SIZE_MAX {
        return Err(Problem::TooLarge { size });
    }
    let bytes = aligned(bytes);
    check_ident(&bytes)?;
    let header = elf::FileHeader64::<LittleEndian>::parse(&*bytes).map_err(malformed)?;
    let machine = check_header(header)?;
    check_length(header, &bytes)?;
    let file = File::parse(&*bytes).map_err(malformed)?;
    check_shared(&file)?;
    check_entry(&file)?;
    let manifest = manifest(&file, &bytes)?;
    let glibc = needed_glibc(&file, &bytes)?;
    let target = format!("{}-unknown-linux-{}", machine.name(), if is_musl(&file) { "musl" } else { "gnu" });
    Ok(Facts { machine, target, manifest, glibc })
}

/// The reader takes structures in place, which needs an aligned start.
fn aligned(bytes: &[u8]) -> Cow<'_, [u8]> {
    if (bytes.as_ptr() as usize).is_multiple_of(8) {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(bytes.to_vec())
    }
}

fn malformed(error: object::read::Error) -> Problem {
    Problem::Malformed { reason: error.to_string() }
}

fn check_ident(bytes: &[u8]) -> Result<(), Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Problem::NotElf { looks_like: looks_like(bytes) });
    }
    if bytes.len() < size_of::<elf::FileHeader64<LittleEndian>>() {
        return Err(Problem::Truncated { size: bytes.len() as u64, needed: 64 });
    }
    if bytes[4] == elf::ELFCLASS32 {
        return Err(Problem::ThirtyTwoBit);
    }
    if bytes[5] == elf::ELFDATA2MSB {
        return Err(Problem::BigEndian);
    }
    match bytes[7] {
        elf::ELFOSABI_NONE | elf::ELFOSABI_GNU => Ok(()),
        os_abi => Err(Problem::OtherSystem { os_abi }),
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    const MACH_O: [[u8; 4]; 3] =
        [[0xcf, 0xfa, 0xed, 0xfe], [0xce, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];
    let head = &bytes[..bytes.len().min(4096)];
    let cut_character = |error: std::str::Utf8Error| error.error_len().is_none();
    if head.starts_with(b"#!") {
        "a script"
    } else if head.starts_with(b"MZ") {
        "a Windows file"
    } else if MACH_O.iter().any(|magic| head.starts_with(magic)) {
        "a macOS file"
    } else if head.starts_with(b"!<arch>") {
        "a static library (.a)"
    } else if head.starts_with(b"\0asm") {
        "a WebAssembly module"
    } else if !head.contains(&0) && std::str::from_utf8(head).map_or_else(cut_character, |_| true) {
        "a text file"
    } else {
        "unknown data"
    }
}

fn check_header(header: &elf::FileHeader64<LittleEndian>) -> Result<Machine, Problem> {
    match header.e_type(LittleEndian) {
        elf::ET_DYN => {}
        elf::ET_EXEC => return Err(Problem::Executable),
        elf::ET_REL => return Err(Problem::NotShared { kind: "an object file (.o)" }),
        elf::ET_CORE => return Err(Problem::NotShared { kind: "a core dump" }),
        _ => return Err(Problem::NotShared { kind: "an ELF file of an unknown type" }),
    }
    let machine = header.e_machine(LittleEndian);
    Machine::from_elf(machine).ok_or_else(|| Problem::OtherMachine {
        found: match machine {
            elf::EM_RISCV => "riscv64".to_owned(),
            elf::EM_PPC64 => "powerpc64".to_owned(),
            elf::EM_S390 => "s390x".to_owned(),
            elf::EM_LOONGARCH => "loongarch64".to_owned(),
            other => format!("ELF machine {other}"),
        },
        here: Machine::here().map_or("not supported", Machine::name),
    })
}

/// A file that lost its end maps, and then dies with SIGBUS: so its headers are compared with its size.
fn check_length(header: &elf::FileHeader64<LittleEndian>, bytes: &[u8]) -> Result<(), Problem> {
    let size = bytes.len() as u64;
    let end_of = |offset: u64, count: u64, each: u64| offset.saturating_add(count.saturating_mul(each));
    let end = LittleEndian;
    let tables = [
        (header.e_phoff(end), header.e_phnum(end), header.e_phentsize(end)),
        (header.e_shoff(end), header.e_shnum(end), header.e_shentsize(end)),
    ];
    let tables_end = tables.map(|(at, count, each)| end_of(at, count.into(), each.into()));
    if let Some(needed) = tables_end.into_iter().max().filter(|needed| *needed > size) {
        return Err(Problem::Truncated { size, needed });
    }
    let segments = header.program_headers(end, bytes).map_err(malformed)?;
    let sections = header.section_headers(end, bytes).map_err(malformed)?;
    let segments = segments.iter().map(|segment| segment.file_range(end));
    let sections = sections.iter().filter_map(|section| section.file_range(end));
    let needed = segments.chain(sections).map(|(at, len)| end_of(at, 1, len)).max().unwrap_or(0);
    if needed > size { Err(Problem::Truncated { size, needed }) } else { Ok(()) }
}

fn check_shared(file: &File<'_>) -> Result<(), Problem> {
    let end = file.endian();
    let segments = file.elf_program_headers();
    // Some shared objects (libc.so.6) can also be run, but a plugin has no reason to.
    let is_program = segments.iter().any(|segment| segment.p_type(end) == elf::PT_INTERP)
        || dynamics(file).any(|(tag, value)| tag == elf::DT_FLAGS_1 && value & u64::from(elf::DF_1_PIE) != 0);
    if is_program {
        return Err(Problem::Executable);
    }
    if !segments.iter().any(|segment| segment.p_type(end) == elf::PT_DYNAMIC) {
        return Err(Problem::NotShared {
            kind: "an ELF file without a dynamic section (debug information only?)",
        });
    }
    Ok(())
}

/// Tags and values of the dynamic section.
fn dynamics<'file>(file: &'file File<'_>) -> impl Iterator<Item = (i64, u64)> + 'file {
    let end = file.endian();
    file.elf_program_headers()
        .iter()
        .filter_map(move |segment| segment.dynamic(end, file.data()).ok().flatten())
        .flatten()
        .map(move |entry| (entry.tag(end), entry.val(end)))
}

fn check_entry(file: &File<'_>) -> Result<(), Problem> {
    if file.elf_section_table().is_empty() {
        return Ok(()); // Without section headers only the dynamic linker finds symbols.
    }
    let prefix = ENTRY_SYMBOL.trim_end_matches(|c: char| c.is_ascii_digit());
    let mut other = None;
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        match symbol.name() {
            Ok(name) if name == ENTRY_SYMBOL => return Ok(()),
            Ok(name) => other = other.or_else(|| name.strip_prefix(prefix)?.parse::<u32>().ok()),
            Err(_) => {}
        }
    }
    Err(match other {
        Some(found) if found != ABI_MAJOR => Problem::OtherAbi { found },
        _ => Problem::NoEntry,
    })
}

/// The JSON of the one manifest note.
fn manifest(file: &File<'_>, bytes: &[u8]) -> Result<String, Problem> {
    let end = file.endian();
    let mut found = Vec::new();
    for segment in file.elf_program_headers() {
        if let Some(notes) = segment.notes(end, bytes).map_err(malformed)? {
            collect(notes, &mut found)?;
        }
    }
    if found.is_empty() {
        // Some assemblers do not mark the section as notes, so that it gets no segment of that kind.
        let named = file.elf_section_table().section_by_name(end, NOTE_SECTION.as_bytes());
        if let Some((_, section)) = named {
            let data = section.data(end, bytes).map_err(malformed)?;
            collect(NoteIterator::new(end, 4, data).map_err(malformed)?, &mut found)?;
        }
    }
    match &*found {
        [] => Err(Problem::NoManifest),
        [one] => Ok(one.clone()),
        several => Err(Problem::ManyManifests { count: several.len() }),
    }
}

fn collect(
    mut notes: NoteIterator<'_, elf::FileHeader64<LittleEndian>>,
    found: &mut Vec<String>,
) -> Result<(), Problem> {
    while let Some(note) = notes.next().map_err(malformed)? {
        if note.name() != NOTE_OWNER.as_bytes() || note.n_type(LittleEndian) != NOTE_TYPE {
            continue;
        }
        let body = note.desc();
        let body = body.split(|byte| *byte == 0).next().unwrap_or(body);
        if body.len() > MANIFEST_SIZE_MAX {
            return Err(Problem::Malformed { reason: format!("its manifest has {} bytes", body.len()) });
        }
        let text = std::str::from_utf8(body);
        found.push(
            text.map_err(|_| Problem::Malformed { reason: "its manifest is not UTF-8".into() })?.to_owned(),
        );
    }
    Ok(())
}

/// The newest `GLIBC_x.y` among the versions that the file needs.
fn needed_glibc(file: &File<'_>, bytes: &[u8]) -> Result<Option<(u32, u32)>, Problem> {
    let end = file.endian();
    let sections = file.elf_section_table();
    let Some((mut needs, strings)) = sections.gnu_verneed(end, bytes).map_err(malformed)? else {
        return Ok(None);
    };
    let strings = sections.strings(end, bytes, strings).map_err(malformed)?;
    let mut newest = None;
    while let Some((_, mut versions)) = needs.next().map_err(malformed)? {
        while let Some(version) = versions.next().map_err(malformed)? {
            let name = version.name(end, strings).map_err(malformed)?;
            newest = newest.max(std::str::from_utf8(name).ok().and_then(glibc_version));
        }
    }
    Ok(newest)
}

fn glibc_version(name: &str) -> Option<(u32, u32)> {
    parse_version(name.strip_prefix("GLIBC_")?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The version of this process's C library; none when it is another one.
pub(crate) fn glibc_here() -> Option<(u32, u32)> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: the function takes nothing and returns a constant text that ends with NUL.
        let text = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
        parse_version(text.to_str().ok()?)
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

fn is_musl(file: &File<'_>) -> bool {
    let Ok(table) = file.elf_dynamic_table() else { return false };
    table
        .iter()
        .filter(|entry| entry.tag == elf::DT_NEEDED)
        .any(|entry| table.string(entry).is_ok_and(|name| name.starts_with(b"libc.musl")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_what_a_file_is() {
        assert_eq!(looks_like(b"#!/bin/sh\n"), "a script");
        assert_eq!(looks_like(b"MZ\x90\0"), "a Windows file");
        assert_eq!(looks_like("gr\u{fc}\u{df}e".as_bytes()), "a text file");
        assert_eq!(looks_like(b"\0\x01\x02"), "unknown data");
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(glibc_version("GLIBC_2.4") < glibc_version("GLIBC_2.34"));
        assert_eq!(glibc_version("GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version("GLIBC_PRIVATE"), None);
    }
}
