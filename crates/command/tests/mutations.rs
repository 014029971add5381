//! Lines made by mutating good ones from a fixed seed: whatever an operator, a
//! template or an attacker writes, parsing ends with a command or an error.

use muster_command::{Command, CommandError, commands, tokenize};

const SEED: u64 = 0x6d75_7374_6572;
const LINES: usize = 20_000;

/// Pieces that mean something to the parser.
const PIECES: &[&str] = &[
    " ",
    "-",
    "--",
    "---",
    "=",
    "'",
    "\"",
    "\\",
    "#",
    "\n",
    "-1",
    "0x",
    "0",
    "99999999999999999999",
    "--pid",
    "-p=",
    "--hash",
    "--strings",
    "--is-confirmed",
    "--file=",
    "-h",
    "é",
    "\u{0}",
    "𝄞",
    "d41d8cd98f00b204e9800998ecf8427e",
    "hkey_users\\",
    "1.2.3",
    "NEW_PROCESS",
    "/a b",
    "*",
];

/// SplitMix64: the whole state is one number, so a failure is replayed by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("less than a usize")
    }

    fn line(&mut self) -> String {
        let spec = &commands()[self.below(commands().len())];
        let mut line = spec.name.to_owned();
        for _ in 0..self.below(5) {
            line.push(' ');
            if self.below(2) == 0 && !spec.options.is_empty() {
                line.push_str("--");
                line.push_str(spec.options[self.below(spec.options.len())].name);
            } else {
                line.push_str(PIECES[self.below(PIECES.len())]);
            }
        }
        for _ in 0..self.below(3) {
            let mut chars: Vec<char> = line.chars().collect();
            let at = self.below(chars.len() + 1);
            match self.below(3) {
                0 if at < chars.len() => drop(chars.remove(at)),
                1 => chars.truncate(at),
                _ => drop(chars.splice(at..at, PIECES[self.below(PIECES.len())].chars())),
            }
            line = chars.into_iter().collect();
        }
        line
    }
}

#[test]
fn mutated_lines_never_panic_and_parse_the_same_again() {
    let mut random = Random(SEED);
    let (mut parsed, mut refused) = (0, 0);
    for _ in 0..LINES {
        let line = random.line();
        match (Command::parse(&line), tokenize(&line).and_then(Command::from_tokens)) {
            (Ok(one), Ok(other)) => {
                assert_eq!((one.spec.name, &one.arguments), (other.spec.name, &other.arguments), "{line:?}");
                // Quoting every token and ending with a comment changes nothing.
                let quoted = quote(&tokenize(&line).expect("it has just been split"));
                let again = Command::parse(&quoted).unwrap_or_else(|error| panic!("{line:?} as {quoted:?}: {error}"));
                assert_eq!((one.spec.name, &one.arguments), (again.spec.name, &again.arguments), "{line:?}");
                parsed += 1;
            }
            (Err(one), Err(other)) => {
                assert_eq!(one, other, "{line:?}");
                assert!(!one.to_string().is_empty());
                refused += usize::from(!matches!(one, CommandError::Help(_)));
            }
            (one, other) => panic!("{line:?}: {one:?} but {other:?}"),
        }
    }
    // Both kinds must be common, or the mutations prove little.
    assert!(parsed > LINES / 20 && refused > LINES / 20, "{parsed} parsed, {refused} refused");
}

fn quote(tokens: &[String]) -> String {
    let quoted = tokens.iter().map(|token| format!("'{}'", token.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ") + " # end"
}
