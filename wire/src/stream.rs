//! Sealed records over a byte stream, and messages made of records.
//!
//! A stream keeps its order, so the record's number is the whole nonce and is never sent: a record
//! left out, repeated or moved does not open. The keys belong to one connection.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

use crate::error::StreamError;
use crate::keys::Secret;
use crate::packet::{Reader, TAG_LEN, cipher};

/// Seals what goes out on a stream.
pub struct StreamSealer {
    cipher: XChaCha20Poly1305,
    number: u64,
}

impl StreamSealer {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self {
            cipher: cipher(secret),
            number: 0,
        }
    }

    /// One record: a part of a message, its last one if `last`.
    ///
    /// # Errors
    /// [`StreamError::TooLong`] above [`RECORD_PLAINTEXT_MAX`] bytes.
    pub fn seal_record(&mut self, plaintext: &[u8], last: bool) -> Result<Vec<u8>, StreamError> {
        if plaintext.len() > RECORD_PLAINTEXT_MAX {
            return Err(StreamError::TooLong {
                limit: RECORD_PLAINTEXT_MAX,
            });
        }
        let kind = if last {
            RecordKind::Last
        } else {
            RecordKind::More
        };
        let mut out = Vec::with_capacity(RECORD_HEADER_LEN + plaintext.len() + TAG_LEN);
        self.append(kind, plaintext, &mut out);
        Ok(out)
    }

    /// A whole message, cut into records.
    ///
    /// # Errors
    /// [`StreamError::TooLong`] above [`MESSAGE_LEN_MAX`] bytes.
    pub fn seal_message(&mut self, message: &[u8]) -> Result<Vec<u8>, StreamError> {
        if message.len() > MESSAGE_LEN_MAX {
            return Err(StreamError::TooLong {
                limit: MESSAGE_LEN_MAX,
            });
        }
        let records = message.len().div_ceil(RECORD_PLAINTEXT_MAX).max(1);
        let mut out = Vec::with_capacity(message.len() + records * (RECORD_HEADER_LEN + TAG_LEN));
        let mut rest = message;
        while rest.len() > RECORD_PLAINTEXT_MAX {
            let (part, tail) = rest.split_at(RECORD_PLAINTEXT_MAX);
            self.append(RecordKind::More, part, &mut out);
            rest = tail;
        }
        self.append(RecordKind::Last, rest, &mut out);
        Ok(out)
    }

    pub(crate) fn seal_confirm(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(RecordKind::Confirm, &[], &mut out);
        out
    }

    fn append(&mut self, kind: RecordKind, plaintext: &[u8], out: &mut Vec<u8>) {
        let header = encode_header(plaintext.len(), kind);
        out.extend_from_slice(&header);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce(self.number), &header, (&mut out[start..]).into())
            .expect("a record is far below ChaCha20's limit of 256 GiB");
        out.extend_from_slice(&tag);
        self.number += 1;
    }
}

/// Opens what comes in on a stream. After an error nothing more comes out.
pub struct StreamOpener {
    cipher: XChaCha20Poly1305,
    number: u64,
    /// Bytes received; those before `opened` are done with.
    buffer: Vec<u8>,
    opened: usize,
    message: Vec<u8>,
    message_limit: usize,
    confirm_due: bool,
    failed: bool,
}

impl StreamOpener {
    pub(crate) fn new(secret: &Secret, confirm_due: bool) -> Self {
        Self {
            cipher: cipher(secret),
            number: 0,
            buffer: Vec::new(),
            opened: 0,
            message: Vec::new(),
            message_limit: MESSAGE_LEN_MAX,
            confirm_due,
            failed: false,
        }
    }

    /// Accepts no message longer than `limit` bytes; at most [`MESSAGE_LEN_MAX`].
    pub fn limit_message(&mut self, limit: usize) {
        self.message_limit = limit.min(MESSAGE_LEN_MAX);
    }

    /// Takes bytes in the order in which they arrived, cut anywhere. Take all messages out with
    /// [`Self::next_message`] before pushing more.
    ///
    /// # Errors
    /// [`StreamError::Backlog`] beyond [`STREAM_BACKLOG_MAX`] bytes not taken out;
    /// [`StreamError::Failed`] after an earlier error.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.check_alive()?;
        self.buffer.drain(..self.opened);
        self.opened = 0;
        if self.buffer.len() + bytes.len() > STREAM_BACKLOG_MAX {
            return self.fail(StreamError::Backlog {
                limit: STREAM_BACKLOG_MAX,
            });
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole message, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// [`StreamError`]: close the connection.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        self.check_alive()?;
        while let Some((kind, plaintext)) = self.next_record()? {
            if self.message.len() + plaintext.len() > self.message_limit {
                return self.fail(StreamError::TooLong {
                    limit: self.message_limit,
                });
            }
            if self.message.is_empty() {
                self.message = plaintext;
            } else {
                self.message.extend_from_slice(&plaintext);
            }
            if kind == RecordKind::Last {
                return Ok(Some(std::mem::take(&mut self.message)));
            }
        }
        Ok(None)
    }

