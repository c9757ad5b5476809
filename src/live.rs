//! What a command prints: once, or again and again until it is told to stop.

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

/// A screen of its own, so that nothing is left of it; without a cursor.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// Whether someone still reads what is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reader {
    /// More can be printed.
    Reads,
    /// The other end of the pipe is closed.
    Left,
}

/// Where a text is shown again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// On a screen of its own, over what was there.
    Screen,
    /// Below what was there.
    Below,
}

/// Shows what `text` makes, every `interval`, until `stop`, an error, or until no one reads it.
///
/// # Errors
/// What `text` ran into, or that it cannot be written.
pub async fn live(
    text: impl AsyncFn() -> Result<String, String>,
    interval: Duration,
    place: Place,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    if place == Place::Screen {
        say(BEGIN)?;
    }
    let ended = draw_until(text, interval, place, stop).await;
    if place == Place::Screen {
        say(END)?;
    }
    ended
}

async fn draw_until(
    text: impl AsyncFn() -> Result<String, String>,
    interval: Duration,
    place: Place,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let mut stop = std::pin::pin!(stop);
    loop {
        let drawn = tokio::select! {
            () = &mut stop => return Ok(()),
            drawn = text() => drawn?,
        };
        let drawn = match place {
            // Over what was there, so that nothing flickers.
            Place::Screen => format!("\x1b[H{}\x1b[J", drawn.replace('\n', "\x1b[K\n")),
            Place::Below => drawn,
        };
        if print(&drawn)? == Reader::Left {
            return Ok(());
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Prints a text. A reader that has left has seen enough.
///
/// # Errors
/// When it cannot be written.
pub fn say(text: &str) -> Result<(), String> {
    print(text).map(drop)
}

/// Prints a text, and tells whether someone still reads.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> Result<Reader, String> {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(format!("the output cannot be written: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_text_is_shown_again_until_it_is_told_to_stop() {
        let draws = Cell::new(0);
        let text = async || {
            draws.set(draws.get() + 1);
            Ok(String::new())
        };
        let stop = tokio::time::sleep(Duration::from_secs(12));
        assert_eq!(live(text, Duration::from_secs(5), Place::Below, stop).await, Ok(()));
        assert_eq!(draws.get(), 3);
    }

    #[tokio::test]
    async fn an_error_ends_it() {
        let text = async || Err("no cluster".to_owned());
        let ended = live(text, Duration::from_secs(5), Place::Below, std::future::pending()).await;
        assert_eq!(ended, Err("no cluster".to_owned()));
    }
}
