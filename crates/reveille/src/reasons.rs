use std::fmt::Debug;

/// Why a target is woken: a small set that merges by union.
///
/// A user names up to eight bits of a type of their own, by hand or with [`reasons!`]. `()` is
/// the type of hubs that need none.
///
/// [`reasons!`]: crate::reasons
pub trait Reasons: Copy + Debug + Send + Sync + 'static {
    /// What a beat of a cadence says as its reason.
    const BEAT: Self;

    /// The set as bits. Must be the inverse of [`from_bits`](Self::from_bits), and keep unions:
    /// the bits of two sets, or-ed, are the bits of their union.
    fn to_bits(self) -> u8;

    /// The set with these bits.
    fn from_bits(bits: u8) -> Self;
}

impl Reasons for () {
    const BEAT: Self = ();

    fn to_bits(self) -> u8 {
        0
    }

    fn from_bits(_: u8) -> Self {}
}

/// Names the reasons of a hub: a type with up to eight members, and sets of them.
///
/// The first member is the reason of beats.
///
/// ```
/// use reveille::Reasons;
///
/// reveille::reasons! {
///     /// Why an agent is woken.
///     pub struct Why { BEAT, CONFIG, MESSAGE }
/// }
///
/// let both = Why::CONFIG | Why::MESSAGE;
/// assert!(both.contains(Why::CONFIG) && !both.contains(Why::BEAT));
/// assert_eq!(format!("{both:?}"), "CONFIG | MESSAGE");
/// assert_eq!(Why::from_bits(both.to_bits()), both);
/// ```
#[macro_export]
macro_rules! reasons {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($member:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        $vis struct $name(u8);

        #[allow(dead_code)]
        impl $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($member)),+];
            const _AT_MOST_EIGHT: () = assert!(Self::NAMES.len() <= 8, "at most eight reasons");
            $crate::reasons!(@members 0u8, $($member),+);

            /// Whether all of `other` is in this set.
            $vis const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl $crate::Reasons for $name {
            const BEAT: Self = {
                let () = Self::_AT_MOST_EIGHT;
                Self(1)
            };

            fn to_bits(self) -> u8 {
                self.0
            }

            fn from_bits(bits: u8) -> Self {
                Self(bits)
            }
        }

        impl ::core::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                let mut separator = "";
                for (bit, name) in Self::NAMES.iter().enumerate() {
                    if self.0 >> bit & 1 == 1 {
                        ::core::write!(f, "{separator}{name}")?;
                        separator = " | ";
                    }
                }
                if separator.is_empty() { f.write_str("none") } else { Ok(()) }
            }
        }
    };
    (@members $bit:expr, $member:ident $(, $rest:ident)*) => {
        #[allow(missing_docs)]
        pub const $member: Self = Self(1 << $bit);
        $crate::reasons!(@members $bit + 1, $($rest),*);
    };
    (@members $bit:expr,) => {};
}