    /// Call at the end of the stream: whether it ended between two messages.
    ///
    /// # Errors
    /// [`StreamError::Truncated`] inside a record or a message, [`StreamError::Failed`] after an
    /// earlier error.
    pub fn finish(&self) -> Result<(), StreamError> {
        self.check_alive()?;
        let whole = self.buffer.len() == self.opened && self.message.is_empty();
        if whole && !self.confirm_due {
            Ok(())
        } else {
            Err(StreamError::Truncated)
        }
    }

    /// Whether the peer's confirmation, the first record to an initiator, has come.
    pub(crate) fn take_confirm(&mut self) -> Result<bool, StreamError> {
        Ok(self.next_record()?.is_some())
    }

    fn next_record(&mut self) -> Result<Option<(RecordKind, Vec<u8>)>, StreamError> {
        let number = self.number;
        let waiting = &self.buffer[self.opened..];
        let Some((header, rest)) = waiting.split_first_chunk::<RECORD_HEADER_LEN>() else {
            return Ok(None);
        };
        let Some((len, kind)) = parse_header(header).filter(|(len, kind)| {
            (*kind == RecordKind::Confirm) == self.confirm_due && kind.may_have(*len)
        }) else {
            return self.fail(StreamError::BadHeader { number });
        };
        let Some((body, rest)) = rest.split_at_checked(len) else {
            return Ok(None);
        };
        let Some(tag) = rest.first_chunk::<TAG_LEN>() else {
            return Ok(None);
        };
        let mut plaintext = body.to_vec();
        let opened = self.cipher.decrypt_inout_detached(
            &nonce(number),
            header,
            plaintext.as_mut_slice().into(),
            &Tag::from(*tag),
        );
        if opened.is_err() {
            return self.fail(StreamError::BadRecord { number });
        }
        self.number += 1;
        self.opened += RECORD_HEADER_LEN + len + TAG_LEN;
        self.confirm_due = false;
        Ok(Some((kind, plaintext)))
    }

    fn check_alive(&self) -> Result<(), StreamError> {
        if self.failed {
            Err(StreamError::Failed)
        } else {
            Ok(())
        }
    }

    fn fail<T>(&mut self, error: StreamError) -> Result<T, StreamError> {
        self.failed = true;
        self.buffer = Vec::new();
        self.opened = 0;
        self.message = Vec::new();
        Err(error)
    }
}

impl std::fmt::Debug for StreamSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSealer")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StreamOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamOpener")
            .field("number", &self.number)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum RecordKind {
    /// More of the message follows.
    More = 0,
    /// The message ends here.
    Last = 1,
    /// The responder's first record: it has the session too.
    Confirm = 2,
}

impl RecordKind {
    /// Empty records that end nothing would keep a reader busy for nothing.
    fn may_have(self, len: usize) -> bool {
        match self {
            Self::More => len > 0,
            Self::Last => true,
            Self::Confirm => len == 0,
        }
    }
}

fn encode_header(len: usize, kind: RecordKind) -> [u8; RECORD_HEADER_LEN] {
    let len = u32::try_from(len).expect("a record holds at most 64 KiB");
    let [a, b, c, d] = len.to_be_bytes();
    [a, b, c, d, kind as u8]
}

fn parse_header(header: &[u8; RECORD_HEADER_LEN]) -> Option<(usize, RecordKind)> {
    let mut reader = Reader(header);
    let len = usize::try_from(u32::from_be_bytes(reader.take()?)).ok()?;
    let kind = match reader.take()? {
        [0] => RecordKind::More,
        [1] => RecordKind::Last,
        [2] => RecordKind::Confirm,
        [_] => return None,
    };
    (len <= RECORD_PLAINTEXT_MAX).then_some((len, kind))
}

fn nonce(number: u64) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    XNonce::from(nonce)
}

/// Bytes before a record's ciphertext.
pub const RECORD_HEADER_LEN: usize = 5;
/// Longest plaintext of a record, in bytes.
pub const RECORD_PLAINTEXT_MAX: usize = 64 << 10;
/// Longest message, in bytes.
pub const MESSAGE_LEN_MAX: usize = 64 << 20;
/// Most bytes an opener holds that were not taken out as messages.
pub const STREAM_BACKLOG_MAX: usize = 1 << 20;
