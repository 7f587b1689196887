//! File names as a type: what cannot name a directory entry fails to decode.

use crate::WALK_MAX;
use crate::codec::{Cursor, DecodeError, Field, Full, Writer};

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
            _ if bytes.contains(&b'/') => Err(NameError::Slash),
            _ if bytes.contains(&0) => Err(NameError::Nul),
            _ if bytes.len() > NAME_MAX => Err(NameError::TooLong),
            _ => Ok(Self(bytes)),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps<'a> {
    steps: [Step<'a>; WALK_MAX],
    len: usize,
}

impl<'a> Steps<'a> {
    /// No step: the Twalk that clones a fid.
    pub const NONE: Self = Self {
        steps: [Step::Stay; WALK_MAX],
        len: 0,
    };

    /// Takes up to 16 steps; more are refused.
    #[must_use]
    pub fn of(steps: &[Step<'a>]) -> Option<Self> {
        let mut all = Self::NONE;
        all.steps.get_mut(..steps.len())?.copy_from_slice(steps);
        all.len = steps.len();
        Some(all)
    }

    /// The steps in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Step<'a>] {
        &self.steps[..self.len]
    }
}

impl<'a> Field<'a> for Steps<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = u16::take(from)?;
        let len = usize::from(count);
        let mut all = Self { len, ..Self::NONE };
        let steps = all
            .steps
            .get_mut(..len)
            .ok_or(DecodeError::TooManyNames(count))?;
        // A wrong name is reported only when the frame is sound: a cut frame is the worse fault.
        let mut wrong = None;
        for step in steps {
            match Step::new(Field::take(from)?) {
                Ok(good) => *step = good,
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        match wrong {
            None => Ok(all),
            Some(error) => Err(DecodeError::Name(error)),
        }
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        u16::try_from(self.len).map_err(|_| Full)?.put(to)?;
        self.as_slice()
            .iter()
            .try_for_each(|step| step.bytes().put(to))
    }
}
