//! Signatures of records: who answers for a result, where not all who may write into a remote are trusted.
//!
//! A signature covers the key of a record and the digest of its text, which names the files by their digests. It
//! stands behind the text: `{"blake3":"…","content":{…},"ed25519":{"NAME":"<64 bytes in Base64>"}}`.

use std::borrow::Cow;
use std::fmt;
use std::str::{FromStr, from_utf8};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipeline_core::Key;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// The first line of what is signed: a signature for something else must not count here.
const DOMAIN: &[u8] = b"pipeline record 1\n";

/// The beginning of the text of a key that signs, which no trusted key has.
const SIGNING: &str = "pipeline-signing-key:";

/// The beginning of a signature in a document, and its end.
const BEFORE_NAME: &[u8] = b",\"ed25519\":{\"";
const BEFORE_SIGNATURE: &[u8] = b"\":\"";
const END: &[u8] = b"\"}}\n";

/// The end of a document without a signature.
const END_OF_SEALED: &[u8] = b"}\n";

/// The length of a signature in Base64.
const SIGNATURE_CHARS: usize = 88;

/// The end of what a seal covers: the digits of its digest.
const DIGEST_IN_SEALED: std::ops::Range<usize> = 11..75;

/// The reason why a text is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no public key.
    #[error("a trusted key is written as `NAME:KEY`: letters, digits, `-`, `_` and `.`, then 32 bytes in Base64")]
    NoTrustedKey,
    /// It is a key that signs, which must not be shown to others.
    #[error("a key that signs is among the trusted keys: it must stay secret, and its public part belongs there")]
    Secret,
    /// It is no key that signs.
    #[error("the text is no key of `pipeline cache keygen`")]
    NoSigningKey,
    /// The name has characters that names of keys do not have.
    #[error("`{name}` is no name of a key: letters, digits, `-`, `_` and `.` are")]
    Name {
        /// The name.
        name: String,
    },
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandomNumbers,
}

/// A key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    name: String,
    bytes: [u8; 32],
}

/// A key that signs.
pub struct SigningKey {
    name: String,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

/// The keys of a process for the records of its remote. Without any, every record counts.
#[derive(Debug, Default)]
pub struct Signatures {
    /// Signs what this process uploads.
    pub signing: Option<SigningKey>,
    /// Whose signatures count, beside that of `signing`.
    pub trusted: Vec<TrustedKey>,
}

impl FromStr for TrustedKey {
    type Err = KeyError;

    /// Reads a public key. No error repeats any of the text, which may be a secret by mistake.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(SIGNING) {
            return Err(KeyError::Secret);
        }
        let parts = || {
            let (name, key) = text.split_once(':')?;
            Some(Self { name: checked_name(name).ok()?, bytes: decoded(key)? })
        };
        parts().ok_or(KeyError::NoTrustedKey)
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, STANDARD.encode(self.bytes))
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    /// Reads the text of [`SigningKey::secret`]. No error repeats any of it.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = || {
            let (name, seed) = text.trim_end().strip_prefix(SIGNING)?.split_once(':')?;
            Some((checked_name(name).ok()?, decoded(seed)?))
        };
        let (name, seed) = parts().ok_or(KeyError::NoSigningKey)?;
        Self::of(name, seed)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.name)
    }
}

impl SigningKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// When the name has other characters than names may have, or there are no random numbers.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::NoRandomNumbers)?;
        Self::of(checked_name(name)?, seed)
    }

    fn of(name: String, seed: [u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::NoSigningKey)?;
        Ok(Self { name, seed, pair })
    }

    /// Its text, which must stay secret.
    pub fn secret(&self) -> String {
        format!("{SIGNING}{}:{}\n", self.name, STANDARD.encode(self.seed))
    }

    /// Its public part.
    pub fn trusted(&self) -> TrustedKey {
        let bytes = self.pair.public_key().as_ref().try_into().expect("public keys of Ed25519 have 32 bytes");
        TrustedKey { name: self.name.clone(), bytes }
    }
}

impl Signatures {
    /// True if records of any origin count.
    pub(crate) fn trust_all(&self) -> bool {
        self.signing.is_none() && self.trusted.is_empty()
    }

    /// True if the intact document of a key's record counts: there are no keys, or one of them has signed it.
    pub(crate) fn accept(&self, document: &[u8], key: &Key) -> bool {
        if self.trust_all() {
            return true;
        }
        let (sealed, Some(signature)) = split(document) else { return false };
        let message = message(&sealed, key);
        let own = self.signing.as_ref().map(SigningKey::trusted);
        let is_by = |key: &TrustedKey| UnparsedPublicKey::new(&ED25519, key.bytes).verify(&message, &signature).is_ok();
        self.trusted.iter().chain(&own).any(is_by)
    }

    /// The document with the signature of this process in the place of any other; as it is without a key that signs.
    pub(crate) fn sign(&self, document: Vec<u8>, key: &Key) -> Vec<u8> {
        let Some(SigningKey { name, pair, .. }) = &self.signing else { return document };
        let mut signed = split(&document).0.into_owned();
        let signature = STANDARD.encode(pair.sign(&message(&signed, key)));
        signed.truncate(signed.len() - END_OF_SEALED.len());
        for part in [BEFORE_NAME, name.as_bytes(), BEFORE_SIGNATURE, signature.as_bytes(), END] {
            signed.extend_from_slice(part);
        }
        signed
    }
}

