//! Frames: a `u32` little-endian length, one version byte, postcard.

use super::{FRAME_BYTES_MAX, IPC_VERSION};
use serde::{Serialize, de::DeserializeOwned};

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// Too large.
    #[error("a message of {bytes} bytes exceeds the bound of {FRAME_BYTES_MAX} bytes")]
    TooLarge {
        /// Announced length.
        bytes: usize,
    },
    /// The peer speaks another version.
    #[error(
        "the daemon and this command speak different versions of the command protocol ({theirs} and {IPC_VERSION}): restart mainstayd after an upgrade"
    )]
    Version {
        /// Version byte found.
        theirs: u8,
    },
    /// Not a message.
    #[error("malformed message: {0}")]
    Malformed(#[from] postcard::Error),
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Encodes a message with its length and version.
///
/// # Errors
/// [`FrameError::TooLarge`] and encoding errors.
pub(super) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = postcard::to_extend(message, vec![0, 0, 0, 0, IPC_VERSION])?;
    let bytes = body.len() - LENGTH_BYTES;
    if bytes > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { bytes });
    }
    let mut frame = body;
    frame[..LENGTH_BYTES].copy_from_slice(&(bytes as u32).to_le_bytes());
    Ok(frame)
}

/// Length of the body that follows a frame's first [`LENGTH_BYTES`] bytes.
///
/// # Errors
/// [`FrameError::TooLarge`].
pub(super) fn body_bytes(length: [u8; LENGTH_BYTES]) -> Result<usize, FrameError> {
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > FRAME_BYTES_MAX {
        Err(FrameError::TooLarge { bytes })
    } else {
        Ok(bytes)
    }
}

/// Decodes a frame's body.
///
/// # Errors
/// [`FrameError::Version`] and [`FrameError::Malformed`].
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    match body.split_first() {
        Some((&IPC_VERSION, message)) => Ok(postcard::from_bytes(message)?),
        Some((&theirs, _)) => Err(FrameError::Version { theirs }),
        None => Err(FrameError::Malformed(
            postcard::Error::DeserializeUnexpectedEnd,
        )),
    }
}

/// Bytes of the length field.
pub(super) const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::{Request, Response};

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let frame = encode(&Request::WaitIdle { timeout_ms: 7 }).unwrap();
        let (length, body) = frame.split_at(LENGTH_BYTES);
        assert_eq!(body_bytes(length.try_into().unwrap()).unwrap(), body.len());
        assert_eq!(
            decode::<Request>(body).unwrap(),
            Request::WaitIdle { timeout_ms: 7 }
        );
    }

    #[test]
    fn another_version_is_named() {
        let error = decode::<Response>(&[IPC_VERSION + 1, 0]).unwrap_err();
        assert!(error.to_string().contains("different versions"), "{error}");
    }

    #[test]
    fn an_oversized_length_is_refused_before_reading() {
        let huge = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes();
        assert!(matches!(body_bytes(huge), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn rubbish_is_an_error() {
        assert!(decode::<Request>(&[]).is_err());
        assert!(decode::<Request>(&[IPC_VERSION, 0xff, 0xff, 0xff]).is_err());
    }
}
