//! Standard output, with its failures told apart from the server's.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use super::show::shown;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("expected to write to standard output")]
pub struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whether `error` says that nobody reads our output any more.
    pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
        error
            .downcast_ref::<Self>()
            .is_some_and(|it| it.0.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Standard output. What is not flushed is lost.
pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    terminal: bool,
}

impl Output {
    pub fn new() -> Self {
        let to = io::stdout().lock();
        let terminal = to.is_terminal();
        Self {
            to: BufWriter::new(to),
            terminal,
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        Ok(self.to.write_all(bytes)?)
    }

    /// Writes a name of the server's making: as it is for programs, harmless for terminals.
    pub fn put_name(&mut self, name: &[u8]) -> Result<(), OutputError> {
        if self.terminal {
            self.put(shown(name).as_bytes())
        } else {
            self.put(name)
        }
    }

    pub fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.to.flush()?)
    }
}
