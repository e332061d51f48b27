//! Decodes image files for a comparison with other decoders; see `tests/parity/images.py`.
//!
//! Reads files from the standard input, each after its length as four little-endian bytes. Prints a line for each:
//! `ok`, width, height and the SHA-256 of its RGB pixels, or `error` and the reason. With `--limits` the file is
//! resized to 224 × 224 while it is decoded, as `decode-images` does.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};

use pipeline_data::{Alpha, DECODER_BYTES, Filter, Fit, Limits, Memory, Target, decode_within};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    // A decoder's panic becomes an error like others; its message is not needed every time.
    std::panic::set_hook(Box::new(|_| {}));
    let target = std::env::args().any(|arg| arg == "--limits").then_some(Target {
        width: 224,
        height: 224,
        filter: Filter::Bilinear,
        fit: Fit::Squash,
    });
    let memory = Memory::new(DECODER_BYTES);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let mut file = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut file)?;
        match decode_within(&file, target, Alpha::Drop, limits) {
            Ok(((width, height), image)) => {
                let digest: String = Sha256::digest(&image.pixels).iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(output, "ok {width} {height} {digest}")?;
            }
            Err(error) => writeln!(output, "error {error}")?,
        }
        output.flush()?;
    }
}
