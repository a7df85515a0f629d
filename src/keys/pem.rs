//! Private keys in PKCS#8 and PEM, as openssl and Knot's keymgr keep them.

use super::pair::KeyPair;
use crate::dnssec::Algorithm;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The key of a PEM file, of either algorithm. The error says what is wrong with it.
///
/// # Errors
/// When there is none that can be used.
pub fn read_pem(text: &str) -> Result<KeyPair, String> {
    let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let Some((body, _)) = body else {
        return Err(match text.contains("-----BEGIN ") {
            true => "its key is not in plain PKCS#8: `openssl pkcs8 -topk8 -nocrypt` turns it into that"
                .to_owned(),
            false => "it is no PEM file with a private key".to_owned(),
        });
    };
    let base64: String = body.split_whitespace().collect();
    let der: Vec<u8> = domain::utils::base64::decode(&base64).map_err(|_| "its key is not in base64")?;
    let pair = Algorithm::ALL.into_iter().find_map(|algorithm| KeyPair::from_der(algorithm, &der).ok());
    pair.ok_or_else(|| "its key is neither one of P-256 nor of Ed25519".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_found_in_pem() {
        for algorithm in Algorithm::ALL {
            let pair = KeyPair::generate(algorithm).unwrap();
            let der = domain::utils::base64::encode_string(&pair.to_der().unwrap());
            let (first, rest) = der.split_at(64);
            let text = format!("x\n{BEGIN}\n{first}\n{rest}\n{END}\n");
            let read = read_pem(&text).unwrap();
            assert_eq!((read.algorithm(), read.public()), (algorithm, pair.public()));
            assert!(read_pem(&text.replace(first, "")).is_err());
        }
        assert!(read_pem("-----BEGIN EC PRIVATE KEY-----\n").unwrap_err().contains("openssl"));
        assert!(read_pem("").unwrap_err().contains("no PEM"));
    }
}
