//! What an identity may do. A role is a set of methods; an identity has one role or several.

use std::fmt;
use std::str::FromStr;

/// A set of methods that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Is given tasks, and the plugins that they need.
    Worker,
    /// Submits jobs, follows them and takes their results.
    Submitter,
    /// Pushes and removes plugins.
    Publisher,
    /// Looks at jobs, plugins and workers, and changes nothing.
    Viewer,
    /// All that the others may but be given tasks; drains workers, makes and revokes tokens.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Worker, Self::Submitter, Self::Publisher, Self::Viewer, Self::Admin];

    /// Its name, as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Submitter => "submitter",
            Self::Publisher => "publisher",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| format!("no role `{text}`: one of {} is wanted", list(&Roles::ALL, ", ")))
    }
}

/// Roles of one identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Every role: who comes in through the coordinator's own socket.
    pub const ALL: Self =
        Self::of(&[Role::Worker, Role::Submitter, Role::Publisher, Role::Viewer, Role::Admin]);

    /// These roles.
    #[must_use]
    pub const fn of(roles: &[Role]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < roles.len() {
            bits |= 1 << roles[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this role is among them.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & 1 << role as u8 != 0
    }

    /// Whether some role is in both.
    #[must_use]
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// The roles, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::default(), |all, role| Self(all.0 | 1 << role as u8))
    }
}

/// Names joined by `+`.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&list(self, "+"))
    }
}

/// Names joined by `+` or commas.
impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(['+', ',']).map(|name| name.trim().parse::<Role>()).collect()
    }
}

/// As docs/security.md shows it.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("whoever has a token"),
            Self::Roles(roles) if *roles == Roles::ALL => f.write_str("every identity"),
            Self::Roles(roles) => f.write_str(&list(roles, ", ")),
            Self::Socket => f.write_str("only through the socket"),
        }
    }
}

fn list(roles: &Roles, between: &str) -> String {
    roles.iter().map(Role::name).collect::<Vec<_>>().join(between)
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Whoever reaches the port, because the method itself looks at a token.
    Anybody,
    /// An identity with one of these roles.
    Roles(Roles),
    /// Who comes in through the coordinator's own Unix socket, and nobody else.
    Socket,
}

const EVERY_ROLE: Right = Right::Roles(Roles::ALL);
const LOOK: Right = Right::Roles(Roles::of(&[Role::Submitter, Role::Publisher, Role::Viewer, Role::Admin]));
const LOOK_AT_JOBS: Right = Right::Roles(Roles::of(&[Role::Submitter, Role::Viewer, Role::Admin]));
const SUBMIT: Right = Right::Roles(Roles::of(&[Role::Submitter, Role::Admin]));
const PUBLISH: Right = Right::Roles(Roles::of(&[Role::Publisher, Role::Admin]));
const PULL: Right = Right::Roles(Roles::of(&[Role::Worker, Role::Submitter, Role::Publisher, Role::Admin]));
const WORK: Right = Right::Roles(Roles::of(&[Role::Worker]));
const ADMINISTER: Right = Right::Roles(Roles::of(&[Role::Admin]));

/// Every method of the coordinator and who may call it. docs/security.md shows this table.
pub const RIGHTS: &[(&str, Right)] = &[
    ("WorkerLink/Attach", WORK),
    ("Jobs/Submit", SUBMIT),
    ("Jobs/Feed", SUBMIT),
    ("Jobs/Watch", LOOK_AT_JOBS),
    ("Jobs/Get", LOOK_AT_JOBS),
    ("Jobs/List", LOOK_AT_JOBS),
    ("Jobs/Cancel", SUBMIT),
    ("Jobs/Remove", SUBMIT),
    ("Jobs/Results", LOOK_AT_JOBS),
    ("Jobs/Acknowledge", SUBMIT),
    ("Jobs/Retry", SUBMIT),
    ("Jobs/Why", LOOK_AT_JOBS),
    ("Jobs/Case", LOOK_AT_JOBS),
    ("Jobs/Logs", LOOK_AT_JOBS),
    ("Jobs/TaskSamples", LOOK_AT_JOBS),
    ("Plugins/Push", PUBLISH),
    ("Plugins/Pull", PULL),
    ("Plugins/List", LOOK),
    ("Plugins/Find", LOOK),
    ("Plugins/Remove", PUBLISH),
    ("Cluster/Info", EVERY_ROLE),
    ("Cluster/Workers", EVERY_ROLE),
    ("Cluster/Drain", ADMINISTER),
    ("Cluster/Shutdown", Right::Socket),
    ("Identity/Enroll", Right::Anybody),
    ("Identity/Renew", EVERY_ROLE),
    ("Identity/NewToken", ADMINISTER),
    ("Identity/ListTokens", ADMINISTER),
    ("Identity/RevokeToken", ADMINISTER),
];

/// Who may call what is asked for at a path such as `/muster.v1.Jobs/Submit`; `None`: muster has no such method. What it
/// did not name itself (health checks, reflection) is for every identity.
#[must_use]
pub fn right_to(path: &str) -> (&str, Option<Right>) {
    let Some(method) = path.strip_prefix("/muster.v1.") else {
        return (path.trim_start_matches('/'), Some(EVERY_ROLE));
    };
    let found = RIGHTS.iter().find(|(name, _)| *name == method);
    (method, found.map(|&(_, right)| right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_back() {
        for text in ["worker", "submitter+publisher", "worker+submitter+publisher+viewer+admin"] {
            let roles: Roles = text.parse().unwrap();
            assert_eq!(roles.to_string(), text);
            assert_eq!(roles.iter().collect::<Roles>(), roles);
        }
        assert_eq!("viewer, worker".parse::<Roles>().unwrap().to_string(), "worker+viewer");
        for bad in ["", "Worker", "worker+", "root", "worker;admin"] {
            let error = bad.parse::<Roles>().unwrap_err();
            assert!(error.contains("worker, submitter, publisher, viewer, admin"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_worker_does_not_submit_and_nobody_else_works() {
        let may = |role, path| match right_to(path).1.unwrap() {
            Right::Anybody => true,
            Right::Roles(roles) => roles.has(role),
            Right::Socket => false,
        };
        for role in Role::ALL {
            assert_eq!(may(role, "/muster.v1.WorkerLink/Attach"), role == Role::Worker, "{role}");
            assert!(may(role, "/muster.v1.Identity/Enroll") && may(role, "/grpc.health.v1.Health/Check"));
        }
        assert!(!may(Role::Worker, "/muster.v1.Jobs/Submit"));
        assert!(!may(Role::Submitter, "/muster.v1.Plugins/Push"));
        assert!(!may(Role::Viewer, "/muster.v1.Jobs/Cancel"));
        assert_eq!(right_to("/muster.v1.Jobs/Submit").0, "Jobs/Submit");
        assert_eq!(right_to("/muster.v1.Jobs/Nothing"), ("Jobs/Nothing", None));
    }
}
