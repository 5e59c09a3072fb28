//! A strict KRA on loopback, for `demo`, register makers and the tests: nothing else may import it.
