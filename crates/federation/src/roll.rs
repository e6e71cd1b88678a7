//! The roll: who belongs to the federation.

use std::collections::BTreeMap;

use recarga_reservation::{OperatorId, Timestamp};
use recarga_wire::federation::{self as wire, Enrolled, ROLL_LENGTH_MAX, SignedRoll, Standing};
use thiserror::Error;

use crate::keys::{Authority, AuthorityKey, KeyError, PublicKey};

/// Most companies on a roll.
pub const COMPANIES_MAX: usize = 1000;
/// Longest name of a federation, in characters.
const NAME_LENGTH_MAX: usize = 64;
/// Nothing else that the authority may sign one day is a roll.
const PURPOSE: &[u8] = b"recarga roll v1\0";

/// A checked roll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// The federation's name.
    pub federation: String,
    /// The later one holds.
    pub version: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// Everybody, with those who are leaving.
    pub companies: BTreeMap<OperatorId, Fellow>,
}

/// A company on the roll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fellow {
    /// Where its node is: `http://` or `https://`, a host and a port.
    pub url: String,
    /// By which secrets are shared with it.
    pub key: PublicKey,
    /// It keeps what is reserved, and takes nothing new.
    pub is_leaving: bool,
}

/// Why a roll is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RollError {
    /// Nobody knows who wrote it.
    #[error("the signature is not that of the federation's authority")]
    NotSigned,
    /// The authority has signed something that is no roll.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which part.
        field: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl RollError {
    fn invalid(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::Invalid { field: field.into(), reason: reason.to_string() }
    }
}

impl Roll {
    /// Believes a roll that the authority has signed.
    ///
    /// # Errors
    /// [`RollError`].
    pub fn believe(signed: &SignedRoll, authority: &AuthorityKey) -> Result<Self, RollError> {
        if signed.conteudo.len() > ROLL_LENGTH_MAX
            || !authority.has_signed(&message(&signed.conteudo), &signed.assinatura)
        {
            return Err(RollError::NotSigned);
        }
        Self::read_unchecked(signed)
    }

    /// Reads a roll without asking who signed it: to show it, never to act upon it.
    ///
    /// # Errors
    /// [`RollError::Invalid`].
    pub fn read_unchecked(signed: &SignedRoll) -> Result<Self, RollError> {
        let body: wire::Roll = recarga_wire::decode(signed.conteudo.as_bytes())
            .map_err(|problem| RollError::invalid("conteudo", problem))?;
        Self::check(body)
    }

    /// Signs it.
    ///
    /// # Errors
    /// It is none that others would believe.
    pub fn sign(&self, authority: &Authority) -> Result<SignedRoll, RollError> {
        let enrolled = |(operator, fellow): (&OperatorId, &Fellow)| Enrolled {
            empresa: operator.clone(),
            url: fellow.url.clone(),
            chave: fellow.key.to_string(),
            estado: if fellow.is_leaving { Standing::Saindo } else { Standing::Ativa },
        };
        let body = wire::Roll {
            federacao: self.federation.clone(),
            versao: self.version,
            emitida_em: self.issued,
            empresas: self.companies.iter().map(enrolled).collect(),
        };
        Self::check(body.clone())?;
        let conteudo = String::from_utf8_lossy(&recarga_wire::encode(&body)).into_owned();
        let assinatura = authority.sign(&message(&conteudo));
        Ok(SignedRoll { conteudo, assinatura })
    }

    fn check(body: wire::Roll) -> Result<Self, RollError> {
        let name_length = body.federacao.chars().count();
        if !(1..=NAME_LENGTH_MAX).contains(&name_length) || body.federacao.contains(char::is_control) {
            return Err(RollError::invalid("federacao", "use 1 to 64 characters"));
        }
        if body.versao == 0 {
            return Err(RollError::invalid("versao", "the first one is 1"));
        }
        if body.empresas.len() > COMPANIES_MAX {
            return Err(RollError::invalid("empresas", format!("at most {COMPANIES_MAX}")));
        }
        let mut companies = BTreeMap::new();
        for (index, enrolled) in body.empresas.into_iter().enumerate() {
            let field = |name: &str| format!("empresas[{index}].{name}");
            let key = enrolled.chave.parse();
            let key = key.map_err(|error: KeyError| RollError::invalid(field("chave"), error))?;
            let url = check_url(&enrolled.url).ok_or_else(|| {
                RollError::invalid(field("url"), "write http://HOST:PORT or https://HOST:PORT")
            })?;
            let is_leaving = match enrolled.estado {
                Standing::Ativa => false,
                Standing::Saindo => true,
                Standing::Fora => {
                    return Err(RollError::invalid(field("estado"), "who is on the roll is not off it"));
                }
            };
            let operator = enrolled.empresa;
            if companies.insert(operator.clone(), Fellow { url, key, is_leaving }).is_some() {
                return Err(RollError::invalid(field("empresa"), format!("{operator} stands twice")));
            }
        }
        Ok(Self { federation: body.federacao, version: body.versao, issued: body.emitida_em, companies })
    }
}

