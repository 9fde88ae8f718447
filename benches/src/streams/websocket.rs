//! As much of WebSocket (RFC 6455) as an echo needs: whole frames, both ways.

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// More than an echo ever sends.
const LONGEST: u64 = 1 << 20;

/// What a frame is (section 11.8).
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;

/// The answer to a `Sec-WebSocket-Key` (section 4.2.2).
pub(crate) fn accept_of(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Sends one whole message; a client masks it (section 5.3).
pub(crate) async fn write(
    out: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    message: &[u8],
    mask: Option<[u8; 4]>,
) -> io::Result<()> {
    let masked = if mask.is_some() { 0x80 } else { 0_u8 };
    let mut frame = vec![0x80 | kind];
    match u16::try_from(message.len()) {
        Ok(length @ ..126) => frame.push(masked + length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(masked + 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(masked + 127);
            frame.extend((message.len() as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| frame.extend(mask)).unwrap_or_default();
    let key = mask.iter().cycle();
    frame.extend(message.iter().zip(key).map(|(byte, key)| byte ^ key));
    out.write_all(&frame).await?;
    out.flush().await
}

/// Reads one frame: what it is, and its message.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let first = from.read_u8().await?;
    let second = from.read_u8().await?;
    let length = match second & 0x7f {
        126 => from.read_u16().await?.into(),
        127 => from.read_u64().await?,
        length => length.into(),
    };
    if length > LONGEST {
        return Err(io::Error::other(format!("a frame of {length} bytes")));
    }
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        from.read_exact(&mut mask).await?;
    }
    let mut message = vec![0; usize::try_from(length).unwrap_or_default()];
    from.read_exact(&mut message).await?;
    for (byte, key) in message.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok((first & 0x0f, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepting_answer_is_that_of_the_rfc() {
        assert_eq!(
            accept_of("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[tokio::test]
    async fn messages_of_all_lengths_come_as_they_were_sent() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            for mask in [None, Some([1, 2, 3, 250])] {
                let message: Vec<u8> = (0..=255).cycle().take(length).collect();
                let mut wire = Vec::new();
                write(&mut wire, BINARY, &message, mask).await.unwrap();
                assert_eq!(read(&mut &wire[..]).await.unwrap(), (BINARY, message));
            }
        }
    }
}
