//! A text that is drawn again and again in a terminal, until it is told to stop.

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

/// A screen of its own, so that nothing is left of it; without a cursor.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// Draws what `text` makes, every `interval`, until `stop` or an error.
///
/// # Errors
/// What `text` ran into, or that the terminal cannot be written to.
pub async fn live(
    text: impl AsyncFn() -> Result<String, String>,
    interval: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let mut stop = std::pin::pin!(stop);
    say(BEGIN)?;
    let ended = loop {
        let drawn = tokio::select! {
            () = &mut stop => break Ok(()),
            drawn = text() => drawn,
        };
        // Over what was there, so that nothing flickers.
        let drawn = drawn.map(|text| format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")));
        if let Err(error) = drawn.and_then(|drawn| say(&drawn)) {
            break Err(error);
        }
        tokio::select! {
            () = &mut stop => break Ok(()),
            () = tokio::time::sleep(interval) => {}
        }
    };
    say(END)?;
    ended
}

/// Prints a text; who stopped reading it has seen enough.
///
/// # Errors
/// When it cannot be written.
pub fn say(text: &str) -> Result<(), String> {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("the output cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}
