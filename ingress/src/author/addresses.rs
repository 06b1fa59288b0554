//! A strict reader of address lists (RFC 5322 §3.4 and the obsolete forms of §4.4, RFC 6532 for UTF-8, RFC 6854 for groups in From).

use shared::mail::Mailbox;

/// All mailboxes of the list, those of groups too; `None` where it is no address list, or one that readers differ in.
pub(super) fn read(value: &[u8]) -> Option<Vec<Mailbox>> {
    let text = std::str::from_utf8(value).ok()?;
    if text.chars().any(|letter| letter.is_control() && letter != '\t') {
        return None;
    }
    let mut reader = Reader { text, at: 0 };
    let mut found = Vec::new();
    let mut in_group = false;
    loop {
        let words = reader.words()?;
        match reader.next() {
            Some(letter @ ('<' | '@')) => {
                let mailbox = if letter == '<' { reader.angle_address() } else { reader.address(&words) };
                found.push(mailbox?);
                match reader.peek_behind_space()? {
                    None | Some(',' | ';') => {}
                    Some(_) => return None,
                }
            }
            // a group has a name, and no group in it
            Some(':') if !in_group && !words.is_empty() => in_group = true,
            // an element may be missing (RFC 5322 §4.4), and words alone are no address
            Some(',') if words.is_empty() => {}
            Some(';') if words.is_empty() && in_group => {
                in_group = false;
                match reader.peek_behind_space()? {
                    None | Some(',') => {}
                    Some(_) => return None,
                }
            }
            None if words.is_empty() && !in_group => return Some(found),
            _ => return None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A piece of a phrase, a local part or a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    Atom(&'a str),
    /// With its quotes.
    Quoted(&'a str),
    Dot,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    /// The letter behind white space and comments; `None` where a comment does not end.
    fn peek_behind_space(&mut self) -> Option<Option<char>> {
        self.space()?;
        Some(self.rest().chars().next())
    }

    /// Passes over white space and comments (RFC 5322 §3.2.2); comments may nest.
    fn space(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        while let Some(letter) = self.rest().chars().next() {
            match letter {
                ' ' | '\t' => {}
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                '\\' if depth > 0 => {
                    self.next();
                }
                _ if depth > 0 => {}
                _ => break,
            }
            self.next();
        }
        (depth == 0).then_some(())
    }

    /// Words and dots up to the next letter that is something else.
    fn words(&mut self) -> Option<Vec<Word<'a>>> {
        let mut words = Vec::new();
        loop {
            self.space()?;
            let rest = self.rest();
            match rest.chars().next() {
                Some('.') => {
                    words.push(Word::Dot);
                    self.at += 1;
                }
                Some('"') => {
                    let end = quoted_end(rest)?;
                    words.push(Word::Quoted(&rest[..end]));
                    self.at += end;
                }
                Some(letter) if is_atext(letter) => {
                    let end = rest.find(|letter| !is_atext(letter)).unwrap_or(rest.len());
                    words.push(Word::Atom(&rest[..end]));
                    self.at += end;
                }
                _ => return Some(words),
            }
        }
    }

    /// What stands behind `<`, up to its `>`. A route is passed over (RFC 5322 §4.4).
    fn angle_address(&mut self) -> Option<Mailbox> {
        let mut local_part = self.words()?;
        if local_part.is_empty() {
            while let Some(letter @ ('@' | ',')) = self.peek_behind_space()? {
                self.next();
                if letter == '@' {
                    self.domain()?;
                }
            }
            if self.next() != Some(':') {
                return None;
            }
            local_part = self.words()?;
        }
        if self.next() != Some('@') {
            return None;
        }
        let mailbox = self.address(&local_part)?;
        (self.next() == Some('>')).then_some(mailbox)
    }

    /// The mailbox whose local part has been read, and its `@`.
    fn address(&mut self, local_part: &[Word<'_>]) -> Option<Mailbox> {
        let local_part = joined(local_part)?;
        // an encoded word is none here (RFC 2047 §5), and some readers decode it all the same
        if local_part.contains("=?") {
            return None;
        }
        let domain = self.domain()?;
        Mailbox::parse(&format!("{local_part}@{domain}")).ok()
    }

    fn domain(&mut self) -> Option<String> {
        self.space()?;
        let rest = self.rest();
        if rest.starts_with('[') {
            let end = rest.find(']')? + 1;
            self.at += end;
            self.space()?;
            return Some(rest[..end].to_owned());
        }
        let words = self.words()?;
        let has_quotes = words.iter().any(|word| matches!(word, Word::Quoted(_)));
        joined(&words).filter(|_| !has_quotes)
    }
}

/// Words with a dot between each two of them, as one text.
fn joined(words: &[Word<'_>]) -> Option<String> {
    let mut text = String::new();
    for (n, word) in words.iter().enumerate() {
        let (is_dot, part) = match word {
            Word::Atom(part) | Word::Quoted(part) => (false, *part),
            Word::Dot => (true, "."),
        };
        if is_dot != (n % 2 == 1) {
            return None;
        }
        text.push_str(part);
    }
    (words.len() % 2 == 1).then_some(text)
}

/// Where the quoted string that `text` begins with ends.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return Some(at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn is_atext(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(letter) || !letter.is_ascii()
}
