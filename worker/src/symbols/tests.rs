use super::request::{Answer, Call};
use super::*;
use std::path::PathBuf;

fn place(path: &str, offset: u64) -> Place {
    Place { path: PathBuf::from(path), offset }
}

#[test]
fn a_question_names_each_place_once_and_takes_no_other_answer() {
    let places = [place("/a.so", 1), place("", 7), place("/b.so", 2), place("/a.so", 3), place("/a.so", 1)];
    let request = Request::of(&places);
    let asked: Vec<&[u64]> = request.modules.iter().map(|module| &module.offsets[..]).collect();
    assert_eq!(asked, [&[1, 3][..], &[2]]);
    let call = Call { function: "f".into(), file: "f.c".into(), line: 9 };
    let answer = |module, offset| Answer { module, offset, address: 100, calls: vec![call.clone()] };
    let (found, frames) = request.take(answer(0, 3)).unwrap();
    assert_eq!(found, places[3]);
    assert_eq!((frames[0].module.as_str(), frames[0].offset, frames[0].line), ("a.so", 100, 9));
    assert_eq!(request.take(answer(0, 2)), None);
    assert_eq!(request.take(answer(2, 1)), None);
}

#[test]
fn files_that_are_no_objects_say_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut lies = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    lies.truncate(10_000);
    let (empty, text, cut) =
        (folder.path().join("empty"), folder.path().join("text"), folder.path().join("cut"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&text, "hello").unwrap();
    std::fs::write(&cut, lies).unwrap();
    for path in [&empty, &text, &cut, &folder.path().join("none"), &folder.path().to_owned()] {
        let mut told = 0;
        object::look_up(path, &[0, 1, u64::MAX], |_, _, calls| {
            told += calls.len();
            Ok(())
        })
        .unwrap();
        assert_eq!(told, 0, "{path:?}");
    }
}

#[test]
fn places_without_functions_are_modules_and_offsets() {
    let frames = bare(&[place("/x/a.so", 5), place("", 0xdead)]);
    assert_eq!((frames[0].module.as_str(), frames[0].offset), ("a.so", 5));
    assert_eq!((frames[1].module.as_str(), frames[1].offset), ("", 0xdead));
}
