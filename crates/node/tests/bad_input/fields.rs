//! What can be wrong with one field: tables of fields, and for each kind of field what it must not be.

use serde_json::{Value, json};

use crate::support::bodies::with;

/// What a field holds.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Id,
    Session,
    Store,
    Instant,
    Plug,
    /// One of a few words.
    Word,
    /// A whole number from .0 to .1.
    Whole(i64, i64),
    Object,
    List,
}
use Kind::{Id, Instant, List, Object, Plug, Session, Store, Whole, Word};

/// Whether a body is good without it.
#[derive(Clone, Copy, PartialEq)]
pub enum Need {
    Required,
    Optional,
    /// It may be absent, but not null.
    Default,
    /// It must be there, and null counts as absent.
    Present,
}
use Need::{Default, Optional, Present, Required};

/// A field by its path, as in `campo`.
pub type Field = (&'static str, Kind, Need);

pub const TRIP: &[Field] = &[
    ("requisicao_id", Id, Optional),
    ("veiculo", Object, Required),
    ("veiculo.veiculo_id", Id, Required),
    ("veiculo.plugue", Plug, Optional),
    ("paradas", List, Required),
    ("paradas[1]", Object, Default),
    ("paradas[1].empresa", Id, Required),
    ("paradas[1].ponto_id", Id, Required),
    ("paradas[1].janela_inicio", Instant, Required),
    ("paradas[1].janela_fim", Instant, Required),
];

pub const HOLD: &[Field] = &[
    ("sessao", Session, Required),
    ("coordenador", Id, Required),
    ("requisicao_id", Id, Required),
    ("participantes", List, Required),
    ("participantes[0]", Id, Default),
    ("depositos", List, Default),
    ("depositos[0]", Object, Default),
    ("depositos[0].empresa", Id, Required),
    ("depositos[0].deposito", Store, Required),
    ("tipo", Word, Default),
    ("validade_s", Whole(1, 3600), Default),
    ("prioridade", Instant, Required),
    ("veiculo", Object, Required),
    ("veiculo.veiculo_id", Id, Required),
    ("veiculo.plugue", Plug, Optional),
    ("reservas", List, Required),
    ("reservas[0]", Object, Default),
    ("reservas[0].parada", Whole(0, 15), Required),
    ("reservas[0].ponto_id", Id, Required),
    ("reservas[0].janela_inicio", Instant, Required),
    ("reservas[0].janela_fim", Instant, Required),
    ("substitui", Session, Optional),
];

pub const CONFIRM: &[Field] = &[("sessao", Session, Required), ("coordenador", Id, Optional)];

pub const CANCEL: &[Field] =
    &[("sessao", Session, Required), ("coordenador", Id, Optional), ("motivo", Word, Default)];

pub const MQTT: &[Field] = &[
    ("requisicao_id", Id, Required),
    ("servidor", Id, Optional),
    ("expira_em", Instant, Optional),
    ("veiculo", Object, Present),
    ("veiculo.veiculo_id", Id, Required),
    ("veiculo.plugue", Plug, Optional),
    ("paradas", List, Present),
    ("paradas[0].empresa", Id, Required),
    ("paradas[0].ponto_id", Id, Required),
    ("paradas[0].janela_inicio", Instant, Required),
    ("paradas[0].janela_fim", Instant, Required),
];

/// A bad body: what is wrong with it, the body, and the `tipo` and `campo` of its refusal.
pub type Bad = (String, Value, &'static str, String);

/// Everything that can be wrong with each field by itself.
pub fn all_bad(good: &Value, fields: &[Field]) -> Vec<Bad> {
    let mut bad = Vec::new();
    for &(campo, kind, need) in fields {
        for (what, value) in kind.bad_values() {
            let tipo = match need {
                Optional if value.is_null() => continue,
                Present if value.is_null() => "campo-ausente",
                _ => "campo-invalido",
            };
            let body = with(good, campo, Some(value));
            bad.push((format!("{campo}: {what}"), body, tipo, campo.to_owned()));
        }
        if matches!(need, Required | Present) {
            bad.push((
                format!("{campo} missing"),
                with(good, campo, None),
                "campo-ausente",
                campo.to_owned(),
            ));
        }
        if kind == Object {
            let typo = format!("{campo}.plugge");
            let body = with(good, &typo, Some(json!(1)));
            bad.push((format!("{typo} unknown"), body, "campo-desconhecido", typo));
        }
    }
    let body = with(good, "paradass", Some(json!([])));
    bad.push(("an unknown field".to_owned(), body, "campo-desconhecido", "paradass".to_owned()));
    bad
}

impl Kind {
    fn bad_values(self) -> Vec<(&'static str, Value)> {
        let mut values = vec![("true", json!(true)), ("null", Value::Null)];
        if !matches!(self, Whole(..)) {
            values.extend([("a number", json!(17)), ("a huge number", json!(1e300)), ("-1", json!(-1))]);
        }
        if self != Object {
            values.push(("an object", json!({"a": 1})));
        }
        if self != List {
            values.extend([("a list", json!(["a"])), ("an empty list", json!([]))]);
        }
        if matches!(self, Object | List | Whole(..)) {
            values.extend([("a text", json!("1")), ("an empty text", json!(""))]);
        }
        values.extend(match self {
            Object | List => vec![],
            Whole(least, most) => vec![
                ("too small", json!(least - 1)),
                ("too large", json!(most + 1)),
                ("beyond 16 bits", json!(65_536)),
                ("beyond 32 bits", json!(4_294_967_297_i64)),
                ("beyond 64 bits", json!(1e30)),
                ("a fraction", json!(1.5)),
            ],
            _ => self.bad_texts().into_iter().map(|(what, text)| (what, json!(text))).collect(),
        });
        values
    }

    fn bad_texts(self) -> Vec<(&'static str, String)> {
        let texts = match self {
            Id => vec![
                ("a slash", "a/b"),
                ("wildcards of MQTT", "+#"),
                ("a letter with an accent", "ação"),
                ("a space", " a"),
                ("a leading dash", "-a"),
                ("a control character", "a\u{0}b"),
                ("a line feed", "a\n"),
                ("another script", "Ω"),
                ("an emoji", "🚗"),
                ("markup", "<b>"),
            ],
            Session => vec![
                ("no session", "abc"),
                ("its parts missing", "empresa-x.1.1.1"),
                ("capital digits", "e.0000000000000000000000000000000A.1.1.0000000000000000000000000000000A"),
                (
                    "a leading zero",
                    "e.00000000000000000000000000000001.01.1.00000000000000000000000000000001",
                ),
            ],
            Store => vec![
                ("capital digits", "0000000000000000000000000000000A"),
                ("too short", "00a"),
                ("other letters", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"),
            ],
            Instant => vec![
                ("a word", "amanhã"),
                ("without an offset", "2030-12-01T14:00:00"),
                ("without a time", "2030-12-01"),
                ("no such day", "2030-02-30T14:00:00Z"),
                ("no such hour", "2030-12-01T25:00:00Z"),
                ("a space for T", "2030-12-01 14:00:00Z"),
                ("seconds since 1970", "1920000000"),
                ("a year of five digits", "12030-12-01T14:00:00Z"),
                ("a zone's name", "2030-12-01T14:00:00[America/Bahia]"),
                ("a huge fraction", "2030-12-01T14:00:00.1234567890123Z"),
            ],
            Plug => vec![("unknown", "CCS2"), ("small letters", "iec_62196_t2_combo")],
            Word => vec![("unknown", "talvez"), ("capital letters", "PREPARADA")],
            _ => vec![],
        };
        let mut texts: Vec<(&str, String)> =
            texts.into_iter().map(|(what, text)| (what, text.to_owned())).collect();
        texts.extend([("an empty text", String::new()), ("too long", "x".repeat(65))]);
        texts.push(("far too long", "x".repeat(30_000)));
        texts
    }
}