fn message(content: &str) -> Vec<u8> {
    [PURPOSE, content.as_bytes()].concat()
}

// Without a path, and without a slash at its end.
fn check_url(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let authority = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (host, port) = authority.rsplit_once(':')?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let is_well_formed =
        !host.is_empty() && host.bytes().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0);
    is_well_formed.then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::CompanyKey;

    fn roll() -> Roll {
        let fellow = |number: u8| Fellow {
            url: format!("http://10.0.0.{number}:8001"),
            key: CompanyKey::new([number; 32]).public(),
            is_leaving: number == 2,
        };
        let companies = [("empresa-a", 1), ("empresa-b", 2)];
        Roll {
            federation: "Brasil".into(),
            version: 3,
            issued: Timestamp::from_millis(1_796_112_000_000),
            companies: companies.map(|(id, number)| (id.parse().unwrap(), fellow(number))).into(),
        }
    }

    #[test]
    fn a_roll_is_believed_if_its_authority_has_signed_every_letter_of_it() {
        let authority = Authority::new([9; 32]);
        let signed = roll().sign(&authority).unwrap();
        assert_eq!(Roll::believe(&signed, &authority.public()), Ok(roll()));
        assert_eq!(Roll::believe(&signed, &Authority::new([8; 32]).public()), Err(RollError::NotSigned));
        for (from, to) in [("10.0.0.1", "10.0.0.9"), ("\"versao\":3", "\"versao\":4"), ("saindo", "ativa")] {
            let conteudo = signed.conteudo.replace(from, to);
            assert_ne!(conteudo, signed.conteudo);
            let forged = SignedRoll { conteudo, ..signed.clone() };
            assert_eq!(Roll::believe(&forged, &authority.public()), Err(RollError::NotSigned));
        }
        for assinatura in ["", "00", &"0".repeat(128), &signed.assinatura.to_uppercase()] {
            let forged = SignedRoll { assinatura: assinatura.to_owned(), ..signed.clone() };
            assert_eq!(
                Roll::believe(&forged, &authority.public()),
                Err(RollError::NotSigned),
                "{assinatura}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_even_if_it_is_signed() {
        let authority = Authority::new([9; 32]);
        let good = roll().sign(&authority).unwrap().conteudo;
        for (from, to, field) in [
            ("\"Brasil\"", "\"\"", "federacao"),
            ("\"versao\":3", "\"versao\":0", "versao"),
            ("http://10.0.0.1:8001", "ftp://10.0.0.1:8001", "empresas[0].url"),
            ("http://10.0.0.1:8001", "http://10.0.0.1", "empresas[0].url"),
            ("http://10.0.0.1:8001", "http://me@10.0.0.1:8001", "empresas[0].url"),
            ("http://10.0.0.1:8001", "http://10.0.0.1:8001/path", "empresas[0].url"),
            ("\"chave\":\"", "\"chave\":\"x", "empresas[0].chave"),
            ("saindo", "fora", "empresas[1].estado"),
            ("empresa-b", "empresa-a", "empresas[1].empresa"),
            ("empresa-b", "empresa b", "conteudo"),
            ("\"federacao\"", "\"unknown\"", "conteudo"),
        ] {
            let conteudo = good.replacen(from, to, 1);
            assert_ne!(conteudo, good, "{from}");
            let assinatura = authority.sign(&message(&conteudo));
            let refused = Roll::believe(&SignedRoll { conteudo, assinatura }, &authority.public());
            let named = match refused {
                Err(RollError::Invalid { field, .. }) => field,
                other => panic!("{from} to {to}: {other:?}"),
            };
            assert_eq!(named, field, "{from} to {to}");
        }
    }
}
