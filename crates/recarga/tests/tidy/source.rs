//! A Rust file as far as tidiness goes: its text, its code without comments and the insides of literals, its
//! functions and the paths that it mentions. No parser: plain text and a few tokens are enough.

/// A Rust file.
pub struct Source {
    /// Relative to the repository.
    pub path: String,
    /// As written.
    pub text: String,
    /// As many lines; comments and the insides of literals are blank.
    pub code: String,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    pub first_line: usize,
    pub lines: usize,
}

/// A path such as `crate::peer::Message`; every leaf of a `use` is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    pub line: usize,
    pub segments: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    /// Whether the whole file is a test.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The code before the unit tests, which stand last, or in a file of their own.
    pub fn shipped(&self) -> &str {
        if self.path.ends_with("/tests.rs") {
            return "";
        }
        self.code.find("#[cfg(test)]").map_or(&self.code, |end| &self.code[..end])
    }

    pub fn functions(&self) -> Vec<Function> {
        let tokens = tokens(&self.code);
        let mut functions = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let Some(name) = tokens.get(at + 1).filter(|name| token.is("fn") && name.is_word()) else {
                continue;
            };
            // The body begins at the first brace; a `;` before it, unless in `[u8; 4]`, means that there is none.
            let (mut depth, mut brackets) = (0usize, 0usize);
            for inner in &tokens[at..] {
                match inner.text.as_str() {
                    "(" | "[" => brackets += 1,
                    ")" | "]" => brackets = brackets.saturating_sub(1),
                    ";" if depth + brackets == 0 => break,
                    "{" => depth += 1,
                    "}" if depth == 1 => {
                        let lines = inner.line - token.line + 1;
                        functions.push(Function { name: name.text.clone(), first_line: token.line, lines });
                        break;
                    }
                    "}" => depth -= 1,
                    _ => {}
                }
            }
        }
        functions
    }

    pub fn mentions(&self) -> Vec<Mention> {
        mentions(self.shipped())
    }

    /// Names of items and public fields that are made here.
    pub fn definitions(&self) -> Vec<(usize, String)> {
        const ITEMS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static", "union"];
        let tokens = tokens(self.shipped());
        let mut names = Vec::new();
        for pair in tokens.windows(3) {
            let is_field = pair[0].is("pub") && pair[2].is(":");
            if (ITEMS.contains(&pair[0].text.as_str()) || is_field) && pair[1].is_word() {
                names.push((pair[1].line, pair[1].text.clone()));
            }
        }
        names
    }

    /// Every word of the shipped code, with its line.
    pub fn words(&self) -> Vec<(usize, String)> {
        let words = tokens(self.shipped()).into_iter().filter(Token::is_word);
        words.map(|token| (token.line, token.text)).collect()
    }
}

fn mentions(code: &str) -> Vec<Mention> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        if token.is("use") && next.is_some_and(Token::is_word) {
            at = use_tree(&tokens, at + 1, &[], &mut found);
        } else if token.is_word() && next.is_some_and(|next| next.is("::")) {
            let mut segments = vec![token.text.clone()];
            while let (Some(separator), Some(word)) = (tokens.get(at + 1), tokens.get(at + 2))
                && separator.is("::")
                && word.is_word()
            {
                segments.push(word.text.clone());
                at += 2;
            }
            found.push(Mention { line: token.line, segments });
        }
        at += 1;
    }
    found
}

// Reads one branch of a `use` and returns where it ends: at a comma, a closing brace or the semicolon.
fn use_tree(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<Mention>) -> usize {
    let mut segments = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => loop {
                at = use_tree(tokens, at + 1, &segments, found);
                if !tokens.get(at).is_some_and(|token| token.is(",")) {
                    return at + 1;
                }
            },
            "," | "}" | ";" => break,
            "as" => at += 1,
            "::" => {}
            _ => segments.push(token.text.clone()),
        }
        at += 1;
    }
    if segments.len() > before.len() {
        found.push(Mention { line, segments });
    }
    at
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(|one: char| one.is_alphabetic() || one == '_')
    }
}

// Words, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_part = |one: char| one.is_alphanumeric() || one == '_';
        let length = match first {
            _ if is_part(first) => rest.find(|one| !is_part(one)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        if first == '\n' {
            line += 1;
        } else if !first.is_whitespace() {
            tokens.push(Token { line, text: rest[..length].to_owned() });
        }
        rest = &rest[length..];
    }
    tokens
}

/// Blanks comments and the insides of literals; lines stay where they are.
pub fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let (kept, blanked) = match first {
            '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (0, block_comment(rest)),
            '"' => (0, string(rest)),
            'r' | 'b' | 'c' if !in_word && literal_prefix(rest) > 0 => (0, literal_prefix(rest)),
            '\'' => (0, character(rest)),
            _ => (first.len_utf8(), 0),
        };
        code.push_str(&rest[..kept]);
        code.extend(rest[kept..kept + blanked].chars().map(|one| if one == '\n' { '\n' } else { ' ' }));
        in_word = kept > 0 && (first.is_alphanumeric() || first == '_');
        if kept + blanked == 0 {
            // A lifetime: its sign stays.
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            rest = &rest[kept + blanked..];
        }
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, one) in text.char_indices().skip(1) {
        match one {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

// Length of a literal with a prefix, as in r#"..."# or b"..."; 0 if there is none.
fn literal_prefix(text: &str) -> usize {
    let letters = text.find(|one| !matches!(one, 'r' | 'b' | 'c')).unwrap_or(0);
    let after = &text[letters..];
    let hashes = after.find(|one| one != '#').unwrap_or(0);
    let is_raw = text[..letters].contains('r');
    match after[hashes..].chars().next() {
        Some('"') if is_raw => {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = letters + hashes + 1;
            text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
        }
        Some('"') if hashes == 0 => letters + string(after),
        Some('\'') if hashes == 0 && text.starts_with("b'") => letters + character(after),
        _ => 0,
    }
}

// Length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), Some(escaped)) => {
            let begin = 2 + escaped.len_utf8();
            text[begin..].find('\'').map_or(text.len(), |end| begin + end + 1)
        }
        (Some(one), Some('\'')) => 2 + one.len_utf8(),
        _ => 0,
    }
}
