//! What any secret has in or before it: a text that has none of these has no secret. Upper and lower
//! case are the same here.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, packed};
use memchr::memmem;

/// Sets of rules, as bits: those that a trigger may belong to.
pub(super) type Groups = u8;

/// `name=value`, `"name": "value"`, `--name value`.
pub(super) const PAIR: Groups = 1;
/// Headers that hold credentials.
pub(super) const HEADER: Groups = 2;
/// Parameters of signed URLs, and others that are secrets in a URL only.
pub(super) const QUERY: Groups = 4;
/// Tokens that are known by how they begin.
pub(super) const TOKEN: Groups = 8;
/// `//user:password@host`.
pub(super) const USER: Groups = 16;
/// Private keys in PEM.
pub(super) const PEM: Groups = 32;
/// An escape of an ASCII character: in JSON text, any of the others may be hidden by it.
const ESCAPE: Groups = 64;

/// What may stand behind a trigger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Anything.
    Any,
    /// No letter, and after spaces only what joins a name to its value.
    Separator,
}

/// At least four bytes each: so many are compared at once.
#[rustfmt::skip]
const TRIGGERS: &[(&str, Groups, Then)] = &[
    ("token", PAIR, Then::Separator), ("password", PAIR, Then::Separator),
    ("passwd", PAIR, Then::Separator), ("passphrase", PAIR, Then::Separator),
    ("pwd=", PAIR, Then::Any), ("secret", PAIR, Then::Any),
    ("pi_key", PAIR, Then::Separator), ("pi-key", PAIR, Then::Separator),
    ("pikey", PAIR, Then::Separator), ("ss_key", PAIR, Then::Any), ("ss-key", PAIR, Then::Any),
    ("sskey", PAIR, Then::Any), ("te_key", PAIR, Then::Separator),
    ("te-key", PAIR, Then::Separator), ("tekey", PAIR, Then::Separator),
    ("nt_key", PAIR, Then::Separator), ("nt-key", PAIR, Then::Separator),
    ("ntkey", PAIR, Then::Separator), ("n-key", PAIR, Then::Separator),
    ("authorization", HEADER, Then::Separator), ("cookie", HEADER, Then::Separator),
    ("bearer", TOKEN, Then::Any),
    ("-signature", PAIR | QUERY, Then::Separator), ("signature=", QUERY, Then::Any),
    ("-credential", PAIR | QUERY, Then::Separator), ("sig=", QUERY, Then::Any),
    ("?key=", QUERY, Then::Any), ("&key=", QUERY, Then::Any),
    ("ghp_", TOKEN, Then::Any), ("gho_", TOKEN, Then::Any), ("ghu_", TOKEN, Then::Any),
    ("ghs_", TOKEN, Then::Any), ("ghr_", TOKEN, Then::Any), ("github_pat_", TOKEN, Then::Any),
    ("aiza", TOKEN, Then::Any), ("akia", TOKEN, Then::Any), ("asia", TOKEN, Then::Any),
    ("gsk_", TOKEN, Then::Any), ("glpat-", TOKEN, Then::Any), ("xai-", TOKEN, Then::Any),
    ("xoxa-", TOKEN, Then::Any), ("xoxb-", TOKEN, Then::Any), ("xoxe-", TOKEN, Then::Any),
    ("xoxe.", TOKEN, Then::Any),
    ("xoxo-", TOKEN, Then::Any), ("xoxp-", TOKEN, Then::Any), ("xoxr-", TOKEN, Then::Any),
    ("xoxs-", TOKEN, Then::Any),
    ("eyjh", TOKEN, Then::Any), ("eyj0", TOKEN, Then::Any), ("eyjr", TOKEN, Then::Any),
    ("eyjl", TOKEN, Then::Any), ("eyjj", TOKEN, Then::Any), ("eyj4", TOKEN, Then::Any),
    ("private key-", PEM, Then::Any),
    ("\\u002", ESCAPE, Then::Any), ("\\u003", ESCAPE, Then::Any), ("\\u004", ESCAPE, Then::Any),
    ("\\u005", ESCAPE, Then::Any), ("\\u006", ESCAPE, Then::Any), ("\\u007", ESCAPE, Then::Any),
];

/// Shorter ones, that stand at the beginning of a word.
const SHORT: [&str; 2] = ["sk-", "hf_"];

/// The texts are folded by one operation, so that the processor folds many bytes at once. It makes
/// lower case of letters, and something else of `_` and the like, in the triggers as well.
fn fold(byte: u8) -> u8 {
    byte | 0x20
}

enum Searcher {
    /// By vector instructions.
    Packed(Box<packed::Searcher>),
    /// Where there are none.
    Automaton(AhoCorasick),
}

