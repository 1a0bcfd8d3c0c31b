//! Typed parameters of a job, and their JSON Schema for the manifest.

use crate::Error;
use crate::schema::Kind;
use serde_json::{Map, Value};

/// Parameters of a job. [`params!`](crate::params!) makes such a struct; `()` is no parameters.
pub trait Params: Sized {
    /// JSON Schema of a flat object, with defaults, ranges and descriptions.
    const SCHEMA: &'static str;

    /// Reads a JSON object that the host has checked and filled with defaults.
    ///
    /// # Errors
    /// [`Error::params`], naming the parameter.
    fn from_json(json: &[u8]) -> Result<Self, Error>;
}

impl Params for () {
    const SCHEMA: &'static str =
        r#"{"type":"object","additionalProperties":false,"properties":{},"required":[]}"#;

    fn from_json(json: &[u8]) -> Result<Self, Error> {
        Fields::read(json)?.end()
    }
}

/// The type of one parameter: whole and floating-point numbers, `bool`, `String`, and enums made by
/// [`choices!`](crate::choices!).
pub trait ParamValue: Sized {
    #[doc(hidden)]
    const KIND: Kind;
    #[doc(hidden)]
    const CHOICES: &'static [&'static str] = &[];

    /// The value; none when the JSON value does not fit.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! integer {
    ($($type:ident $read:ident)+) => {$(
        impl ParamValue for $type {
            const KIND: Kind = Kind::Integer($type::MIN as i128, $type::MAX as i128);

            fn from_value(value: &Value) -> Option<Self> {
                value.$read()?.try_into().ok()
            }
        }
    )+};
}

integer!(u64 as_u64 u32 as_u64 i64 as_i64 i32 as_i64);

impl ParamValue for f64 {
    const KIND: Kind = Kind::Number;

    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl ParamValue for bool {
    const KIND: Kind = Kind::Bool;

    fn from_value(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl ParamValue for String {
    const KIND: Kind = Kind::Text;

    fn from_value(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

/// Takes the parameters out of a JSON object one by one.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    #[doc(hidden)]
    pub fn read(json: &[u8]) -> Result<Self, Error> {
        if json.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(json) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(other) => Err(Error::params(format_args!("parameters must be a JSON object, got {other}"))),
            Err(error) => Err(Error::params(format_args!("parameters are not JSON: {error}"))),
        }
    }

    #[doc(hidden)]
    pub fn take<T: ParamValue>(&mut self, name: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        T::from_value(&value).map(Some).ok_or_else(|| {
            let expected = match T::KIND {
                Kind::Integer(from, to) => format!("a whole number from {from} to {to}"),
                Kind::Number => "a number".to_owned(),
                Kind::Bool => "true or false".to_owned(),
                Kind::Text if T::CHOICES.is_empty() => "a string".to_owned(),
                Kind::Text => format!("one of {}", T::CHOICES.join(", ")),
            };
            Error::params(format_args!("parameter {name} is {value}; it must be {expected}"))
        })
    }

    #[doc(hidden)]
    pub fn end(self) -> Result<(), Error> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::params(format_args!("unknown parameter {name}; leave it out"))),
        }
    }
}

