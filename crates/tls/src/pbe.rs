//! Private keys encrypted as PKCS #12 encrypts them: `PBE-SHA1-3DES`, which `openssl pkcs8 -v1` and Bouncy Castle write
//! (RFC 7292, appendices B and C).

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use des::TdesEde3;
use pkcs8::ObjectIdentifier;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode as _, Reader as _, SliceReader};
use pkcs8::spki::AlgorithmIdentifierRef;
use sha1::{Digest as _, Sha1};

/// pbeWithSHAAnd3-KeyTripleDES-CBC.
const ALGORITHM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
/// How often a key is hashed at most. Openssl and Java write 2,048 to 50,000; more than this would hold up a start.
const ITERATIONS_MAX: u32 = 10_000_000;
/// Bytes that SHA-1 takes at once, and gives.
const BLOCK: usize = 64;
const DIGEST: usize = 20;

/// What is derived from a password: RFC 7292 calls these the ID.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Vector = 2,
}

/// An encrypted key.
pub(crate) struct Encrypted<'a> {
    salt: &'a [u8],
    iterations: u32,
    data: &'a [u8],
}

impl<'a> Encrypted<'a> {
    /// The encrypted key in a DER of that algorithm; `None` if it is none, or of another algorithm.
    pub(crate) fn of(der: &'a [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(der).ok()?;
        let (algorithm, data) = reader
            .sequence(|inner| {
                let algorithm = AlgorithmIdentifierRef::decode(inner)?;
                let data = <&OctetStringRef>::decode(inner)?;
                Ok::<_, pkcs8::der::Error>((algorithm, data.as_bytes()))
            })
            .ok()?;
        let parameters = algorithm.parameters.filter(|_| algorithm.oid == ALGORITHM)?;
        let (salt, iterations) = parameters
            .sequence(|inner| {
                let salt = <&OctetStringRef>::decode(inner)?;
                Ok::<_, pkcs8::der::Error>((salt.as_bytes(), u32::decode(inner)?))
            })
            .ok()?;
        Some(Self { salt, iterations, data })
    }

    /// The key.
    ///
    /// # Errors
    /// If the password is wrong, or the key is hashed too often.
    pub(crate) fn decrypt(&self, password: &str) -> Result<Vec<u8>, String> {
        if !(1..=ITERATIONS_MAX).contains(&self.iterations) {
            return Err(format!("the private key is hashed {} times: at most {ITERATIONS_MAX}", self.iterations));
        }
        let mut key = [0; 24];
        let mut vector = [0; 8];
        self.derive(password, Purpose::Key, &mut key);
        self.derive(password, Purpose::Vector, &mut vector);
        let decryptor = cbc::Decryptor::<TdesEde3>::new(&key.into(), &vector.into());
        let mut data = self.data.to_vec();
        let plain = decryptor.decrypt_padded::<Pkcs7>(&mut data);
        let plain = plain.map_err(|_| "the private key cannot be decrypted: its password is incorrect".to_owned())?;
        Ok(plain.to_vec())
    }

    /// Derives bytes from the password (RFC 7292, B.2).
    fn derive(&self, password: &str, purpose: Purpose, into: &mut [u8]) {
        let diversifier = [purpose as u8; BLOCK];
        let mut password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
        password.extend([0, 0]);
        let mut input = filled(self.salt);
        input.extend(filled(&password));
        for chunk in into.chunks_mut(DIGEST) {
            let mut hash = Sha1::new().chain_update(diversifier).chain_update(&input).finalize();
            for _ in 1..self.iterations {
                hash = Sha1::digest(hash);
            }
            chunk.copy_from_slice(&hash[..chunk.len()]);
            let step: Vec<u8> = hash.iter().copied().cycle().take(BLOCK).collect();
            input.chunks_mut(BLOCK).for_each(|block| add_one_more_than(block, &step));
        }
    }
}

/// Bytes repeated until they fill whole blocks.
fn filled(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().cycle().take(bytes.len().div_ceil(BLOCK) * BLOCK).collect()
}

/// Adds a number and one to a number, both with the most significant byte first; what is carried out of them is lost.
fn add_one_more_than(number: &mut [u8], added: &[u8]) {
    let mut carry = 1;
    for (byte, added) in number.iter_mut().zip(added).rev() {
        let sum = u16::from(*byte) + u16::from(*added) + carry;
        *byte = sum.to_be_bytes()[1];
        carry = sum >> 8;
    }
}
