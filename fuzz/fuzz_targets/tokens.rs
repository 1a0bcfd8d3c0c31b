//! What lets somebody in: join strings, tokens, roles, access files, keys and certificates.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::{assert_one_line, split};
use muster_proto::link::fuzzing::{self, Keys};
use muster_proto::link::{
    AccessFolder, Moment, Pin, PublicKey, Roles, Secret, Target, Token, TokenId, host_and_port, is_address,
    is_host, parse_bare_host,
};
use std::sync::LazyLock;

/// The keys of an authority that exists for this alone.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let seed = include_str!("../corpus/tokens/keys-of-an-authority");
    Keys::read(&seed[1..]).expect("the seed is whole")
});
/// When its certificates are looked at.
const NOW: Moment = Moment::of_unix_s(1_800_000_000);

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = split(input, 9) else { return };
    match kind {
        // Certificates and public keys come from the network as they are.
        0 => certificate(bytes),
        1 => drop(KEYS.enroll(bytes, NOW)),
        kind => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            match kind {
                2 => target(text),
                3 => words(text),
                4 => tokens(text),
                5 => access(text),
                6 => credential(text),
                7 => drop(Keys::read(text).map_err(assert_one_line)),
                _ => identity(text),
            }
        }
    }
});

fn certificate(bytes: &[u8]) {
    if let Err(error) = KEYS.identity(bytes, NOW) {
        assert_one_line(error);
    }
    let _ = PublicKey::new(bytes);
}

fn target(text: &str) {
    // What is a path is looked for on this machine, and that is no parser's business.
    if text.contains('/') && !text.trim().starts_with("unix:") {
        return;
    }
    match Target::parse(text) {
        Ok(target) => {
            let written = target.to_join_string();
            assert_eq!(Target::parse(&written).as_ref().ok(), Some(&target), "{written}");
            let shown = format!("{target} {target:?}");
            if let Target::Tls { address, token, .. } | Target::Plain { address, token } = &target {
                assert_one_line(&target);
                // Whoever calls a host like its token has told it.
                let is_told = address.contains(&token.reveal());
                assert!(is_told || !shown.contains(&token.reveal()), "it shows its token");
            }
        }
        Err(error) => assert_one_line(error),
    }
}

fn words(text: &str) {
    match text.parse::<Roles>() {
        Ok(roles) => assert_eq!(roles.to_string().parse(), Ok(roles)),
        Err(error) => drop(error),
    }
    if let Ok(id) = text.parse::<TokenId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Some(token) = Token::from_text(text) {
        assert_eq!(token.reveal(), text);
    }
    if let Some((host, _)) = host_and_port(text) {
        assert!(is_host(host) && is_address(text), "{text}");
        let target = Target::tls(text, Pin([1; 32]), Token([2; 32])).expect("it is an address");
        assert_eq!(Target::parse(&target.to_join_string()).ok(), Some(target));
    }
    drop((Secret::new(text), parse_bare_host(text)));
    if let Err(error) = AccessFolder::check_name(text) {
        assert_one_line(error);
    }
    if let Err(failure) = muster::fuzzing::token_words(text) {
        assert_one_line(failure.message());
    }
}

fn tokens(text: &str) {
    match fuzzing::tokens(text) {
        Ok(written) => assert_eq!(fuzzing::tokens(&written).ok().as_ref(), Some(&written)),
        Err(error) => assert_one_line(error),
    }
}

fn access(text: &str) {
    if text.contains('/') && !text.contains("unix:") {
        return;
    }
    if let Err(error) = fuzzing::access(text) {
        assert_one_line(error);
    }
}

fn credential(text: &str) {
    match fuzzing::credential(text) {
        Ok(written) => assert_eq!(fuzzing::credential(&written).as_ref(), Ok(&written)),
        Err(error) => assert_one_line(error),
    }
}

fn identity(text: &str) {
    if let Some((identity, written)) = fuzzing::identity(text) {
        let again = fuzzing::identity(&written).map(|(again, _)| again);
        assert_eq!(again, Some(identity), "{written}");
    }
}