struct Search {
    searcher: Searcher,
    short: [memmem::Finder<'static>; 2],
}

static SEARCH: LazyLock<Search> = LazyLock::new(|| {
    let folded: Vec<Vec<u8>> =
        TRIGGERS.iter().map(|(text, ..)| text.bytes().map(fold).collect()).collect();
    let packed = packed::Config::new().builder().extend(&folded).build();
    let searcher = match packed {
        Some(packed) => Searcher::Packed(Box::new(packed)),
        None => Searcher::Automaton(
            AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::DFA))
                .match_kind(MatchKind::LeftmostFirst)
                .build(&folded)
                .expect("the triggers are few and short"),
        ),
    };
    let short = SHORT.map(|text| {
        let folded: Vec<u8> = text.bytes().map(fold).collect();
        memmem::Finder::new(&folded).into_owned()
    });
    Search { searcher, short }
});

/// So many bytes are folded at once: mostly a line. More would have to be cleared first for each.
const CHUNK_BYTES: usize = 1024;

/// The longest trigger but one byte.
const OVERLAP_BYTES: usize = 16;

/// Whether there may be a secret in a text, be it that of a JSON value.
pub(super) fn any(text: &[u8]) -> bool {
    let mut found = 0;
    look(text, |groups| {
        found |= groups;
        false
    });
    found != 0
}

/// Which rules may find something in a text.
pub(super) fn groups(text: &[u8]) -> Groups {
    let mut found = 0;
    look(text, |groups| {
        found |= groups;
        true
    });
    found & !ESCAPE
}

/// Shows the groups of each trigger in `text`, for as long as it is wanted.
fn look(text: &[u8], mut show: impl FnMut(Groups) -> bool) {
    let search = &*SEARCH;
    let mut folded = [0; CHUNK_BYTES];
    let mut start = 0;
    loop {
        let end = text.len().min(start + CHUNK_BYTES);
        let chunk = &text[start..end];
        let folded = &mut folded[..chunk.len()];
        for (to, from) in folded.iter_mut().zip(chunk) {
            *to = fold(*from);
        }
        if memchr::memchr(b'@', chunk).is_some() && !show(USER) {
            return;
        }
        for finder in &search.short {
            let begins_word = |at: &usize| begins_word(&text[..start + at]);
            if finder.find_iter(folded).any(|at| begins_word(&at)) && !show(TOKEN) {
                return;
            }
        }
        let mut at = 0;
        while let Some((trigger, span)) = next(&search.searcher, folded, at) {
            let (_, groups, then) = TRIGGERS[trigger];
            if (then == Then::Any || is_separated(text, start + span.start, start + span.end))
                && !show(groups)
            {
                return;
            }
            // Not behind it: another may begin within it.
            at = span.start + 1;
        }
        if end == text.len() {
            return;
        }
        start = end - OVERLAP_BYTES;
    }
}

fn next(searcher: &Searcher, folded: &[u8], at: usize) -> Option<(usize, std::ops::Range<usize>)> {
    match searcher {
        Searcher::Packed(packed) => {
            let span = aho_corasick::Span { start: at, end: folded.len() };
            let found = packed.find_in(folded, span)?;
            Some((found.pattern().as_usize(), found.start()..found.end()))
        }
        Searcher::Automaton(automaton) => {
            let input = aho_corasick::Input::new(folded).range(at..);
            let found = automaton.find(input)?;
            Some((found.pattern().as_usize(), found.start()..found.end()))
        }
    }
}

/// Whether a word may begin behind this text: be it JSON text that ends in an escape.
fn begins_word(before: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !before.last().is_some_and(is_word) || before.iter().rev().take(6).any(|byte| *byte == b'\\')
}

/// Whether what stands behind a name may join it to a value. In `--name value` that is a space.
fn is_separated(text: &[u8], start: usize, end: usize) -> bool {
    let behind = &text[end..];
    let Some(&first) = behind.first() else { return true };
    if first.is_ascii_alphabetic() {
        return false;
    }
    if !matches!(first, b' ' | b'\t') {
        return true;
    }
    // `--a-name`, `--a_name`; of what names an API's key, only the end is looked for.
    let is_flag = || text[..start].iter().rev().take(3).any(|byte| matches!(byte, b'-' | b'_'));
    let next = behind.iter().take(MAX_SPACES + 1).find(|byte| !matches!(byte, b' ' | b'\t'));
    next.is_none_or(|byte| matches!(byte, b'=' | b':' | b'\\')) || is_flag()
}

/// So many spaces may stand between a name and what joins it to its value.
const MAX_SPACES: usize = 8;
