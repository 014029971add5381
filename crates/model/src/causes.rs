use std::error::Error;
use std::iter::successors;

/// An error with its causes, outermost first, as one line: the outermost alone says little.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |error| (**error).source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Debug, Display, Formatter, Result};

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl Display for Outer {
        fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
            formatter.write_str("no port")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn each_cause_follows_what_it_caused() {
        let error = Outer("x".parse::<u16>().unwrap_err());
        assert_eq!(causes(&error), "no port: invalid digit found in string");
    }
}
