//! Tokens that somebody asks for.

use super::ConvertError;
use crate::link::{NOTE_BYTES_MAX, NewToken, Role, Roles};
use crate::v1;

/// The longest life of a token that ends: ten years.
pub const TOKEN_LIFE_MAX_S: u64 = 10 * 366 * 24 * 3600;

/// A token that somebody asks for.
///
/// # Errors
/// No role or an unknown one, a life or note over the limit.
pub fn token_request(wire: v1::NewTokenRequest) -> Result<NewToken, ConvertError> {
    let roles: Roles = wire.roles.iter().map(|&number| role(number)).collect::<Result<_, _>>()?;
    if roles.is_empty() {
        return Err(ConvertError::missing("roles"));
    }
    if wire.life_s > TOKEN_LIFE_MAX_S {
        return Err(ConvertError::too_much("life_s", wire.life_s, TOKEN_LIFE_MAX_S));
    }
    let note = wire.note.trim();
    if note.len() > NOTE_BYTES_MAX {
        return Err(ConvertError::too_much("note", format_args!("{} bytes", note.len()), NOTE_BYTES_MAX));
    }
    if note.chars().any(char::is_control) {
        return Err(ConvertError::wrong("note", note.escape_debug(), "one line of text is wanted"));
    }
    Ok(NewToken {
        roles,
        life_s: (wire.life_s > 0).then_some(wire.life_s),
        uses_max: (wire.uses > 0).then_some(wire.uses),
        note: note.to_owned(),
    })
}

fn role(number: i32) -> Result<Role, ConvertError> {
    match v1::Role::try_from(number) {
        Ok(v1::Role::Worker) => Ok(Role::Worker),
        Ok(v1::Role::Submitter) => Ok(Role::Submitter),
        Ok(v1::Role::Publisher) => Ok(Role::Publisher),
        Ok(v1::Role::Viewer) => Ok(Role::Viewer),
        Ok(v1::Role::Admin) => Ok(Role::Admin),
        Ok(v1::Role::Unspecified) | Err(_) => {
            Err(ConvertError::wrong("roles", number, "a known role is wanted"))
        }
    }
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Worker => Self::Worker,
            Role::Submitter => Self::Submitter,
            Role::Publisher => Self::Publisher,
            Role::Viewer => Self::Viewer,
            Role::Admin => Self::Admin,
        }
    }
}

/// The roles that a message names; those that this build does not know are left out.
#[must_use]
pub fn roles(numbers: &[i32]) -> Roles {
    numbers.iter().filter_map(|&number| role(number).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> v1::NewTokenRequest {
        v1::NewTokenRequest { roles: vec![1, 4], life_s: 60, uses: 0, note: " for node 7\n".to_owned() }
    }

    #[test]
    fn a_request_becomes_a_token() {
        let new = token_request(request()).unwrap();
        assert_eq!(new.roles, Roles::of(&[Role::Worker, Role::Viewer]));
        assert_eq!((new.life_s, new.uses_max, new.note.as_str()), (Some(60), None, "for node 7"));
        for role in Role::ALL {
            assert_eq!(roles(&[v1::Role::from(role) as i32, 0, 77]), Roles::of(&[role]));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wire, field) in [
            (v1::NewTokenRequest { roles: vec![], ..request() }, "roles"),
            (v1::NewTokenRequest { roles: vec![0], ..request() }, "roles"),
            (v1::NewTokenRequest { roles: vec![1, 99], ..request() }, "roles"),
            (v1::NewTokenRequest { life_s: u64::MAX, ..request() }, "life_s"),
            (v1::NewTokenRequest { note: "x".repeat(NOTE_BYTES_MAX + 1), ..request() }, "note"),
            (v1::NewTokenRequest { note: "a\nb".to_owned(), ..request() }, "note"),
        ] {
            assert_eq!(token_request(wire).unwrap_err().field, field);
        }
    }
}
