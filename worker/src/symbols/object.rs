//! Functions, files and lines in one ELF file: from its debug information where it has some, else from its symbols.

use super::request::Call;
use crate::os::memory::{Access, Mapping, len};
use addr2line::Context;
use gimli::{EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Calls that a compiler may have merged into one place.
const CALLS_MAX: usize = 32;

type Slice<'data> = EndianSlice<'data, RunTimeEndian>;

/// Tells what is at each place of a file. A file that cannot be read, or is none of an object, has nothing to say.
pub(super) fn look_up(
    path: &Path,
    offsets: &[u64],
    mut tell: impl FnMut(u64, u64, Vec<Call>) -> io::Result<()>,
) -> io::Result<()> {
    let Some(mapping) = map(path) else { return Ok(()) };
    // SAFETY: the mapping lives until the end of this function. Whoever changes the file meanwhile ends or misleads this
    // process, which is there for that.
    let data = unsafe { std::slice::from_raw_parts(mapping.start().as_ptr(), mapping.len()) };
    let Ok(file) = object::File::parse(data) else { return Ok(()) };
    let functions = Functions::of(&file);
    let context = context(&file);
    for &offset in offsets {
        let Some(address) = address_of(&file, offset) else { continue };
        let mut calls = context.as_ref().map(|context| calls_at(context, address)).unwrap_or_default();
        complete(&mut calls, functions.at(address));
        tell(offset, address, calls)?;
    }
    Ok(())
}

fn map(path: &Path) -> Option<Mapping> {
    // Opening a pipe could wait for ever.
    let file = path.is_file().then(|| File::open(path).ok()).flatten()?;
    let size = usize::try_from(len(file.as_fd()).ok()?).ok().filter(|&size| size > 0)?;
    Mapping::new(file.as_fd(), size, Access::Read).ok()
}

/// Where a place of the file is when the object is loaded at 0.
fn address_of(file: &object::File<'_>, offset: u64) -> Option<u64> {
    let of_segment = |segment: object::Segment<'_, '_>| {
        let (start, size) = segment.file_range();
        let inside = offset.checked_sub(start).filter(|&inside| inside < size)?;
        Some(segment.address().wrapping_add(inside))
    };
    file.segments().find_map(of_segment)
}

fn context<'data>(file: &object::File<'data>) -> Option<Context<Slice<'data>>> {
    file.section_by_name(".debug_info")?;
    let endian = if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let load = |id: gimli::SectionId| -> Result<Slice<'data>, gimli::Error> {
        // A section that is compressed reads as one that is not there.
        let data = file.section_by_name(id.name()).and_then(|section| match section.uncompressed_data() {
            Ok(Cow::Borrowed(data)) => Some(data),
            Ok(Cow::Owned(_)) | Err(_) => None,
        });
        Ok(EndianSlice::new(data.unwrap_or_default(), endian))
    };
    Context::from_dwarf(gimli::Dwarf::load(load).ok()?).ok()
}

/// The calls at an address, the innermost first.
fn calls_at(context: &Context<Slice<'_>>, address: u64) -> Vec<Call> {
    let mut calls = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else { return calls };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.and_then(|it| it.demangle().map(Cow::into_owned).ok());
        let (file, line) = frame.location.map_or((None, None), |location| (location.file, location.line));
        calls.push(Call {
            function: function.unwrap_or_default(),
            file: file.unwrap_or_default().to_owned(),
            line: line.unwrap_or(0),
        });
        if calls.len() == CALLS_MAX {
            break;
        }
    }
    calls
}

/// The outermost of merged calls is the function that the symbols know.
fn complete(calls: &mut Vec<Call>, symbol: Option<&str>) {
    let Some(symbol) = symbol else { return };
    let name = || addr2line::demangle_auto(Cow::Borrowed(symbol), None).into_owned();
    match calls.last_mut() {
        Some(last) if last.function.is_empty() => last.function = name(),
        Some(_) => {}
        None => calls.push(Call { function: name(), ..Call::default() }),
    }
}

/// Functions by address, of the larger table of symbols and of the one that linking needs.
struct Functions<'data>(Vec<(u64, u64, &'data str)>);

impl<'data> Functions<'data> {
    fn of(file: &object::File<'data>) -> Self {
        let function = |symbol: object::Symbol<'data, '_>| {
            let is_function =
                symbol.kind() == SymbolKind::Text && symbol.is_definition() && symbol.size() > 0;
            is_function.then(|| Some((symbol.address(), symbol.size(), symbol.name().ok()?))).flatten()
        };
        let mut functions: Vec<_> = file.symbols().filter_map(function).collect();
        functions.extend(file.dynamic_symbols().filter_map(function));
        functions.sort_unstable();
        Self(functions)
    }

    fn at(&self, address: u64) -> Option<&'data str> {
        let behind = self.0.partition_point(|&(start, ..)| start <= address);
        let &(start, size, name) = self.0[..behind].last()?;
        (address - start < size).then_some(name)
    }
}
