//! Settings whose feature is not built yet: parsed and checked like the others, then refused.

/// A key, or one value of it, that cannot be used yet.
#[derive(Clone, Copy, Debug)]
pub struct NotBuilt {
    /// The key.
    pub key: &'static str,
    /// Only this value of it; any value when none.
    pub value: Option<&'static str>,
}

/// All of them. A change that builds one takes its row away.
pub const NOT_BUILT: &[NotBuilt] = &[
    NotBuilt { key: "kra.environment", value: Some("gateway-sandbox") },
    NotBuilt { key: "kra.environment", value: Some("gateway-production") },
    NotBuilt { key: "kra.wire", value: Some("gateway") },
];

/// Is this key, at this value, refused for now?
pub(super) fn is_not_built(key: &str, value: &str) -> bool {
    NOT_BUILT.iter().any(|row| row.key == key && row.value.is_none_or(|only| only == value))
}
