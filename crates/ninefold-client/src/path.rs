//! Paths as the steps of a walk.
//!
//! Only text is looked at: what `..` means, and whether a name exists, is the server's affair.

use ninefold_wire::{Name, Step};

use crate::{Error, Result};

/// The steps of a path. Slashes at either end, doubled ones and `.` count for nothing.
pub(crate) fn steps(path: &[u8]) -> Result<Vec<Step<'_>>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .map(step)
        .collect()
}

fn step(name: &[u8]) -> Result<Step<'_>> {
    Step::new(name).map_err(|why| Error::Name {
        name: name.to_vec(),
        why,
    })
}

/// The steps to the parent of what the path names, and the name in there.
pub(crate) fn parent(path: &[u8]) -> Result<(Vec<Step<'_>>, Name<'_>)> {
    let mut steps = steps(path)?;
    match steps.pop() {
        Some(Step::Down(name)) => Ok((steps, name)),
        _ => Err(Error::Nameless {
            path: path.to_vec(),
        }),
    }
}

/// Checks one name.
pub(crate) fn name(bytes: &[u8]) -> Result<Name<'_>> {
    Name::new(bytes).map_err(|why| Error::Name {
        name: bytes.to_vec(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::{parent, steps};
    use crate::Error;

    fn spelled(path: &[u8]) -> Vec<&[u8]> {
        steps(path)
            .expect("a sound path")
            .iter()
            .map(|step| step.bytes())
            .collect()
    }

    #[test]
    fn paths_become_steps() {
        assert!(spelled(b"").is_empty());
        assert!(spelled(b"//./").is_empty());
        assert_eq!(
            spelled(b"/a//b/./../c\xff/"),
            [&b"a"[..], b"b", b"..", b"c\xff"]
        );
        assert!(matches!(steps(b"a\0b"), Err(Error::Name { .. })));
        assert!(matches!(steps(&[b'x'; 256]), Err(Error::Name { .. })));
    }

    #[test]
    fn parents_need_a_name() {
        let (above, name) = parent(b"a/b/c").expect("a sound path");
        assert_eq!((above.len(), name.bytes()), (2, &b"c"[..]));
        for path in [&b""[..], b"/", b"a/.."] {
            assert!(matches!(parent(path), Err(Error::Nameless { .. })));
        }
    }
}
