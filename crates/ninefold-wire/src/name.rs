//! File names as a type: what cannot name a directory entry fails to decode.

use core::{fmt, iter};

use crate::codec::{Cursor, DecodeError, Field, Full, Writer};
use crate::{Dialect, WALK_MAX};

/// Longest name of a directory entry, bytes (`NAME_MAX`).
pub const NAME_MAX: usize = 255;

/// Why bytes are not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// No byte at all.
    Empty,
    /// Holds a `/`.
    Slash,
    /// Holds a NUL.
    Nul,
    /// Longer than 255 bytes.
    TooLong,
    /// `.`, where an entry is to be made, moved or removed.
    Dot,
    /// `..`, where an entry is to be made, moved or removed.
    DotDot,
}

/// One path component: 1 to 255 bytes, no `/`, no NUL, not `.` and not `..`. Not necessarily UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// The first rule that they break, in the order of [`NameError`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, NameError> {
        match bytes {
            b"" => Err(NameError::Empty),
            b"." => Err(NameError::Dot),
            b".." => Err(NameError::DotDot),
            // Nearly all names are short and have neither: one look at each byte says so.
            _ if bytes.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Self::wrong_byte(bytes)),
            _ if bytes.len() > NAME_MAX => Err(NameError::TooLong),
            _ => Ok(Self(bytes)),
        }
    }

    #[cold]
    fn wrong_byte(bytes: &[u8]) -> NameError {
        if bytes.contains(&b'/') {
            NameError::Slash
        } else {
            NameError::Nul
        }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Field<'a> for Name<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Self::new(Field::take(from)?).map_err(DecodeError::Name)
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.0.put(to)
    }
}

/// One element of a Twalk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// `.`: stay.
    Stay,
    /// `..`: to the parent.
    Up,
    /// Down to an entry.
    Down(Name<'a>),
}

impl<'a> Step<'a> {
    /// Reads one component of a path.
    ///
    /// # Errors
    /// As [`Name::new`], never `Dot` or `DotDot`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, NameError> {
        match Name::new(bytes) {
            Ok(name) => Ok(Self::Down(name)),
            Err(NameError::Dot) => Ok(Self::Stay),
            Err(NameError::DotDot) => Ok(Self::Up),
            Err(error) => Err(error),
        }
    }

    /// The same for what has been read before.
    fn checked(bytes: &'a [u8]) -> Self {
        match bytes {
            b"." => Self::Stay,
            b".." => Self::Up,
            name => Self::Down(Name(name)),
        }
    }

    /// The component as it stands on the wire.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Stay => b".",
            Self::Up => b"..",
            Self::Down(name) => name.bytes(),
        }
    }
}

/// The elements of a Twalk, at most 16.
#[derive(Clone, Copy)]
pub struct Steps<'a>(Kept<'a>);

/// Where the elements are. They are read one by one: most Twalks have one, and room for 16 would be
/// moved with every message.
#[derive(Clone, Copy)]
enum Kept<'a> {
    /// So many in a frame, and each has been looked at.
    Frame(u16, &'a [u8]),
    Given(&'a [Step<'a>]),
}

impl<'a> Steps<'a> {
    /// No step: the Twalk that clones a fid.
    pub const NONE: Self = Self(Kept::Given(&[]));

    /// Takes up to 16 steps; more are refused.
    #[must_use]
    pub fn of(steps: &'a [Step<'a>]) -> Option<Self> {
        (steps.len() <= WALK_MAX).then_some(Self(Kept::Given(steps)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Kept::Frame(count, _) => count.into(),
            Kept::Given(steps) => steps.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The steps in order.
    pub fn iter(&self) -> impl Iterator<Item = Step<'a>> + use<'a> {
        let (mut frame, given) = match self.0 {
            Kept::Frame(_, bytes) => (Cursor::new(bytes, Dialect::Linux), [].iter()),
            Kept::Given(steps) => (Cursor::new(&[], Dialect::Linux), steps.iter()),
        };
        let framed = iter::from_fn(move || Field::take(&mut frame).ok().map(Step::checked));
        framed.chain(given.copied())
    }
}

impl PartialEq for Steps<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Steps<'_> {}

impl fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Field<'a> for Steps<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = u16::take(from)?;
        if usize::from(count) > WALK_MAX {
            return Err(DecodeError::TooManyNames(count));
        }
        // A wrong name is reported only when the frame is sound: a cut frame is the worse fault.
        let (all, mut wrong) = (from.rest(), None);
        for _ in 0..count {
            if let Err(error) = Step::new(Field::take(from)?) {
                wrong = wrong.or(Some(error));
            }
        }
        match wrong {
            None => Ok(Self(Kept::Frame(
                count,
                &all[..all.len() - from.remaining()],
            ))),
            Some(error) => Err(DecodeError::Name(error)),
        }
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        u16::try_from(self.len()).map_err(|_| Full)?.put(to)?;
        self.iter().try_for_each(|step| step.bytes().put(to))
    }
}
