//! What came of one check.

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    /// There is nothing to check, or no way to.
    NotChecked,
}

impl Verdict {
    /// In the table and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotChecked => "not checked",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub verdict: Verdict,
    /// What was measured, or why nothing was.
    pub measured: String,
    /// What to change; empty: nothing.
    pub advice: String,
}

impl Check {
    /// It is as it should be.
    pub fn pass(name: impl Into<String>, measured: impl Into<String>) -> Self {
        Self::new(name, Verdict::Pass, measured, "")
    }

    /// It is not.
    pub fn fail(name: impl Into<String>, measured: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, measured, advice)
    }

    /// Nobody knows.
    pub fn not_checked(name: impl Into<String>, why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Verdict::NotChecked, why, advice)
    }

    /// As a row of JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "check": self.name, "result": self.verdict.name(), "measured": self.measured, "advice": self.advice,
        })
    }

    fn new(
        name: impl Into<String>,
        verdict: Verdict,
        measured: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), verdict, measured: measured.into(), advice: advice.into() }
    }
}