/// A document without its signature, and the signature.
pub(crate) fn split(document: &[u8]) -> (Cow<'_, [u8]>, Option<Vec<u8>>) {
    let parsed = || {
        let (rest, signature) = document.strip_suffix(END)?.split_last_chunk::<SIGNATURE_CHARS>()?;
        let rest = rest.strip_suffix(BEFORE_SIGNATURE)?;
        let name_at = rest.iter().rposition(|byte| *byte == b'"')? + 1;
        let sealed = rest[..name_at].strip_suffix(BEFORE_NAME)?;
        checked_name(from_utf8(&rest[name_at..]).ok()?).ok()?;
        Some(([sealed, END_OF_SEALED].concat(), STANDARD.decode(signature).ok()?))
    };
    parsed().map_or((document.into(), None), |(sealed, signature)| (sealed.into(), Some(signature)))
}

/// What is signed of a sealed document: its key, and the digest of its text.
fn message(sealed: &[u8], key: &Key) -> Vec<u8> {
    [DOMAIN, key.0.as_bytes(), sealed.get(DIGEST_IN_SEALED).unwrap_or_default()].concat()
}

fn checked_name(name: &str) -> Result<String, KeyError> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=64).contains(&name.len()) && name.bytes().all(is_fine);
    if is_name { Ok(name.to_owned()) } else { Err(KeyError::Name { name: name.to_owned() }) }
}

fn decoded(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use pipeline_core::Digest;

    use super::*;
    use crate::sealed::seal;

    fn key(text: &str) -> Key {
        Key(Digest::of(text.as_bytes()))
    }

    fn signer(name: &str) -> Signatures {
        Signatures { signing: Some(SigningKey::generate(name).unwrap()), trusted: Vec::new() }
    }

    #[test]
    fn only_a_trusted_signature_of_this_key_and_text_counts() {
        let (document, signer) = (seal(&"text"), signer("ci"));
        let trusting = |keys: &[&Signatures]| Signatures {
            signing: None,
            trusted: keys.iter().map(|signer| signer.signing.as_ref().unwrap().trusted()).collect(),
        };
        let other = self::signer("ci");
        let signed = signer.sign(document.clone(), &key("a"));
        assert!(serde_json::from_slice::<serde_json::Value>(&signed).is_ok());
        assert_eq!(split(&signed).0, document);
        for (keys, document, of, accepted) in [
            (trusting(&[]), &document, "a", true),
            (trusting(&[]), &signed, "a", true),
            (trusting(&[&signer]), &signed, "a", true),
            (trusting(&[&other, &signer]), &signed, "a", true),
            (trusting(&[&signer]), &document, "a", false),
            (trusting(&[&other]), &signed, "a", false),
            (trusting(&[&signer]), &signed, "b", false),
        ] {
            assert_eq!(keys.accept(document, &key(of)), accepted, "{keys:?} {of}");
        }
        // Another text under the same signature.
        let other_text = seal(&"test");
        let forged = [&other_text[..other_text.len() - 2], &signed[document.len() - 2..]].concat();
        assert!(split(&forged).1.is_some() && !trusting(&[&signer]).accept(&forged, &key("a")));
        // A signature in the place of another.
        let again = other.sign(signed.clone(), &key("a"));
        assert_eq!((again.len(), split(&again).0), (signed.len(), document.into()));
        assert!(trusting(&[&other]).accept(&again, &key("a")) && !trusting(&[&signer]).accept(&again, &key("a")));
    }

    #[test]
    fn no_flipped_bit_of_a_signed_document_is_accepted() {
        let signer = signer("ci");
        let document = signer.sign(seal(&"text"), &key("a"));
        for bit_idx in 0..document.len() * 8 {
            let mut damaged = document.clone();
            damaged[bit_idx / 8] ^= 1 << (bit_idx % 8);
            let (sealed, _) = split(&damaged);
            let is_used = crate::sealed::unseal::<String>(&sealed).is_some() && signer.accept(&damaged, &key("a"));
            // The name of the key is for people.
            let is_name =
                document[bit_idx / 8..].starts_with(b"ci\"") || document[bit_idx / 8..].starts_with(b"i\":\"");
            assert!(!is_used || is_name, "bit {bit_idx}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_no_secret_is_taken_for_a_public_key() {
        let key = SigningKey::generate("ci.main").unwrap();
        assert_eq!(key.secret().parse::<SigningKey>().unwrap().trusted(), key.trusted());
        assert_eq!(key.trusted().to_string().parse::<TrustedKey>().unwrap(), key.trusted());
        assert!(matches!(key.secret().parse::<TrustedKey>(), Err(KeyError::Secret)));
        assert!(matches!("ci:short".parse::<TrustedKey>(), Err(KeyError::NoTrustedKey)));
        assert!(matches!("ci".parse::<TrustedKey>(), Err(KeyError::NoTrustedKey)));
        assert!(matches!("ci:x".parse::<SigningKey>(), Err(KeyError::NoSigningKey)));
        assert!(matches!(SigningKey::generate("a b"), Err(KeyError::Name { .. })));
        // The parts of a key in another order: the seed is no name that a message may show.
        let seed = key.secret().rsplit(':').next().unwrap().trim().to_owned();
        let errors = [
            format!("pipeline-signing-key:{seed}:ci.main").parse::<SigningKey>().unwrap_err(),
            format!("{seed}:ci.main").parse::<TrustedKey>().unwrap_err(),
        ];
        for error in errors {
            assert!(!format!("{error} {error:?}").contains(seed.trim_end_matches('=')), "{error}");
        }
        assert!(!format!("{key:?}").contains(key.secret().rsplit(':').next().unwrap().trim()));
    }
}