/// Makes a struct of parameters: `name: type = default => range`. Without a default the parameter is required;
/// the range is optional. Types are `u64`, `u32`, `i64`, `i32`, `f64`, `bool`, `String` and enums made by
/// [`choices!`](crate::choices!). Doc comments become the descriptions that users see.
///
/// ```
/// muster_sdk::choices! {
///     /// How to wait.
///     pub enum Mode {
///         /// Always the same.
///         Constant = "const",
///         /// Exponentially distributed.
///         Exponential = "exp",
///     }
/// }
/// muster_sdk::params! {
///     /// Parameters.
///     pub struct Params {
///         /// Milliseconds to wait.
///         pub ms: f64 = 1.5 => 0.0..=1e6,
///         /// How to wait.
///         pub mode: Mode = Mode::Constant,
///         /// Whom to greet.
///         pub name: String = "world",
///         /// How often.
///         pub times: u32,
///     }
/// }
/// use muster_sdk::Params as _;
/// let params = Params::from_json(br#"{"times": 3}"#).unwrap();
/// assert_eq!((params.ms, params.mode, &*params.name, params.times), (1.5, Mode::Constant, "world", 3));
/// assert!(Params::SCHEMA.contains(r#""enum":["const","exp"]"#));
/// ```
#[macro_export]
macro_rules! params {
    (
        $(#[doc = $about:expr])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:expr])*
                $field_vis:vis $field:ident: $type:ident $(= $default:expr)? $(=> $range:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $doc])* $field_vis $field: $type, )*
        }

        const _: () = {
            const FIELDS: &[$crate::schema::Field] = &[$(
                $crate::schema::Field {
                    name: ::core::stringify!($field),
                    kind: <$type as $crate::ParamValue>::KIND,
                    choices: <$type as $crate::ParamValue>::CHOICES,
                    doc: &[$($doc),*],
                    default: $crate::params!(@default $type $($default)?),
                    bounds: $crate::params!(@bounds $type $($range)?),
                }
            ),*];
            const LEN: usize = $crate::schema::write(FIELDS, &mut []);
            const JSON: [u8; LEN] = {
                let mut out = [0; LEN];
                $crate::schema::write(FIELDS, &mut out);
                out
            };

            impl $crate::Params for $name {
                const SCHEMA: &'static str = $crate::json::text(&JSON);

                fn from_json(json: &[u8]) -> ::core::result::Result<Self, $crate::Error> {
                    let mut fields = $crate::border::Fields::read(json)?;
                    let params = Self {
                        $( $field: {
                            let value = match fields.take::<$type>(::core::stringify!($field))? {
                                ::core::option::Option::Some(value) => value,
                                ::core::option::Option::None => $crate::params!(@missing $field $type $($default)?),
                            };
                            $( $crate::border::in_range(::core::stringify!($field), &value, &($range))?; )?
                            value
                        }, )*
                    };
                    fields.end()?;
                    ::core::result::Result::Ok(params)
                }
            }
        };
    };

    (@default $type:ident) => { ::core::option::Option::None };
    (@default $type:ident $value:expr) => {
        ::core::option::Option::Some($crate::params!(@literal $type $value))
    };
    (@literal f64 $value:expr) => { $crate::schema::Literal::Number(::core::stringify!($value)) };
    (@literal bool $value:expr) => { $crate::schema::Literal::Bool($value) };
    (@literal String $value:expr) => { $crate::schema::Literal::Text($value) };
    (@literal u64 $value:expr) => { $crate::params!(@integer u64 $value) };
    (@literal u32 $value:expr) => { $crate::params!(@integer u32 $value) };
    (@literal i64 $value:expr) => { $crate::params!(@integer i64 $value) };
    (@literal i32 $value:expr) => { $crate::params!(@integer i32 $value) };
    (@literal $type:ident $value:expr) => { $crate::schema::Literal::Text($type::name($value)) };
    (@integer $type:ident $value:expr) => {
        $crate::schema::Literal::Integer({ const VALUE: $type = $value; VALUE } as i128)
    };

    (@bounds $type:ident) => { $crate::schema::Bounds::Type };
    (@bounds f64 $range:expr) => { $crate::schema::Bounds::Numbers(::core::stringify!($range)) };
    (@bounds $type:ident $range:expr) => {{
        const RANGE: ::core::ops::RangeInclusive<$type> = $range;
        $crate::schema::Bounds::Integers(*RANGE.start() as i128, *RANGE.end() as i128)
    }};

    (@missing $field:ident $type:ident) => {
        return ::core::result::Result::Err($crate::Error::params(::core::concat!(
            "parameter ", ::core::stringify!($field), " is missing; it has no default"
        )))
    };
    (@missing $field:ident String $value:expr) => { ::std::string::String::from($value) };
    (@missing $field:ident $type:ident $value:expr) => { $value };
}

/// Makes an enum whose variants have names in JSON, for [`params!`](crate::params!).
#[macro_export]
macro_rules! choices {
    (
        $(#[$about:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$doc:meta])* $variant:ident = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $( $(#[$doc])* $variant, )+
        }

        impl $name {
            /// Its name in JSON.
            $vis const fn name(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }

        impl $crate::ParamValue for $name {
            const KIND: $crate::schema::Kind = $crate::schema::Kind::Text;
            const CHOICES: &'static [&'static str] = &[$($text),+];

            fn from_value(value: &$crate::serde_json::Value) -> ::core::option::Option<Self> {
                match value.as_str()? {
                    $( $text => ::core::option::Option::Some(Self::$variant), )+
                    _ => ::core::option::Option::None,
                }
            }
        }
    };
}
