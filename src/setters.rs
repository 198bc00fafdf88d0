//! Methods that set a field, so that a configuration is made in one expression.

/// Implements, for each of these fields of a type, a method of the same name that sets it and returns the whole.
macro_rules! setters {
    ($type:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* }) => {
        impl $type {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                $(#[$attribute])*
                #[must_use]
                pub fn $field(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}
