//! Which object an address of a dead process belonged to, by its list of mappings.

use std::path::{Path, PathBuf};

/// Mappings that are looked at.
const MODULES_MAX: usize = 1_024;

/// One executable mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    start: u64,
    end: u64,
    file_offset: u64,
    path: PathBuf,
}

/// Where an address lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The object's file; empty: in none.
    pub path: PathBuf,
    /// The place in the file; in none: the address itself.
    pub offset: u64,
}

impl Module {
    /// The mappings of a list as the kernel writes it. Lines that make no sense are left out.
    pub(super) fn parse_all(text: &[u8]) -> Vec<Self> {
        let lines =
            text.split(|&byte| byte == b'\n').filter_map(|line| Self::parse(std::str::from_utf8(line).ok()?));
        lines.take(MODULES_MAX).collect()
    }

    /// `START-END PERMISSIONS OFFSET DEVICE INODE  PATH`
    fn parse(line: &str) -> Option<Self> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let mut words = rest.splitn(4, ' ');
        let (permissions, offset, _device) = (words.next()?, words.next()?, words.next()?);
        let (_inode, path) = words.next()?.split_once(' ').unwrap_or_default();
        let path = path.trim_start();
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let number = |text| u64::from_str_radix(text, 16).ok();
        let module = Self {
            start: number(start)?,
            end: number(end)?,
            file_offset: number(offset)?,
            path: path.into(),
        };
        (module.start < module.end && permissions.as_bytes().get(2) == Some(&b'x')).then_some(module)
    }

    const fn holds(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// The file that an address belongs to.
    pub(super) fn file_of(modules: &[Self], address: u64) -> Option<&Path> {
        let module = modules.iter().find(|module| module.holds(address))?;
        module.path.is_absolute().then_some(module.path.as_path())
    }

    /// The place of an address.
    pub(super) fn place_of(modules: &[Self], address: u64) -> Place {
        match modules.iter().find(|module| module.holds(address) && module.path.is_absolute()) {
            Some(module) => Place {
                path: module.path.clone(),
                offset: (address - module.start).wrapping_add(module.file_offset),
            },
            None => Place { path: PathBuf::new(), offset: address },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_places_in_files() {
        let text = "1000-2000 r-xp 00000400 08:01 77   /usr/lib/a b.so (deleted)\n\
                    3000-4000 r-xp 00000000 00:00 0 \n\
                    5000-6000 r-xp 00000000 00:00 0  [vdso]\n\
                    6000-7000 rw-p 00000000 00:00 0  [heap]\n\
                    nonsense\n9000-8000 r-xp 00000000 00:00 0 /x\nfff";
        let modules = Module::parse_all(text.as_bytes());
        assert_eq!(modules.len(), 3);
        let place = Module::place_of(&modules, 0x1010);
        assert_eq!((place.path.to_str(), place.offset), (Some("/usr/lib/a b.so"), 0x410));
        for address in [0x3001, 0x5001, 0x2000, 0x6001] {
            assert_eq!(Module::place_of(&modules, address), Place { path: PathBuf::new(), offset: address });
        }
        assert_eq!(Module::parse_all(&[0xff; 100]), []);
    }
}
